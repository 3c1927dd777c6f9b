// TrustedSegments: which index segments count. Those of sessions that committed, and those that the newest
// decision names, which stand for the sessions that it supersedes.
//
// Read in this order: `gc/`, `records/`, `snapshots/`, `index/`. A collection removes what it superseded only after its
// decision, so when something is missing that should be there, a newer decision says why.

import BakCore
import BakFormat
import BakStorage

/// The index segments that count at some moment.
struct TrustedSegments {
    /// The newest decided round.
    var round: UInt64 = 0
    /// The plans and decisions that were seen with it.
    var collections: CollectionState
    /// Where each segment is, by the id that it is known by: a session's, or its own.
    var keys: [ID128: ObjectKey] = [:]
    /// How sessions had ended when the list was made.
    var outcomes = SessionOutcomes()
    /// The same as listings alone show it.
    var listed = SessionOutcomes()
    /// The sessions among `keys`.
    var sessions: Set<ID128> = []
    /// What should be there and is not.
    var missing: [ObjectKey] = []

    /// All that it says, for `Milestones`.
    var knowledge: String {
        let keys = keys.sorted { $0.key < $1.key }
        return "\(collections) \(keys) \(listed.knowledge) \(outcomes.knowledge) \(missing)"
    }

    /// The segments' ids.
    var ids: Set<ID128> { Set(keys.keys) }

    /// Lists what counts, beginning with what `gc/` says.
    ///
    /// Throws `CorruptionError` when the newest decision cannot be read. A session with a damaged record counts for
    /// readers and collections alike: who knows its segment deletes its packs only together with that. Nobody stores by
    /// what it names (`isStoring`), as a damaged tombstone looks the same.
    static func list(
        _ repository: Repository, isStoring: Bool, _ milestones: Milestones = Milestones()
    ) throws -> TrustedSegments {
        milestones.reached("list")
        return try list(repository, try repository.collectionState(), isStoring: isStoring, milestones)
    }

    private static func list(
        _ repository: Repository, _ state: CollectionState, isStoring: Bool, _ milestones: Milestones
    ) throws -> TrustedSegments {
        milestones.reached("listing snapshots", ["\(state)"])
        var trusted = TrustedSegments(collections: state)
        trusted.round = state.rounds.decided
        trusted.listed = try repository.sessionOutcomes(asksSpares: !isStoring)
        trusted.outcomes = trusted.listed
        trusted.outcomes.noteCommitted(state.decision?.superseded ?? [])
        milestones.reached(
            "listing segments", ["\(state) \(trusted.listed.knowledge) \(trusted.outcomes.knowledge)"])
        var wanted = trusted.outcomes.committed
        let listed = try repository.store.list(ObjectNames.index)
        try repository.unmaskDamagedRecords(
            &trusted.outcomes, among: listed.lazy.compactMap { ObjectNames.id(in: $0.key) })
        if !isStoring { wanted.formUnion(trusted.outcomes.damaged) }
        if let decision = state.decision { wanted.subtract(decision.superseded) }
        let base = Set(state.decision?.base ?? [])
        for info in listed {
            if let (round, id) = ObjectNames.baseSegment(in: info.key) {
                if round == trusted.round, base.contains(id) { trusted.keys[id] = info.key }
            } else if let session = ObjectNames.id(in: info.key), wanted.contains(session) {
                trusted.keys[session] = info.key
                trusted.sessions.insert(session)
            }
        }
        trusted.missing = base.subtracting(trusted.keys.keys).sorted().map {
            ObjectNames.baseSegment(trusted.round, $0)
        }
        // Many sessions store nothing and have no segment; only a newer decision makes a difference.
        if !trusted.missing.isEmpty || !wanted.isSubset(of: trusted.sessions),
            try repository.collectionRounds().decided != trusted.round
        {
            return try list(repository, try repository.collectionState(), isStoring: isStoring, milestones)
        }
        return trusted
    }

    /// Every segment that is there: what a reader falls back on where the newest decision cannot be read.
    static func everything(_ repository: Repository) throws -> TrustedSegments {
        let rounds = try repository.collectionRounds()
        var trusted = TrustedSegments(
            round: rounds.decided,
            collections: CollectionState(rounds: rounds, decision: nil, openPlans: []))
        trusted.outcomes = try repository.sessionOutcomes()
        let listed = try repository.store.list(ObjectNames.index)
        try repository.unmaskDamagedRecords(
            &trusted.outcomes, among: listed.lazy.compactMap { ObjectNames.id(in: $0.key) })
        for info in listed {
            if let (_, id) = ObjectNames.baseSegment(in: info.key) {
                trusted.keys[id] = info.key
            } else if let session = ObjectNames.id(in: info.key), !trusted.outcomes.revoked.contains(session)
            {
                trusted.keys[session] = info.key
                trusted.sessions.insert(session)
            }
        }
        return trusted
    }
}
