// SessionWatch: sees to it that sessions are decided. A session that is not is left alone for a while and then ended by
// a tombstone. What follows is safe whenever that is done. The time of day, which differs between machines, has no part
// in it.

import BakCore
import BakFormat
import BakStorage

/// Waits for sessions and ends them. For one thread.
final class SessionWatch {
    private let repository: Repository
    private let options: PruneOptions
    private let onEvent: (PruneEvent) -> Void
    private let stop: StopSignal
    /// When each session is ended, on the monotonic clock.
    private var deadlines: [ID128: UInt64] = [:]
    /// In a store that does not guard names, the sessions that were there at first: no program is behind them, as the
    /// user says. One that comes later belongs to a backup, which a tombstone could rob of its snapshot.
    private var abandoned: Set<ID128>?
    /// How many sessions were ended.
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

    /// The sessions that have neither committed nor been revoked.
    func undecided() throws -> Set<ID128> {
        // In this order: a session that commits in between is decided.
        let sessions = try repository.store.list(ObjectNames.sessions).compactMap {
            ObjectNames.id(in: $0.key)
        }
        let outcomes = sessions.isEmpty ? SessionOutcomes() : try repository.sessionOutcomes()
        let open = Set(sessions.filter { !outcomes.isDecided($0) })
        if !repository.store.guardsNames, abandoned == nil { abandoned = open }
        return open
    }

    /// Waits until every session that is there now is decided, and decides those that take too long. False when it
    /// was stopped before.
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
                    // It can neither be ended nor commit. The others are ended all the same.
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
        // All that were seen are decided.
        deadlines = [:]
        return true
    }

    /// When a session that is seen for the first time will be ended.
    private func firstSight(of session: ID128, at now: UInt64, _ hasTold: inout Bool) throws -> UInt64 {
        let record: SessionRecord
        do {
            record = try repository.sessionRecord(session)
        } catch is CorruptionError { return now } catch let error as StoreError where error.kind == .notFound
        {
            // It is decided, or its run has ended without a commit. A tombstone says so, if nothing else does.
            return now
        }
        guard options.graceSeconds > 0 else { return now }
        if !hasTold { onEvent(.step(.waiting)) }
        hasTold = true
        onEvent(.waiting(record))
        return now &+ min(options.graceSeconds, 1 << 30) &* 1_000_000_000
    }

    /// Throws if something is in the place where the end of an undecided session would be noted.
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

    /// Ends a session whose record is damaged, as a power cut leaves it: what a program registers is whole. True when
    /// it is decided now.
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
                reason: "a backup has begun meanwhile; when it is done, prune again")
        }
        let bytes = Tombstone(session: session).encode(repository.context)
        // Whichever is there first holds: the commit record or the tombstone.
        let isOurs = try repository.store.putOwn(ObjectNames.snapshot(session), bytes, fromReserve: true)
        guard isOurs else { return }
        revokedCount += 1
        onEvent(.revoked(session))
    }
}
