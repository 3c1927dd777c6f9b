// TakingBack: makes forgotten snapshots available again, as long as no prune has deleted their content. It is not
// enough to delete the forget marker, because a prune may have read it already. Instead, a new session commits the
// snapshot again. The session is registered first. Then it looks up in the trusted index everything to which the
// snapshot refers, and stores again any content that a prune has condemned, that is, plans to delete. So a prune either
// sees the session and waits for it, or it has decided before the session read the index. In that case the session
// finds that content is missing.
//
// A session does not rely on the index segment of another session whose commit record is damaged. But the snapshot may
// need packs that only such a segment names, above all if its own record is the damaged one. The new session then names
// these packs in its own index segment.

import BakCore
import BakFormat
import BakStorage

/// A snapshot that the user no longer wants.
public struct ForgottenSnapshot: Sendable {
    /// Its commit record.
    public var snapshot: CommitRecord
    /// The program that forgot it, and when; nil if the marker is damaged.
    public var origin: RecordOrigin?
}

/// The outcome of taking back a snapshot.
public enum TakingBackOutcome: Sendable {
    /// It is available again, under this record.
    case back(CommitRecord)
    /// A prune has deleted some of its content, so it stays forgotten.
    case final
    /// Some of its content is damaged.
    case damaged(CorruptionError)
}

extension Repository {
    /// Returns the forgotten snapshots, oldest first. It leaves out a snapshot that is still there under another id, as
    /// after a change of tags, and a snapshot whose record cannot be read.
    ///
    /// - Throws: `StoreError` if they cannot be listed or read.
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

    /// Commits a forgotten snapshot again. If the outcome is `back`, the snapshot is durable, and no prune deletes its
    /// content. Content that a prune has condemned but not yet deleted is stored anew, which takes space.
    ///
    /// - Throws: `RepositoryError.keepsChanging` if prunes interfere in every attempt, and `StoreError`.
    public func takeBack(
        _ forgotten: CommitRecord, host: String, program: String
    ) throws -> TakingBackOutcome {
        let outcome = try takeBack(forgotten, host: host, program: program, faults: ProtocolFaults())
        // If the old snapshot's marker does not open, forget the old snapshot again: that replaces the marker. Nothing
        // is lost, because the new snapshot has everything that the old one has.
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

    /// Takes a snapshot back. `kept` are packs that the snapshot needs and that the new session would not find in its
    /// index.
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
            // More space does not help if a prune has deleted content.
            if try !hasAll(forgotten, keeping: kept) { return .final }
            throw error
        }
    }

    /// Returns the packs that a snapshot needs and that only sessions with a damaged record name.
    private func unnamedPacks(of snapshot: CommitRecord) throws -> BackupSession.KeptPacks {
        let index = try BlobIndex(self)
        let sessions = index.trusted.sessions.intersection(index.trusted.outcomes.damaged)
        guard !sessions.isEmpty, let needed = try blobs(of: snapshot, index) else {
            return BackupSession.KeptPacks()
        }
        let kept = try sessions.sorted().flatMap { try packs(of: $0, having: needed) }
        return BackupSession.KeptPacks(packs: kept, round: index.trusted.round)
    }

    /// Returns the ids of all blobs that a snapshot refers to; nil if a manifest blob is missing or unreadable.
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

    /// Returns the packs of a session that hold blobs of `needed`; none if the session's segment cannot be read.
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

    /// Returns a fault if the snapshot's own index segment is missing although it still counts: no decision of a prune
    /// has replaced it by another segment.
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
                reason: "the index segment is missing. Rebuild it with: bakstore repair index")
        }
    }

    /// True if all content of a forgotten snapshot is there. The check registers no session, so a prune may delete
    /// content afterwards.
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

    /// True if some forgotten snapshot still has all its content.
    ///
    /// - Throws: `CorruptionError` if a snapshot or the index needs a newer program, and `StoreError`.
    public func canTakeAnyBack() throws -> Bool {
        // The snapshot that was forgotten last most likely has all its content.
        try forgottenSnapshots().reversed().contains { forgotten in
            let snapshot = forgotten.snapshot
            do {
                if try hasAll(snapshot, keeping: BackupSession.KeptPacks()) { return true }
                let kept = try unnamedPacks(of: snapshot)
                return try !kept.packs.isEmpty && hasAll(snapshot, keeping: kept)
            } catch let error as CorruptionError where error.cause != .newerProgram {
                // A repair may make the snapshot whole again, so it counts.
                return true
            }
        }
    }
}
