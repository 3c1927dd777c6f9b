// TakingBack: forgotten snapshots become snapshots again, as long as no prune has taken what they had. A forget marker
// stays for ever, since a prune may have read it. So the snapshot is committed again under a new session, like a backup
// that stores nothing: the session is registered before anything is looked up, and then all that the snapshot refers to must
// be in the trusted index and not condemned. From then on a prune either sees the session and waits, or has decided.

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
    /// The forgotten snapshots, oldest first. Left out are those that are there as a whole under another id, as after a change of
    /// tags, and those whose record cannot be read.
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
        let key = Layout.forget(id)
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

    /// Commits a forgotten snapshot again. On return with `back` it is durable, and no prune takes what it has.
    public func takeBack(
        _ forgotten: CommitRecord, host: String, program: String
    ) throws -> TakingBackOutcome {
        try takeBack(forgotten, host: host, program: program, faults: ProtocolFaults())
    }

    /// The same where `kept` are packs that no segment names for those who store.
    func takeBack(
        _ forgotten: CommitRecord, host: String, program: String,
        keeping kept: BackupSession.KeptPacks = BackupSession.KeptPacks(), faults: ProtocolFaults
    ) throws -> TakingBackOutcome {
        for attempt in 1... {
            var faults = faults
            faults.milestones = faults.milestones.inside(["take back \(attempt)"])
            let session: BackupSession
            do {
                session = try BackupSession(
                    self, host: host, program: program, keeping: kept, fromReserve: true,
                    faults: faults)
            } catch let error as StoreError where error.kind == .full {
                // More room is no help to what a prune has taken.
                if try isFinal(forgotten, host: host, program: program) { return .final }
                throw error
            }
            defer { session.close() }
            do {
                if !faults.takeBackUnchecked { try session.expectAll(of: forgotten.root) }
                if let fault = session.damagedPacks.first { return .damaged(fault) }
                let record = try session.commit(continuing: false) { id, hasIndex in
                    var record = forgotten
                    (record.id, record.hasIndex, record.original) = (id, hasIndex, forgotten.originalID)
                    return record
                }
                return .back(record)
            } catch is MissingBlobError {
                return .final
            } catch RepositoryError.sessionRevoked {
                return .final
            } catch let error as CorruptionError where error.cause != .newerProgram {
                // A prune that ended the session may have deleted what was being read.
                guard try sessionOutcomes(asksSpares: false).revoked.contains(session.id),
                    attempt < Self.takingBackAttempts
                else { return .damaged(error) }
            }
        }
        return .final
    }

    /// Whether something that a forgotten snapshot had is gone, looked up without a session: what is there may still go.
    private func isFinal(_ forgotten: CommitRecord, host: String, program: String) throws -> Bool {
        let view = try BackupSession(self, host: host, program: program, isDryRun: true)
        defer { view.close() }
        do {
            try view.expectAll(of: forgotten.root)
            return false
        } catch is MissingBlobError {
            return true
        }
    }

    /// True if some forgotten snapshot still has all that it had.
    func canTakeAnyBack() throws -> Bool {
        let forgotten = try forgottenSnapshots()
        guard !forgotten.isEmpty else { return false }
        let view = try BackupSession(self, host: "", program: "", isDryRun: true)
        defer { view.close() }
        // What was removed last is the likeliest to be there.
        return try forgotten.reversed().contains { forgotten in
            do {
                try view.expectAll(of: forgotten.snapshot.root)
                return true
            } catch is MissingBlobError {
                return false
            } catch let error as CorruptionError where error.cause != .newerProgram {
                // Repaired it may come back.
                return true
            }
        }
    }

    private static var takingBackAttempts: Int { 5 }
}
