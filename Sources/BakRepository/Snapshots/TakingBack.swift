// TakingBack: forgotten snapshots become snapshots again, as long as no prune has taken what they had. A forget marker
// stays for ever, since a prune may have read it. So the snapshot is committed again under a new session, like a backup
// whose source is the repository: the session is registered before anything is looked up, and then all that the
// snapshot refers to must be in the trusted index; what is condemned is stored anew. From then on a prune either sees
// the session and waits, or has decided.
//
// Whoever stores does not count on the segment of a session whose record is damaged. What of that a snapshot needs, its
// own session's above all, the new session names itself, as a further run does with the packs of one that could not
// commit.

import BakCore
import BakFormat
import BakStorage

/// A snapshot that is not wanted any more.
public struct ForgottenSnapshot: Sendable {
    /// Its record.
    public var snapshot: CommitRecord
    /// Who forgot it and when; nil where the marker is damaged.
    public var origin: RecordOrigin?
}

/// What became of a snapshot that was to be taken back.
public enum TakingBackOutcome: Sendable {
    /// It is there again, under this record.
    case back(CommitRecord)
    /// A prune has taken something that it had: it stays forgotten.
    case final
    /// Something that it had is damaged.
    case damaged(CorruptionError)
}

extension Repository {
    /// The forgotten snapshots, oldest first. Left out are those that are there as a whole under another id, as after a
    /// change of tags, and those whose record cannot be read. Throws `StoreError` if they cannot be listed or read.
    public func forgottenSnapshots() throws -> [ForgottenSnapshot] {
        let present = Dictionary(grouping: try snapshots().readable, by: \.originalID)
        var found: [ForgottenSnapshot] = []
        for id in try forgotten().sorted() {
            guard let record = try recordOrSpare(id),
                !(present[record.originalID] ?? []).contains(where: { $0.standsFor(record) })
            else { continue }
            found.append(ForgottenSnapshot(snapshot: record, origin: try markerIfReadable(id)?.origin))
        }
        let order = SnapshotOrder(found.map(\.snapshot), now: time.now())
        return found.sorted { order.precedes($0.snapshot, $1.snapshot) }
    }

    private func markerIfReadable(_ id: ID128) throws -> ForgetMarker? {
        let key = ObjectNames.forget(id)
        do {
            let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
            return try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
                try ForgetMarker(decoding: bytes, object: key.description, snapshot: id, context: context)
            }
        } catch is CorruptionError {
            return nil
        } catch let error as StoreError where error.kind == .notFound || error.concernsOneObject {
            return nil
        }
    }

    /// Commits a forgotten snapshot again. On return with `back` it is durable, and no prune takes what it has. What a
    /// prune has condemned and not deleted yet is stored anew, which takes room.
    ///
    /// Throws `RepositoryError.keepsChanging` when prunes get in the way again and again, and `StoreError`.
    public func takeBack(
        _ forgotten: CommitRecord, host: String, program: String
    ) throws -> TakingBackOutcome {
        let outcome = try takeBack(forgotten, host: host, program: program, faults: ProtocolFaults())
        // What it is now stands for what it was; a marker that does not open is in doubt no more.
        if case .back = outcome, try isForgotten(forgotten.id), try isMarkerDamaged(forgotten.id) {
            try forget([forgotten.id], host: host, program: program)
        }
        return outcome
    }

    func takeBack(
        _ forgotten: CommitRecord, host: String, program: String, faults: ProtocolFaults
    ) throws -> TakingBackOutcome {
        let outcome = try takeBack(
            forgotten, host: host, program: program, keeping: BackupSession.KeptPacks(), faults: faults)
        guard case .final = outcome else { return outcome }
        let kept = try unnamedPacks(of: forgotten)
        if !kept.packs.isEmpty {
            return try takeBack(forgotten, host: host, program: program, keeping: kept, faults: faults)
        }
        return try faultOfSegment(forgotten).map(TakingBackOutcome.damaged) ?? outcome
    }

    /// The same where `kept` are packs that no segment names for those who store.
    private func takeBack(
        _ forgotten: CommitRecord, host: String, program: String, keeping kept: BackupSession.KeptPacks,
        faults: ProtocolFaults
    ) throws -> TakingBackOutcome {
        do {
            return try storing(
                host: host, program: program, keeping: kept, fromReserve: true, faults: faults
            ) { session in
                if !faults.takeBackUnchecked { _ = try ContentKeeper(session).keepAll(of: forgotten.root) }
                if let fault = session.damagedPacks.first { throw fault }
                let record = try session.commit(continuing: false) { id, hasIndex in
                    var record = forgotten
                    (record.id, record.hasIndex, record.original) = (id, hasIndex, forgotten.originalID)
                    return record
                }
                return .back(record)
            }
        } catch is MissingBlobError {
            return .final
        } catch let error as CorruptionError where error.cause != .newerProgram {
            return .damaged(error)
        } catch let error as StoreError where error.kind == .full {
            // More room is no help to what a prune has taken.
            if try !hasAll(forgotten, keeping: kept) { return .final }
            throw error
        }
    }

    /// The packs that a snapshot needs and that only sessions with a damaged record name.
    private func unnamedPacks(of snapshot: CommitRecord) throws -> BackupSession.KeptPacks {
        let index = try BlobIndex(self)
        let sessions = index.trusted.sessions.intersection(index.trusted.outcomes.damaged)
        guard !sessions.isEmpty, let needed = try blobs(of: snapshot, index) else {
            return BackupSession.KeptPacks()
        }
        let kept = try sessions.sorted().flatMap { try packs(of: $0, having: needed) }
        return BackupSession.KeptPacks(packs: kept, round: index.trusted.round)
    }

    /// All that a snapshot refers to; nil where some of it cannot be read, or is not there for readers either.
    private func blobs(of snapshot: CommitRecord, _ index: BlobIndex) throws -> Set<ID128>? {
        let reader = SegmentReader(self, index)
        var blobs: Set<ID128> = [snapshot.root.id]
        do {
            for segment in try reader.root(snapshot.root).segments {
                blobs.insert(segment.blob.id)
                try reader.forEachChunk(of: segment) { blobs.insert($0.id) }
            }
        } catch  where error is CorruptionError || error is MissingBlobError {
            return nil
        }
        return blobs
    }

    /// The packs of a session in which there is something of `needed`; none where its segment cannot be read.
    private func packs(of session: ID128, having needed: Set<ID128>) throws -> [SealedPack] {
        let segment: IndexSegment
        do {
            segment = try indexSegment(session)
        } catch is CorruptionError {
            return []
        } catch let error as StoreError where error.kind == .notFound || error.concernsOneObject {
            return []
        }
        var blobs: [[BlobRecord]] = segment.packs.map { _ in [] }
        for entry in segment.entries {
            blobs[Int(entry.pack)].append(
                BlobRecord(
                    id: entry.id, offset: entry.offset, rawLength: entry.rawLength,
                    storedLength: entry.storedLength, codec: .raw, storedChecksum: 0))
        }
        return zip(segment.packs, blobs).lazy.map { SealedPack(pack: $0, blobs: $1) }
            .filter { pack in pack.blobs.contains { needed.contains($0.id) } }
    }

    /// What is wrong with a snapshot whose own index segment is not there although no prune has taken its place.
    private func faultOfSegment(_ snapshot: CommitRecord) throws -> CorruptionError? {
        guard snapshot.hasIndex, try !supersededSessions(by: collectionRounds().decided).contains(snapshot.id)
        else { return nil }
        let key = ObjectNames.indexSegment(snapshot.id)
        do {
            _ = try store.size(of: key)
            return nil
        } catch {
            guard error.kind == .notFound else { throw error }
            return CorruptionError(
                object: key.description, offset: 0,
                reason: "the index segment is missing; make it again with: bakstore repair index")
        }
    }

    /// Whether all that a forgotten snapshot had is there, looked up without a session: what is there may still go.
    private func hasAll(_ forgotten: CommitRecord, keeping kept: BackupSession.KeptPacks) throws -> Bool {
        let view = try BackupSession(self, host: "", program: "", isDryRun: true, keeping: kept)
        defer { view.close() }
        do {
            try view.expectPresent(forgotten.root)
            return true
        } catch is MissingBlobError {
            return false
        }
    }

    /// True if some forgotten snapshot still has all that it had. Throws `CorruptionError` if a snapshot or the index
    /// needs a newer program, and `StoreError`.
    public func canTakeAnyBack() throws -> Bool {
        // What was removed last is the likeliest to be there.
        try forgottenSnapshots().reversed().contains { forgotten in
            let snapshot = forgotten.snapshot
            do {
                if try hasAll(snapshot, keeping: BackupSession.KeptPacks()) { return true }
                let kept = try unnamedPacks(of: snapshot)
                return try !kept.packs.isEmpty && hasAll(snapshot, keeping: kept)
            } catch let error as CorruptionError where error.cause != .newerProgram {
                // Repaired it may come back.
                return true
            }
        }
    }
}
