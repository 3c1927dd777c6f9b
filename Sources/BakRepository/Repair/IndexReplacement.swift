// IndexReplacement: a round that deletes nothing, and replaces all trusted index segments with new ones. A round is one
// numbered unit of a prune's work. Its plan condemns packs, which may then be deleted. Its decision names the packs
// that are deleted, and the index segments that are trusted from then on.
//
// The replacement need not wait for running sessions, because the packs on which they rely stay in place. If the new
// index no longer names some blobs, a running session may still rely on them. The repair then calls `endSessions`. The
// backups continue in new sessions and store these blobs again.

import BakCore
import BakFormat
import BakStorage

/// Replaces the trusted index. For one thread.
struct IndexReplacement {
    private let repository: Repository
    private let origin: RecordOrigin
    /// The sessions whose index segments the new index replaces.
    private let superseded: Set<ID128>
    /// The round to be decided.
    let round: UInt64
    /// The packs that earlier decisions delete, if the decisions can be read. Some of these packs may still be in the
    /// store.
    let deletedPacks: Set<ID128>

    /// Prepares a replacement of the index that `trusted` describes.
    init(_ repository: Repository, _ trusted: TrustedSegments, _ request: RepairRequest) throws {
        self.repository = repository
        origin = RecordOrigin(time: repository.time.now(), host: request.host, program: request.program)
        round = trusted.round + 1
        if !request.isDryRun {
            try repository.expectCollectableStore(isAlone: request.isAlone)
            try Self.watch(repository).expectEndable()
        }
        var deleted: Set<ID128> = []
        var superseded = trusted.outcomes.committed.union(trusted.outcomes.damaged)
        for info in try repository.store.list(ObjectNames.collections) {
            guard let (number, isDecision) = ObjectNames.round(in: info.key), isDecision,
                number <= trusted.round
            else { continue }
            do {
                let decision = try repository.collectionDecision(number)
                deleted.formUnion(decision.deleted)
                superseded.formUnion(decision.superseded)
            } catch is CorruptionError {
                // As this decision cannot be read, the new index may name a pack that it deletes. That does no harm: no
                // snapshot needs the blobs of such a pack, or other packs have copies of them.
            }
        }
        deletedPacks = deleted
        self.superseded = superseded
    }

    /// Stores the decision that the segments `base` are the index. Returns false if another program decided the round
    /// first. These segments are then deleted again, and the caller must examine the repository again.
    func decide(_ base: [ID128]) throws -> Bool {
        let plan = CollectionPlan(number: round, origin: origin, condemned: [])
        // If another program has stored a plan for this round, that plan serves as well. The decision deletes nothing,
        // even if that plan condemns packs.
        _ = try repository.store.putOwn(ObjectNames.plan(round), plan.encode(repository.context))
        let decision = CollectionDecision(
            number: round, origin: origin, deleted: [], base: base, superseded: Array(superseded))
        if try repository.store.putOwn(ObjectNames.decision(round), decision.encode(repository.context)) {
            return true
        }
        for id in base { try repository.store.delete(ObjectNames.baseSegment(round, id)) }
        return false
    }

    /// Ends every undecided session. A backup that still runs then finds that its session has ended. Before it commits
    /// in a new session, it looks up again everything to which it refers.
    func endSessions() throws { _ = try Self.watch(repository).settle() }

    private static func watch(_ repository: Repository) -> SessionWatch {
        var options = PruneOptions()
        options.graceSeconds = 0
        return SessionWatch(repository, options, onEvent: { _ in }, stop: .never)
    }
}
