// SessionWatch: makes sure that sessions get decided. A session is decided once it has committed or was revoked. To
// revoke a session is to put its tombstone, after which it can no longer commit. The watch gives an undecided session
// some time to commit and then revokes it. This is safe at any moment, because no snapshot relies on a revoked session.
// The watch measures the time on the monotonic clock of its own machine. It uses no times from records, because the
// clocks of different machines differ.

import BakCore
import BakFormat
import BakStorage

/// Waits for sessions, and revokes those that take too long. For one thread.
final class SessionWatch {
    private let repository: Repository
    private let options: PruneOptions
    private let onEvent: (PruneEvent) -> Void
    private let stop: StopSignal
    /// The time at which each session is revoked, on the monotonic clock.
    private var deadlines: [ID128: UInt64] = [:]
    /// If the store cannot refuse a taken name, the sessions that were undecided at first; nil for other stores. The
    /// user says that no other program runs, so these sessions are abandoned and may be revoked. A session that appears
    /// later belongs to a running backup. In such a store, its tombstone could replace the backup's commit record.
    private var abandoned: Set<ID128>?
    /// The number of sessions that this watch has revoked.
    private(set) var revokedCount = 0
    private static let pauseNanoseconds: UInt64 = 500_000_000

    init(
        _ repository: Repository, _ options: PruneOptions, onEvent: @escaping (PruneEvent) -> Void,
        stop: StopSignal
    ) {
        self.repository = repository
        self.options = options
        self.onEvent = onEvent
        self.stop = stop
    }

    /// Returns the sessions that have neither committed nor been revoked.
    func undecided() throws -> Set<ID128> {
        // Sessions are listed before outcomes. So if a session commits between the two listings, it counts as decided.
        let sessions = try repository.store.list(ObjectNames.sessions).compactMap {
            ObjectNames.id(in: $0.key)
        }
        let outcomes = sessions.isEmpty ? SessionOutcomes() : try repository.sessionOutcomes()
        let open = Set(sessions.filter { !outcomes.isDecided($0) })
        if !repository.store.guardsNames, abandoned == nil { abandoned = open }
        return open
    }

    /// Waits until every session that is undecided now is decided, and revokes sessions that take too long. Returns
    /// false if `stop` was requested before that.
    func settle(_ milestones: Milestones = Milestones()) throws -> Bool {
        var open = try undecided()
        var hasTold = false
        while !open.isEmpty {
            milestones.reached("waiting", ["\(open.sorted()) \(deadlines.sorted { $0.key < $1.key })"])
            let now = repository.time.monotonicNanoseconds()
            var obstruction: StoreError?
            for session in open.sorted() {
                let deadline = try deadlines[session] ?? firstSight(of: session, at: now, &hasTold)
                deadlines[session] = deadline
                guard deadline <= now else { continue }
                do {
                    try revoke(session)
                } catch let error as StoreError where error.kind == .obstructed {
                    // An obstruction lies under the name of the session's tombstone and commit record. So this session
                    // stays undecided. Revoke the other sessions before throwing.
                    obstruction = obstruction ?? error
                }
            }
            if let obstruction { throw obstruction }
            let outcomes = try repository.sessionOutcomes()
            open = open.filter { !outcomes.isDecided($0) }
            if open.isEmpty { break }
            if stop.isRequested { return false }
            options.pause(Self.pauseNanoseconds)
        }
        // All sessions seen so far are decided, so their deadlines are not needed any more.
        deadlines = [:]
        return true
    }

    /// Returns the time at which a newly seen session will be revoked.
    private func firstSight(of session: ID128, at now: UInt64, _ hasTold: inout Bool) throws -> UInt64 {
        let record: SessionRecord
        do {
            record = try repository.sessionRecord(session)
        } catch is CorruptionError { return now } catch let error as StoreError where error.kind == .notFound
        {
            // The session has no record any more. Either it is decided, or its program ended without a commit. In the
            // second case it is revoked without waiting.
            return now
        }
        guard options.graceSeconds > 0 else { return now }
        if !hasTold { onEvent(.step(.waiting)) }
        hasTold = true
        onEvent(.waiting(record))
        return now &+ min(options.graceSeconds, 1 << 30) &* 1_000_000_000
    }

    /// Throws if an obstruction is in the place of an undecided session's tombstone.
    func expectEndable() throws {
        let open = try undecided()
        guard !open.isEmpty else { return }
        for found in try repository.store.listWithObstructions(ObjectNames.snapshots).obstructions {
            guard let id = ObjectNames.id(in: found.key), open.contains(id) else { continue }
            throw StoreError(
                kind: .obstructed, operation: "end the session of", object: found.key.description,
                message: "\(found)")
        }
    }

    /// Revokes a session whose record is damaged. A power cut can leave such a record. No running program has this
    /// session, because a program registers a whole record. Returns true if the session is decided now.
    func endIfDamaged(_ session: ID128) throws -> Bool {
        do {
            _ = try repository.sessionRecord(session)
            return false
        } catch let error as CorruptionError where error.cause == .damage {
            try revoke(session)
            return true
        } catch let error as StoreError where error.kind == .notFound { return false }
    }

    private func revoke(_ session: ID128) throws {
        if let abandoned, !abandoned.contains(session) {
            throw RepositoryError.cannotCollect(
                location: repository.store.location,
                reason: "a backup has begun meanwhile. Prune again when it is done")
        }
        let bytes = Tombstone(session: session).encode(repository.context)
        // The commit record and the tombstone have the same name, so only the first of them can be put.
        let isOurs = try repository.store.putOwn(ObjectNames.snapshot(session), bytes, fromReserve: true)
        guard isOurs else { return }
        revokedCount += 1
        onEvent(.revoked(session))
    }
}
