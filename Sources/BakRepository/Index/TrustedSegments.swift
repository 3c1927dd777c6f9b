// TrustedSegments: which index segments count. The segments of committed sessions count, and those that the newest
// decision names. The latter replace the segments of the sessions that the decision supersedes.
//
// The order of reading is `gc/`, `records/`, `snapshots/`, `index/`. A collection removes superseded objects only after
// its decision. If an object that should be there is missing, a newer decision explains it.

import BakCore
import BakFormat
import BakStorage

/// The index segments that count at some moment.
struct TrustedSegments {
    /// The newest decided round.
    var round: UInt64 = 0
    /// The plans and decisions seen with that round.
    var collections: CollectionState
    /// The key of each segment, by its id: a session's id, or that of a segment of the base.
    var keys: [ID128: ObjectKey] = [:]
    /// How sessions had ended when the list was made, from listings, the decision and damaged records.
    var outcomes = SessionOutcomes()
    /// How sessions had ended according to the listings alone.
    var listed = SessionOutcomes()
    /// The sessions among `keys`.
    var sessions: Set<ID128> = []
    /// The segments that should be there and are not.
    var missing: [ObjectKey] = []

    /// The whole content, for `Milestones`.
    var knowledge: String {
        let keys = keys.sorted { $0.key < $1.key }
        return "\(collections) \(keys) \(listed.knowledge) \(outcomes.knowledge) \(missing)"
    }

    /// The segments' ids.
    var ids: Set<ID128> { Set(keys.keys) }

    /// Lists the segments that count, starting from the state of `gc/`.
    ///
    /// A session with a damaged record counts for readers and collections. A collection that knows its segment deletes
    /// its packs only together with the segment. A session that stores (`isStoring`) does not rely on such a segment,
    /// because a damaged tombstone looks the same.
    ///
    /// Throws `CorruptionError` if the newest decision cannot be read.
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
        // Many sessions store nothing and have no segment. List again only if there is a newer decision.
        if !trusted.missing.isEmpty || !wanted.isSubset(of: trusted.sessions),
            try repository.collectionRounds().decided != trusted.round
        {
            return try list(repository, try repository.collectionState(), isStoring: isStoring, milestones)
        }
        return trusted
    }

    /// Lists every segment that is there. A reader falls back on this if the newest decision cannot be read.
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
