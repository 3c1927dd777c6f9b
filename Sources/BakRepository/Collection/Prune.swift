// Prune: frees the space of blobs to which no snapshot refers. It works in rounds. Each round first puts a plan, which
// condemns packs: sessions that begin later do not rely on these packs. Then it puts a decision, which says which of
// them to delete. A prune first finishes the rounds that an earlier prune left unfinished.
//
// Backups and other prunes may run at the same time: `CollectionRound` makes that safe without a lock on the
// repository, and without relying on clocks. If the store cannot refuse a taken name, however, a prune must run alone
// (`PruneOptions.isAlone`).

import BakCore
import BakFormat
import BakStorage

/// Prunes one repository.
public final class Prune {
    private let repository: Repository
    private let options: PruneOptions
    private let host: String
    private let program: String
    private let onEvent: @Sendable (PruneEvent) -> Void
    private let stop: StopSignal
    /// Requested as soon as `stop` is requested or `PruneOptions.maxDurationNanoseconds` have passed.
    private let stopInTime: StopSignal
    private let faults: ProtocolFaults
    private let watch: SessionWatch
    private var report = PruneReport()
    private var copiedBytes: UInt64 = 0
    private var toldDoubts: Set<ID128> = []
    /// The most that one round copies. The store needs this much free space, because a round deletes the old packs only
    /// after it has copied their blobs.
    private static let roundLimits = CopyLimits(bytes: 4 << 30, blobs: 1 << 20)
    /// The largest number of packs that one round condemns.
    private static let condemnedLimit = 1 << 20
    /// If at least this many sessions have index segments of their own, a prune runs a round even without packs to
    /// condemn. The round merges these segments into a base.
    private static let segmentLimit = 64

    /// Prepares a prune.
    ///
    /// - Parameters:
    ///   - host: the machine's name, for the records.
    ///   - program: the program and its version, for the records.
    ///   - onEvent: receives the events.
    ///   - stop: polled; once it is requested, the prune ends as soon as it can. It undoes nothing.
    public convenience init(
        _ repository: Repository, _ options: PruneOptions = PruneOptions(), host: String, program: String,
        onEvent: @escaping @Sendable (PruneEvent) -> Void = { _ in },
        stop: StopSignal = .never
    ) {
        self.init(
            repository, options, host: host, program: program, onEvent: onEvent, stop: stop,
            faults: ProtocolFaults())
    }

    init(
        _ repository: Repository, _ options: PruneOptions, host: String, program: String,
        onEvent: @escaping @Sendable (PruneEvent) -> Void = { _ in },
        stop: StopSignal = .never, faults: ProtocolFaults
    ) {
        self.repository = repository
        self.options = options
        self.host = host
        self.program = program
        self.onEvent = onEvent
        self.stop = stop
        self.faults = faults
        let time = repository.time
        let deadline = options.maxDurationNanoseconds.map { time.monotonicNanoseconds() &+ $0 }
        let stopInTime = StopSignal {
            stop.isRequested || deadline.map { time.monotonicNanoseconds() >= $0 } ?? false
        }
        self.stopInTime = stopInTime
        watch = SessionWatch(repository, options, onEvent: onEvent, stop: stopInTime)
    }

    private var origin: RecordOrigin {
        RecordOrigin(time: repository.time.now(), host: host, program: program)
    }

    /// Prunes the repository. On return, the packs that the report counts as deleted are gone from the store. After a
    /// dry run, these packs are still there.
    ///
    /// - Throws: `RepositoryError.cannotCollect` if the store cannot be pruned safely, and `CorruptionError` or
    ///   `MissingBlobError` if the references of the snapshots cannot be read. The prune deletes nothing after the
    ///   error. Rounds that it finished before may have deleted packs.
    public func run() throws -> PruneReport {
        if !options.isDryRun { try repository.expectCollectableStore(isAlone: options.isAlone) }
        faults.milestones.reached("begin")
        do {
            if !options.isDryRun { try finishEarlierRounds() }
            while try runRound() {}
            faults.milestones.reached("end")
            if !options.isDryRun {
                try repository.sweepProbes()
                try removeSessions()
                if !faults.withoutSpares {
                    try repository.sweepSpares()
                    try repository.renewSpares()
                }
            }
        } catch is PruneStopped {}
        report.wasInterrupted = stop.isRequested
        report.isPartial = report.isPartial || stopInTime.isRequested
        report.revokedSessions = watch.revokedCount
        return report
    }

    /// Removes the records of decided sessions: those that have committed or were revoked by a tombstone. Also revokes
    /// sessions with damaged records, and removes these records. No running program has such a session, because a
    /// program registers a whole record.
    private func removeSessions() throws {
        let milestones = faults.milestones.inside(["at the end"])
        try Sweep.removeDecidedSessions(repository, milestones)
        let open = try repository.store.list(ObjectNames.sessions).compactMap { ObjectNames.id(in: $0.key) }
        for (done, session) in open.enumerated() {
            milestones.reached("open sessions", ["\(open[done...])"])
            if try watch.endIfDamaged(session) { try repository.store.delete(ObjectNames.session(session)) }
        }
    }

    /// Carries out the plans that have no decision yet. If there are none, repeats the sweep of the newest decision,
    /// because it may have been interrupted.
    private func finishEarlierRounds() throws {
        let state = try repository.collectionState()
        if state.openPlans.isEmpty {
            guard let decision = state.decision else { return }
            faults.milestones.reached("decided earlier", ["\(decision)"])
            let stored = try repository.listPacks()
            if decision.deleted.contains(where: { stored[$0] != nil }) {
                // Packs to delete are still in the store. Perhaps the user put them back or merged a copy of the
                // repository. Then a snapshot may need one of their blobs although the index no longer has it. In that
                // case the mark throws, and nothing is deleted.
                _ = try mark(faults.milestones.inside(["\(decision) \(stored.keys.sorted())"]))
            }
            try sweep(decision, stored: stored, faults.milestones)
        }
        for (place, plan) in state.openPlans.enumerated() {
            let rest = faults.milestones.inside(state.openPlans[(place + 1)...].map { "\($0)" })
            guard let outcome = try round(plan, rest).run(after: nil) else { throw PruneStopped() }
            try conclude(outcome, rest)
        }
    }

    /// The most that the next round may copy.
    private var limits: CopyLimits {
        var limits = Self.roundLimits
        if let most = options.maxRepackBytes {
            limits.bytes = min(limits.bytes, most - min(most, copiedBytes))
        }
        return limits
    }

    private func round(_ plan: CollectionPlan, _ milestones: Milestones) -> CollectionRound {
        CollectionRound(
            repository: repository, options: options, plan: plan, origin: origin, limits: limits,
            watch: watch, faults: faults, milestones: milestones, onEvent: onEvent, stop: stopInTime)
    }

    /// Plans and carries out one round. Returns true if there is more to do.
    private func runRound() throws -> Bool {
        onEvent(.step(.marking))
        faults.milestones.reached("round", ["\(limits)"])
        let last = try repository.collectionRounds().decided
        // The packs are listed before the sessions, because a session is registered before it stores packs. So if a
        // running session has stored a listed pack, the second listing shows the session.
        let stored = try repository.listPacks()
        let named = try watch.undecided()
        let known = faults.milestones.inside(["\(last) \(stored.keys.sorted()) \(named.isEmpty)"])
        var mark = try self.mark(known)
        var strays = strays(stored, mark)
        if !strays.isEmpty, !named.isEmpty {
            // A running session may have stored the strays and may still commit them. So the prune first waits until
            // all sessions are decided, and condemns strays only then. A dry run does not wait, and counts no strays.
            if try options.isDryRun || !watch.settle(known.inside([mark.knowledge])) { strays = [] }
            if !options.isDryRun, try !mark.isCurrent(repository) {
                mark = try self.mark(known.inside(["\(strays.sorted())"]))
                strays = self.strays(stored, mark).filter(strays.contains)
            }
        }
        let usage = try PackUsage(
            mark.sorted, mark.live, CopyChoice(mark.sorted.packs, stored: stored),
            isSealed: repository.isEncrypted)
        let (condemned, areAll) = condemn(usage, strays, limits: limits)
        note(stored, mark, usage)
        for doubt in mark.doubts where toldDoubts.insert(doubt.id).inserted {
            onEvent(.inDoubt(doubt))
        }
        report.isPartial = !areAll
        if options.isDryRun {
            estimate(condemned, stored, usage)
            return false
        }
        guard !condemned.isEmpty || mark.trusted.sessions.count >= Self.segmentLimit else { return false }
        let own = CollectionPlan(number: last + 1, origin: origin, condemned: condemned)
        faults.milestones.reached("planned", ["\(own) \(areAll)", mark.knowledge])
        let plan = try put(own)
        let isOther = plan != own
        let round = self.round(plan, faults.milestones.inside(["\(isOther) \(areAll)"]))
        guard let outcome = try round.run(after: mark) else { throw PruneStopped() }
        // Another program's plan may leave out packs that this prune would condemn, so one more round is needed.
        let isMore = isOther || !outcome.isOwn || !areAll && madeProgress(outcome)
        try conclude(outcome, faults.milestones.inside(["\(isMore)"]))
        return isMore && !stopInTime.isRequested
    }

    private func madeProgress(_ outcome: CollectionRound.Outcome) -> Bool {
        outcome.rewrittenPacks > 0 || outcome.decision.deleted.count >= Self.condemnedLimit
    }

    private func mark(_ milestones: Milestones) throws -> Mark {
        try Mark.take(
            repository, ignoring: options.isDryRun ? options.alsoForgotten : [],
            workerCount: options.workerCount, milestones, overlooksMissing: faults.overlooksMissing
        ) { done, total in
            if self.stopInTime.isRequested { throw PruneStopped() }
            self.onEvent(.progress(done: UInt64(done), total: UInt64(total)))
        }
    }

    /// Returns the strays: the stored packs that no trusted index segment names.
    private func strays(_ stored: [ID128: Int], _ mark: Mark) -> Set<ID128> {
        Set(stored.keys).subtracting(mark.sorted.packs.map(\.id))
    }

    /// Returns the packs to condemn; `areAll` is false if a limit left some out.
    private func condemn(
        _ usage: PackUsage, _ strays: Set<ID128>, limits: CopyLimits
    ) -> (packs: [ID128], areAll: Bool) {
        let (wasteful, areAll) = usage.wasteful(options.maxUnused, limits: limits)
        let packs =
            (usage.dead + wasteful).map { usage.packs[$0].pack.id }
            + strays.sorted()
        return (Array(packs.prefix(Self.condemnedLimit)), areAll && packs.count <= Self.condemnedLimit)
    }

    /// Puts a plan and returns it. If another program has already put a plan for this round, returns that plan, which
    /// this prune must carry out instead.
    private func put(_ plan: CollectionPlan) throws -> CollectionPlan {
        let bytes = plan.encode(repository.context)
        if try repository.store.putOwn(ObjectNames.plan(plan.number), bytes, fromReserve: true) {
            return plan
        }
        return try repository.collectionPlan(plan.number)
    }

    /// Adds a round to the report, and deletes what the round's decision says.
    private func conclude(_ outcome: CollectionRound.Outcome, _ milestones: Milestones) throws {
        copiedBytes += outcome.copiedBytes
        report.damagedPacks += outcome.damaged.count
        report.isPartial = report.isPartial || outcome.isPartial
        if outcome.isOwn {
            report.rewrittenPacks += outcome.rewrittenPacks
            report.copiedBytes += outcome.copiedBytes
            report.unusedBytes = outcome.unusedBytes ?? report.unusedBytes
        }
        milestones.reached("decided", ["\(outcome.decision)"])
        try sweep(outcome.decision, stored: try repository.listPacks(), milestones)
    }

    private func sweep(
        _ decision: CollectionDecision, stored: [ID128: Int], _ milestones: Milestones
    ) throws {
        let packs = decision.deleted.filter { stored[$0] != nil }
        if !packs.isEmpty { onEvent(.step(.deleting)) }
        let sweep = Sweep(
            repository, decision, milestones,
            onProgress: { self.onEvent(.progress(done: UInt64($0), total: UInt64($1))) },
            onDeleted: { pack in
                self.report.deletedPacks += 1
                self.report.deletedBytes.add(UInt64(stored[pack] ?? 0))
            },
            stop: stop)
        if try !sweep.run(packs: packs) { throw PruneStopped() }
    }

    /// Notes a mark's findings in the report. The number and the size of the packs stay those of the first round.
    private func note(_ stored: [ID128: Int], _ mark: Mark, _ usage: PackUsage) {
        report.snapshots = mark.snapshots.count
        report.livingBlobs = mark.live.count
        report.snapshotsInDoubt = mark.doubts.count
        if report.packs == 0 {
            report.packs = stored.count
            report.packBytes = stored.values.total { UInt64($0) }
        }
        report.unusedBytes = usage.unusedBytes
    }

    /// Notes in the report what a round would do.
    private func estimate(_ condemned: [ID128], _ stored: [ID128: Int], _ usage: PackUsage) {
        let condemned = Set(condemned)
        report.deletedPacks = condemned.count
        report.deletedBytes = condemned.total { UInt64(stored[$0] ?? 0) }
        for use in usage.packs where use.livingBlobs > 0 && condemned.contains(use.pack.id) {
            report.rewrittenPacks += 1
            report.copiedBytes.add(use.livingBytes)
            report.unusedBytes -= min(use.unusedBytes, report.unusedBytes)
        }
    }
}
