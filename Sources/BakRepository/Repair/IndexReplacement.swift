// IndexReplacement: a collection round that deletes nothing and replaces everything that is trusted so far with another
// index.
//
// It need not wait for running sessions, because the packs that they rely on stay in place. If the new index no longer
// names some blobs, all sessions that began before are ended. Their backups continue in new sessions and store these
// blobs again.

import BakCore
import BakFormat
import BakStorage

/// Replaces the trusted index. For one thread.
struct IndexReplacement {
    private let repository: Repository
    private let origin: RecordOrigin
    /// The sessions whose own segments no longer count.
    private let superseded: Set<ID128>
    /// The round to be decided.
    let round: UInt64
    /// The packs that earlier decisions delete, as far as these can be read. Some may still be there.
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
                // Its packs hold nothing that is needed, or only copies, so naming one does no harm.
            }
        }
        deletedPacks = deleted
        self.superseded = superseded
    }

    /// Puts the decision that these segments are the index. Returns false if another program decided the round first.
    /// Then the segments are deleted again, and the caller must look at everything again.
    func decide(_ base: [ID128]) throws -> Bool {
        let plan = CollectionPlan(number: round, origin: origin, condemned: [])
        // Another program's plan serves as well: this decision does not delete what that plan condemned.
        _ = try repository.store.putOwn(ObjectNames.plan(round), plan.encode(repository.context))
        let decision = CollectionDecision(
            number: round, origin: origin, deleted: [], base: base, superseded: Array(superseded))
        if try repository.store.putOwn(ObjectNames.decision(round), decision.encode(repository.context)) {
            return true
        }
        for id in base { try repository.store.delete(ObjectNames.baseSegment(round, id)) }
        return false
    }

    /// Ends every undecided session. If its backup still runs, it learns that the index has changed. Before it commits,
    /// it looks up again everything that it refers to.
    func endSessions() throws { _ = try Self.watch(repository).settle() }

    private static func watch(_ repository: Repository) -> SessionWatch {
        var options = PruneOptions()
        options.graceSeconds = 0
        return SessionWatch(repository, options, onEvent: { _ in }, stop: .never)
    }
}
