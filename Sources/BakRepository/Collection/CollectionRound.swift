// CollectionRound: carries out a plan up to the decision, which says which condemned packs to delete. It deletes
// nothing itself; `Sweep` does.
//
// The round first waits until every session that began before the plan is decided: it has committed, or a tombstone has
// ended it. A session that begins after the plan sees the plan and relies on no pack that the plan condemns. So the
// mark that follows the wait finds every blob in condemned packs that a present or future snapshot needs.

import BakCore
import BakFormat
import BakStorage

/// Carries out one plan. For one thread.
struct CollectionRound {
    /// The outcome of a round.
    struct Outcome {
        var decision: CollectionDecision
        /// True if this program made the decision.
        var isOwn = true
        /// The unused bytes in packs that stay; nil if this program did not count them.
        var unusedBytes: UInt64?
        var rewrittenPacks = 0
        var copiedBytes: UInt64 = 0
        /// The packs in which a needed blob, or a copy of one, could not be read.
        var damaged: Set<ID128> = []
        /// True if a limit or a request to stop left packs that should have been rewritten.
        var isPartial = false
    }

    let repository: Repository
    let options: PruneOptions
    let plan: CollectionPlan
    let origin: RecordOrigin
    let limits: CopyLimits
    let watch: SessionWatch
    let faults: ProtocolFaults
    let milestones: Milestones
    let onEvent: (PruneEvent) -> Void
    let stop: StopSignal

    /// Decides the round, or adopts another program's decision. `first` is a mark from before the plan, which serves
    /// again if nothing has changed. Returns nil if `stop` was requested during the wait for sessions. Then the next
    /// prune carries out the plan.
    func run(after first: Mark?) throws -> Outcome? {
        if try isDecided() { return try adopted() }
        do {
            return try decide(after: first)
        } catch let error as PruneStopped {
            throw error
        } catch {
            // Another program may have decided the round and deleted objects that this program tried to read.
            guard try isDecided() else { throw error }
            return try adopted()
        }
    }

    private func isDecided() throws -> Bool {
        try repository.collectionRounds().decided >= plan.number
    }

    private func decide(after first: Mark?) throws -> Outcome? {
        let known = milestones.inside(["\(plan) \(limits)"])
        if !faults.noWait, try !watch.settle(known.inside([first?.knowledge ?? ""])) { return nil }
        known.reached("settled", [first?.knowledge ?? ""])
        // The whole round relies on this listing. No program writes a pack under an old id, so a pack that the index
        // names and that is missing now stays missing. A pack that a session publishes later is not condemned.
        let stored = try repository.listPacks()
        let mark =
            if let first, try first.isCurrent(repository) {
                first
            } else {
                try Mark.take(
                    repository, workerCount: options.workerCount,
                    known.inside(["\(stored.keys.sorted())"]), overlooksMissing: faults.overlooksMissing,
                    onProgress: report(.marking))
            }
        known.reached("marked", ["\(stored.keys.sorted())", mark.knowledge])
        let condemned = Set(plan.condemned)
        var choice = CopyChoice(mark.sorted.packs, stored: stored, condemned: condemned)
        var outcome = Outcome(
            decision: CollectionDecision(
                number: plan.number, origin: origin, deleted: [], base: [], superseded: []))
        let usage = try usage(mark, &choice, &outcome)
        let copier = PackCopier(repository)
        let copied = try copy(condemned, mark, usage, choice, with: copier, &outcome)
        let kept = Set(
            usage.packs.filter { $0.livingBlobs > 0 && !copied.contains($0.pack.id) }.map(\.pack.id))
        let deleted = condemned.subtracting(kept)
        if faults.deleteBeforeDecision {
            for id in deleted.sorted() { try repository.store.delete(ObjectNames.pack(id)) }
        }
        onEvent(.step(.indexing))
        let base = try BaseIndex.write(
            mark.sorted, live: mark.live, choice: choice, without: deleted, packs: copier.filler.packs,
            copies: copier.filler.copies, round: plan.number, repository
        ) { done in onEvent(.progress(done: UInt64(done), total: UInt64(mark.sorted.count))) }
        let superseded = mark.trusted.sessions.union(mark.trusted.collections.decision?.superseded ?? [])
        outcome.decision = CollectionDecision(
            number: plan.number, origin: origin, deleted: Array(deleted), base: base,
            superseded: Array(superseded))
        outcome.unusedBytes = usage.packs.total {
            $0.livingBlobs > 0 && !deleted.contains($0.pack.id) ? $0.unusedBytes : 0
        }
        let bytes = outcome.decision.encode(repository.context)
        if try repository.store.putOwn(ObjectNames.decision(plan.number), bytes, fromReserve: true) {
            return outcome
        }
        if faults.noDecisionRecord { return outcome }
        // The other program's decision holds. No index segment names the packs that this program wrote. They stay until
        // a later round condemns them, because a pack is deleted only if a decision names it.
        var adopted = try adopted()
        adopted.damaged = outcome.damaged
        return adopted
    }

    private func adopted() throws -> Outcome {
        Outcome(decision: try repository.collectionDecision(plan.number), isOwn: false)
    }

    /// Counts the needed blobs of each pack. If living blobs have several copies, first reads the copies that `choice`
    /// would keep, and drops damaged copies from `choice`.
    private func usage(_ mark: Mark, _ choice: inout CopyChoice, _ outcome: inout Outcome) throws
        -> PackUsage
    {
        let (sorted, isSealed) = (mark.sorted, repository.isEncrypted)
        let usage = try PackUsage(sorted, mark.live, choice, isSealed: isSealed)
        guard usage.severalCopies > 0 else { return usage }
        let told = report(.verifying)
        let verifier = DuplicateVerifier(repository, sorted) { try told($0, usage.severalCopies) }
        try verifier.verify(&choice, mark.live)
        guard let fault = verifier.faults.values.first else { return usage }
        if try isDecided() { throw fault }
        let sound = try PackUsage(sorted, mark.live, choice, isSealed: isSealed)
        for (place, error) in verifier.faults.sorted(by: { $0.key < $1.key }) {
            outcome.damaged.insert(sorted.packs[Int(place)].id)
            onEvent(sound.packs[Int(place)].isDamaged ? .damaged(error) : .damagedCopy(error))
        }
        return sound
    }

    /// Copies the needed blobs of condemned packs that are worth rewriting. Returns the packs of which all needed blobs
    /// were copied.
    private func copy(
        _ condemned: Set<ID128>, _ mark: Mark, _ usage: PackUsage, _ choice: CopyChoice,
        with copier: PackCopier, _ outcome: inout Outcome
    ) throws -> Set<ID128> {
        let sorted = mark.sorted
        let (places, areAll) = usage.wasteful(options.maxUnused, limits: limits) {
            condemned.contains(usage.packs[$0].pack.id)
        }
        outcome.isPartial = !areAll
        guard !places.isEmpty else { return [] }
        onEvent(.step(.copying))
        var wanted = Dictionary(uniqueKeysWithValues: places.map { (UInt32($0), [IndexEntry]()) })
        try sorted.forEachBlob { position, copies in
            guard mark.live.contains(position) else { return }
            for copy in choice.needed(copies) { wanted[copy.pack]?.append(copy) }
        }
        let total = places.total { usage.packs[$0].livingBytes }
        var read: UInt64 = 0
        var copied: Set<ID128> = []
        for place in places {
            let pack = sorted.packs[place]
            do {
                let isWhole = try copier.copy(wanted[UInt32(place)]!, of: pack, stop: stop) {
                    read.add($0)
                    onEvent(.progress(done: min(read, total), total: total))
                }
                guard isWhole else {
                    outcome.isPartial = true
                    break
                }
                copied.insert(pack.id)
                outcome.rewrittenPacks += 1
            } catch let error as CorruptionError {
                if try isDecided() { throw error }
                outcome.damaged.insert(pack.id)
                onEvent(.damaged(error))
            }
            wanted[UInt32(place)] = nil
        }
        try copier.filler.finish()
        outcome.copiedBytes = copier.filler.writtenBytes
        return copied
    }

    private func report(_ step: PruneStep) -> (Int, Int) throws -> Void {
        onEvent(.step(step))
        return { done, total in
            if stop.isRequested { throw PruneStopped() }
            onEvent(.progress(done: UInt64(done), total: UInt64(total)))
        }
    }
}

/// The error that ends a prune early at a request to stop.
struct PruneStopped: Error {}
