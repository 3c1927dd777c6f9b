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
        if !request.isDryRun { try repository.expectCollectableStore() }
        var deleted: Set<ID128> = []
        var superseded = trusted.outcomes.committed.union(trusted.outcomes.damaged)
        for info in try repository.store.list(Layout.collections) {
            guard let (number, isDecision) = Layout.round(in: info.key), isDecision,
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
        _ = try plan.encode(repository.context).withUnsafeBytes {
            try repository.store.put(Layout.plan(round), $0)
        }
        let decision = CollectionDecision(
            number: round, origin: origin, deleted: [], base: base, superseded: Array(superseded))
        if try repository.store.putOwn(Layout.decision(round), decision.encode(repository.context)) {
            return true
        }
        for id in base { try repository.store.delete(Layout.baseSegment(round, id)) }
        return false
    }

    /// Ends every session that is not decided. Its backup, if it runs, learns that the index has changed, and looks
    /// up again what it refers to before it commits.
    func endSessions() throws {
        var options = PruneOptions()
        options.graceSeconds = 0
        _ = try SessionWatch(repository, options, onEvent: { _ in }, shouldStop: { false }).settle()
    }
}

/// A base that may name several copies of a blob: who tells them apart decides what is deleted. Segments name a blob
/// once, so there are as many layers of them as there are copies.
struct ReplacementIndex {
    private let repository: Repository
    private let round: UInt64
    private let packs: [IndexedPack]
    private var layers: [BaseIndex] = []

    /// Starts the base of a round; entries refer to `packs` by their places.
    init(_ repository: Repository, round: UInt64, packs: [IndexedPack]) {
        (self.repository, self.round, self.packs) = (repository, round, packs)
    }

    /// Adds the copies of a blob; ids increase strictly.
    mutating func append(_ copies: [IndexEntry]) throws {
        for (layer, copy) in copies.enumerated() { try append(copy, to: layer) }
    }

    /// Adds the only copy of a blob.
    mutating func append(_ copy: IndexEntry) throws { try append(copy, to: 0) }

    private mutating func append(_ copy: IndexEntry, to layer: Int) throws {
        if layer == layers.count { layers.append(BaseIndex(repository, round: round, packs: packs)) }
        try layers[layer].append(copy)
    }

    /// Makes it durable and visible; returns its segments.
    mutating func finish() throws -> [ID128] {
        for layer in layers.indices { try layers[layer].finish() }
        return layers.flatMap(\.segments)
    }
}
