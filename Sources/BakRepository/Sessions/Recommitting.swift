// Recommitting: a snapshot is an immutable object, so one that is to say something else is committed again by a session
// of its own, and the one before is forgotten: only once the new one is there.
//
// Where a collection gets in the way, what was begun is begun again with what is there by then. That something is gone
// is said only of what is looked up in an index that no collection has overtaken.

import BakCore
import BakFormat
import BakStorage

extension Repository {
    /// How often other programs may get in the way.
    private static var attempts: Int { 10 }

    /// Does something with a session, and does it again with another one where a collection got in the way. What the
    /// ended one has stored the next keeps.
    ///
    /// Throws what `body` throws, and `RepositoryError.keepsChanging` when collections get in the way again and again.
    public func storing<Result>(
        host: String, program: String, _ body: (BackupSession) throws -> Result
    ) throws -> Result {
        try storing(host: host, program: program, keeping: BackupSession.KeptPacks(), body)
    }

    /// The same where `kept` are packs that no segment names for those who store.
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

    /// Looks at something, and looks again where a collection has decided a round meanwhile and something was not
    /// found: it may have been forgotten and be gone, or lie elsewhere.
    ///
    /// Throws what `body` throws, and `RepositoryError.keepsChanging` when collections get in the way again and again.
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

    /// Commits snapshots again as they are changed. False when stopped before the last of them.
    ///
    /// - Parameters:
    ///   - changes: each snapshot as it is, and with what it shall say.
    ///   - onDone: told of each, with its new record.
    ///
    /// Throws `RepositoryError.snapshotRemoved` when one was forgotten and a prune has taken what it had.
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
                // It has come further, if slowly.
                continue
            } catch  where RepositoryError.mayHaveMoved(error) {
                guard let lost = rest.first?.old.id, try isForgotten(lost) else { throw error }
                throw RepositoryError.snapshotRemoved(lost)
            }
        }
        return true
    }
}
