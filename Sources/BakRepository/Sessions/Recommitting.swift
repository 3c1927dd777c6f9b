// Recommitting: changes what a snapshot's record says. A snapshot is immutable, so a new session commits the changed
// record. The old snapshot is forgotten only after the new one is committed.
//
// If a prune ends the session, or moves or deletes content meanwhile, the work begins again with the newest index.
// Content is reported as gone only if the index lacks it and no prune has decided a round since the index was read.

import BakCore
import BakFormat
import BakStorage

extension Repository {
    /// The number of attempts before the work fails.
    private static var attempts: Int { 10 }

    /// Calls `body` with a session. If a collection got in the way, calls it again with another session, which takes
    /// over the packs that the session before stored.
    ///
    /// - Throws: what `body` throws, and `RepositoryError.keepsChanging` if collections get in the way again and again.
    public func storing<Result>(
        host: String, program: String, _ body: (BackupSession) throws -> Result
    ) throws -> Result {
        try storing(host: host, program: program, keeping: BackupSession.KeptPacks(), body)
    }

    /// Calls `body` in the same way. The first session takes over the packs `kept`, which no index segment names.
    func storing<Result>(
        host: String, program: String, keeping kept: BackupSession.KeptPacks, fromReserve: Bool = false,
        faults: ProtocolFaults = ProtocolFaults(), _ body: (BackupSession) throws -> Result
    ) throws -> Result {
        var kept = kept
        for attempt in 1...Self.attempts {
            var faults = faults
            faults.milestones = faults.milestones.inside(["attempt \(attempt)"])
            let session = try BackupSession(
                self, host: host, program: program, keeping: kept, fromReserve: fromReserve, faults: faults)
            defer { session.close() }
            do {
                return try body(session)
            } catch {
                guard try session.isOvertaken(error) else { throw error }
                kept = session.keptPacks
            }
        }
        throw RepositoryError.keepsChanging(location: store.location)
    }

    /// Calls `body`, and calls it again if something was not found and a collection decided a round meanwhile. The
    /// missing object may have been forgotten and deleted, or may have moved.
    ///
    /// - Throws: what `body` throws, and `RepositoryError.keepsChanging` if collections get in the way again and again.
    public func undisturbed<Result>(_ body: () throws -> Result) throws -> Result {
        for _ in 0..<Self.attempts {
            let round = try collectionRounds().decided
            do {
                return try body()
            } catch  where RepositoryError.mayHaveMoved(error) {
                if try collectionRounds().decided == round { throw error }
            }
        }
        throw RepositoryError.keepsChanging(location: store.location)
    }

    /// Commits changed snapshots again and forgets the old ones. Returns false if `stop` ended the work early.
    ///
    /// - Parameters:
    ///   - changes: the record of each snapshot as it is and as it should become.
    ///   - onDone: called after each commit with the old and the new record.
    /// - Throws: `RepositoryError.snapshotRemoved` if a snapshot was forgotten and a prune has deleted its content,
    ///   `RepositoryError.keepsChanging`, and what `onDone` throws.
    public func recommit(
        _ changes: [(old: CommitRecord, new: CommitRecord)], host: String, program: String,
        stop: StopSignal, onDone: (_ old: CommitRecord, _ new: CommitRecord) throws -> Void
    ) throws -> Bool {
        var rest = changes[...]
        while let first = rest.first {
            do {
                return try storing(host: host, program: program) { session in
                    let keeper = ContentKeeper(session)
                    while let change = rest.first {
                        guard !stop.isRequested, try keeper.keepAll(of: change.old.root, stop: stop)
                        else { return false }
                        let record = try session.commit(continuing: rest.count > 1) { id, hasIndex in
                            var record = change.new
                            (record.id, record.hasIndex) = (id, hasIndex)
                            record.original = change.old.originalID
                            return record
                        }
                        rest.removeFirst()
                        try forget([change.old.id], host: host, program: program)
                        try onDone(change.old, record)
                    }
                    return true
                }
            } catch RepositoryError.keepsChanging where rest.first?.old.id != first.old.id {
                // At least one snapshot was committed, so the next call will make progress, too.
                continue
            } catch  where RepositoryError.mayHaveMoved(error) {
                guard let lost = rest.first?.old.id, try isForgotten(lost) else { throw error }
                throw RepositoryError.snapshotRemoved(lost)
            }
        }
        return true
    }
}
