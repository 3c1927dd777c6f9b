// Sweep: carries out the newest decision. Several programs may sweep at once, repeat a sweep, and stop anywhere in it,
// because no snapshot and no session relies on objects that a decision has given up.

import BakCore
import BakFormat
import BakStorage

/// Deletes the objects that a decision made superfluous. For one thread.
struct Sweep {
    private let repository: Repository
    private let decision: CollectionDecision
    private let milestones: Milestones
    private let onProgress: (_ done: Int, _ total: Int) -> Void
    private let onDeleted: (_ pack: ID128) -> Void
    private let stop: StopSignal

    init(
        _ repository: Repository, _ decision: CollectionDecision, _ milestones: Milestones,
        onProgress: @escaping (_ done: Int, _ total: Int) -> Void,
        onDeleted: @escaping (_ pack: ID128) -> Void, stop: StopSignal
    ) {
        self.repository = repository
        self.decision = decision
        self.milestones = milestones
        self.onProgress = onProgress
        self.onDeleted = onDeleted
        self.stop = stop
    }

    /// Deletes index segments that no longer count, then the given packs, then the records of decided sessions. `packs`
    /// are the packs that the decision deletes and that are still stored. Returns false if `stop` ended the sweep
    /// early.
    func run(packs: [ID128]) throws -> Bool {
        let outcomes = try repository.sessionOutcomes()
        let segments = try supersededSegments(outcomes)
        let keys = segments + packs.map(ObjectNames.pack)
        var done = 0
        while done < keys.count {
            milestones.reached("sweep", keys[done...].map(\.description))
            if stop.isRequested { return false }
            // Segments are deleted before packs, and never in one request with packs. So even after an interruption, no
            // segment names a deleted pack.
            let rest = done < segments.count ? keys[done..<segments.count] : keys[done...]
            let batch = rest.prefix(repository.store.traits.deletesAtOnce)
            if batch.count == 1 {
                try repository.store.delete(batch[done])
            } else {
                try repository.store.delete(Array(batch))
            }
            for place in batch.indices where place >= segments.count {
                onDeleted(packs[place - segments.count])
            }
            done = batch.endIndex
            onProgress(done, keys.count)
        }
        milestones.reached("swept")
        try Self.removeDecidedSessions(repository, milestones)
        return true
    }

    private func supersededSegments(_ outcomes: SessionOutcomes) throws -> [ObjectKey] {
        let (base, superseded) = (Set(decision.base), Set(decision.superseded))
        let listed = try repository.store.list(ObjectNames.index).map(\.key)
        var outcomes = outcomes
        // In a listing, a damaged commit record can look like a tombstone. Then the session's segment must not be
        // deleted.
        try repository.unmaskDamagedRecords(&outcomes, among: listed.compactMap { ObjectNames.id(in: $0) })
        return listed.filter { key in
            if let (round, id) = ObjectNames.baseSegment(in: key) {
                // A segment of a later round may belong to a decision that another program is about to make.
                return round < decision.number || (round == decision.number && !base.contains(id))
            }
            guard let session = ObjectNames.id(in: key) else { return false }
            return superseded.contains(session) || outcomes.revoked.contains(session)
        }
    }

    /// Removes the records of decided sessions. The records of undecided sessions stay, so that other prunes wait for
    /// these sessions.
    static func removeDecidedSessions(_ repository: Repository, _ milestones: Milestones) throws {
        // Sessions are listed before outcomes. So if a session commits between the two listings, it counts as decided.
        let sessions = try repository.store.list(ObjectNames.sessions).compactMap {
            ObjectNames.id(in: $0.key)
        }
        guard !sessions.isEmpty else { return }
        let outcomes = try repository.sessionOutcomes()
        let decided = sessions.filter(outcomes.isDecided)
        for (done, session) in decided.enumerated() {
            milestones.reached("decided sessions", ["\(decided[done...])"])
            try repository.store.delete(ObjectNames.session(session))
        }
    }
}
