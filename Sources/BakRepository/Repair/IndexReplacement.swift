// IndexReplacement: a collection's round that deletes nothing and puts another index in the place of all that is
// trusted so far.
//
// It need not wait for running sessions: what they count on stays where it is. Where the new index does not name
// something any more, those that began before are ended: they go on under new sessions, and store it again.

import BakCore
import BakFormat
import BakStorage

/// Replaces the trusted index. For one thread.
struct IndexReplacement {
    private let repository: Repository
    private let origin: RecordOrigin
    /// The sessions whose own segments count no more.
    private let superseded: Set<ID128>
    /// The round that it decides.
    let round: UInt64
    /// Packs that were decided to be deleted, as far as decisions can be read; some may be there still.
    let deletedPacks: Set<ID128>

    /// Begins with what `trusted` says counts now.
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
                // Its packs hold nothing that is needed, or copies: to name one is no loss.
            }
        }
        deletedPacks = deleted
        self.superseded = superseded
    }

    /// Puts the decision that these segments are the index. False when another program decided the round before,
    /// so that all must be looked at again; the segments are gone then.
    func decide(_ base: [ID128]) throws -> Bool {
        let plan = CollectionPlan(number: round, origin: origin, condemned: [])
        // Another program's plan serves as well: what it condemned is not deleted.
        _ = try repository.store.putOwn(ObjectNames.plan(round), plan.encode(repository.context))
        let decision = CollectionDecision(
            number: round, origin: origin, deleted: [], base: base, superseded: Array(superseded))
        if try repository.store.putOwn(ObjectNames.decision(round), decision.encode(repository.context)) {
            return true
        }
        for id in base { try repository.store.delete(ObjectNames.baseSegment(round, id)) }
        return false
    }

    /// Ends every session that is not decided. Its backup, if it runs, learns that the index has changed, and looks
    /// up again what it refers to before it commits.
    func endSessions() throws { _ = try Self.watch(repository).settle() }

    private static func watch(_ repository: Repository) -> SessionWatch {
        var options = PruneOptions()
        options.graceSeconds = 0
        return SessionWatch(repository, options, onEvent: { _ in }, stop: .never)
    }
}
