// IndexReplacement: a round of its own that deletes no pack and names an index that was made anew. It is how an index
// is repaired beside backups and prunes: they see a decision like any other.

import BakCore
import BakFormat
import BakStorage

/// Replaces what counts as the index.
public final class IndexReplacement {
    private let repository: Repository
    private let origin: RecordOrigin
    private let watch: SessionWatch

    /// Prepares a replacement; `options` says how long running sessions are left alone.
    public init(
        _ repository: Repository, _ options: PruneOptions = PruneOptions(), host: String, program: String,
        onEvent: @escaping @Sendable (PruneEvent) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.repository = repository
        origin = RecordOrigin(time: repository.time.now(), host: host, program: program)
        watch = SessionWatch(repository, options, onEvent: onEvent, shouldStop: isCancelled)
    }

    /// Replaces the index by segments that `makeSegments` hands to its second argument, each under an id of its own.
    /// Its first argument are the packs that may be named and their sizes; a blob may be named in several.
    ///
    /// Returns the decision; nil when another program's came first or it was cancelled, and nothing has changed.
    /// Old segments are removed by the next prune.
    public func run(
        _ makeSegments: (_ packs: [ID128: Int], _ add: (IndexSegment) throws -> Void) throws -> Void
    ) throws -> CollectionDecision? {
        try repository.expectCollectableStore()
        let rounds = try repository.collectionRounds()
        let number = rounds.open.first ?? rounds.decided + 1
        if rounds.open.isEmpty {
            let plan = CollectionPlan(number: number, origin: origin, condemned: [])
            _ = try repository.store.putOwn(Layout.plan(number), plan.encode(repository.context))
        }
        guard try watch.settle() else { return nil }
        // In this order: the packs of a session that has committed are there.
        let outcomes = try repository.sessionOutcomes()
        var packs = try repository.listPacks()
        var superseded: Set<ID128> = []
        for round in 1..<number {
            // What was to be deleted may still be deleted at any time.
            guard let decision = try readable(round) else { continue }
            for pack in decision.deleted { packs[pack] = nil }
            superseded.formUnion(decision.superseded)
        }
        var base: [ID128] = []
        try makeSegments(packs) { segment in
            try segment.encode(repository.context).withUnsafeBytes {
                try repository.store.stage(Layout.baseSegment(number, segment.session), $0)
            }
            base.append(segment.session)
        }
        try repository.store.publishStaged()
        let decision = CollectionDecision(
            number: number, origin: origin, deleted: [], base: base,
            superseded: Array(superseded.union(outcomes.committed).union(outcomes.damaged)))
        let bytes = decision.encode(repository.context)
        return try repository.store.putOwn(Layout.decision(number), bytes) ? decision : nil
    }

    /// A round's decision; nil where it is damaged or missing.
    private func readable(_ round: UInt64) throws -> CollectionDecision? {
        do {
            return try repository.collectionDecision(round)
        } catch is CorruptionError { return nil } catch let error as StoreError where error.kind == .notFound
        {
            return nil
        }
    }
}
