// TrustedSegments: which index segments count. These are the segments that the newest decision names, called the base,
// and the segments of all committed sessions that the decision does not supersede.
//
// A program reads `gc/`, `records/`, `snapshots/` and `index/` in this order. A collection removes superseded objects
// only after it has put its decision. So if a segment that should count is missing, the program looks for a newer
// decision. If there is one, the program begins again; otherwise the segment is lost.

import BakCore
import BakFormat
import BakStorage

/// The index segments that count at some moment.
struct TrustedSegments {
    /// The newest decided round.
    var round: UInt64 = 0
    /// The newest decision, and the plans that have no decision.
    var collections: CollectionState
    /// The key of each segment, by its id: a session's id, or that of a segment of the base.
    var keys: [ID128: ObjectKey] = [:]
    /// How sessions had ended when the list was made, according to listings, the decision and a look into tombstones.
    var outcomes = SessionOutcomes()
    /// How sessions had ended according to the listings alone.
    var listed = SessionOutcomes()
    /// The sessions that have a segment in `keys`.
    var sessions: Set<ID128> = []
    /// The segments that the newest decision names and that are not in the store.
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
    /// If the object of a session in `snapshots/` is damaged, it is unknown whether the object was a commit record or a
    /// tombstone. Readers count the segment of this session, because the session may have committed. Collections also
    /// count the segment. If they did not, the session's packs would be strays, and a collection would delete them
    /// although the session may have committed. A session that stores (`isStoring`) does not count the segment. The
    /// damaged object may be a tombstone, and the packs of a revoked session may be deleted at any time.
    ///
    /// Throws `CorruptionError` if the newest decision or an open plan cannot be read.
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
        // If a segment may be missing, list again, but only if there is a newer decision. A committed session without a
        // segment does not prove that there is a newer decision, because many sessions store nothing.
        if !trusted.missing.isEmpty || !wanted.isSubset(of: trusted.sessions),
            try repository.collectionRounds().decided != trusted.round
        {
            return try list(repository, try repository.collectionState(), isStoring: isStoring, milestones)
        }
        return trusted
    }

    /// Lists every segment in the store, except those of revoked sessions. A reader uses this list if the newest
    /// decision or an open plan cannot be read.
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
