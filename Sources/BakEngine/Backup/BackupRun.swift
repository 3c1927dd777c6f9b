// BackupRun: one backup from the walk to the commit.
//
//   SourceWalk (this thread): list, stat, leave out --> blocks
//   ChangeDetector (a thread): compare with the parent; unmodified: step with the parent's entry
//      |
//      +-- new or changed --> batches --> workers: read, cut, name, store in their own pack
//
//   steps, in the order of the walk --> ManifestAssembler (a thread): manifest, checkpoints, commit
//
// All queues are bounded, so memory does not grow with the number of files.

import BakCodec
import BakChunking
import BakCore
import BakFormat
import BakRepository
import BakStorage

/// Runs backups of one source into one repository.
public final class Backup: Sendable {
    private let repository: Repository
    private let tree: any SourceTree
    private let exclusions: BackupExclusions
    private let ownFolder: OwnFolder?
    private let onEvent: @Sendable (BackupEvent) -> Void
    private let onEntry: (@Sendable (ManifestEntry, BackupEvent.Change) -> Void)?
    private let stop: StopSignal

    /// Prepares a backup.
    ///
    /// - Parameters:
    ///   - repository: the repository to store in.
    ///   - tree: the source.
    ///   - exclusions: the rules for what to leave out.
    ///   - ownFolder: the repository's own folder, which is never part of a backup into it.
    ///   - onEvent: called with each event, from any thread, one call at a time.
    ///   - onEntry: called with each entry of the manifest, from one thread. If it is nil, unmodified runs need not be
    ///     decoded.
    ///   - stop: polled; once it is requested the run ends with a partial snapshot.
    public init(
        _ repository: Repository, of tree: any SourceTree,
        exclusions: BackupExclusions = BackupExclusions(), ownFolder: OwnFolder? = nil,
        onEvent: @escaping @Sendable (BackupEvent) -> Void = { _ in },
        onEntry: (@Sendable (ManifestEntry, BackupEvent.Change) -> Void)? = nil,
        stop: StopSignal = .never
    ) {
        self.repository = repository
        self.tree = tree
        self.exclusions = exclusions
        self.ownFolder = ownFolder
        let monitor = Monitor()
        self.onEvent = { event in monitor.locked { onEvent(event) } }
        self.onEntry = onEntry
        self.stop = stop
    }

    /// How often a run is repeated because a collection ended its session.
    private static let repetitions = 3
    /// How often a run is repeated because a parent was removed, or is newer than the index.
    private static let parentRepetitions = 10

    /// Runs a backup. When it returns, everything that the report names is durable.
    ///
    /// A run begins again, and keeps the packs it has stored, in three cases. The source must be repeatable.
    /// - A collection ended the run's session.
    /// - Another program removed or added a parent. The run continues with the parents that are there now.
    /// - Something that the run had stored but not published was removed. This repeats the run only once.
    ///
    /// - Throws: Failures of the repository; `RepositoryError.keepsChanging` if beginning again did not help;
    ///   `OnlyOwnFolderError` if there is nothing to back up but the repository itself. Failures of the source are
    ///   events and counters.
    public func run(_ request: BackupRequest, progress: ProgressCounters = ProgressCounters()) throws
        -> BackupReport
    {
        try request.expectRecordable(in: repository.context)
        try ownFolder?.expectMore(than: request.paths)
        var kept = BackupSession.KeptPacks()
        var (repetition, parentRepetition) = (0, 0)
        var hasLost = false
        while true {
            let session = try BackupSession(
                repository, host: request.host, program: request.program, isDryRun: request.isDryRun,
                keeping: kept, onDamage: { [onEvent] in onEvent(.parentUnreadable($0)) })
            defer { session.close() }
            do {
                return try run(request, session, progress)
            } catch RepositoryError.sessionRevoked(let id)
                where tree.isRepeatable && repetition < Self.repetitions
            {
                repetition += 1
                kept = session.keptPacks
                onEvent(.parentUnreadable(reason: "a prune ended session \(id.short)", isDamage: false))
            } catch RepositoryError.unpublishedRemoved(_, let error) where tree.isRepeatable && !hasLost {
                hasLost = true
                kept = session.keptPacks
                onEvent(.parentUnreadable(error))
            } catch {
                if case .sessionRevoked? = error as? RepositoryError { throw error }
                guard try session.isOvertaken(error) else { throw error }
                guard tree.isRepeatable, parentRepetition < Self.parentRepetitions else {
                    throw (error as? RepositoryError)
                        ?? RepositoryError.keepsChanging(location: repository.store.location)
                }
                parentRepetition += 1
                session.keepStored()
                kept = session.keptPacks
            }
        }
    }

    private func run(
        _ request: BackupRequest, _ session: BackupSession, _ progress: ProgressCounters
    ) throws -> BackupReport {
        let parents = try BackupParents(request, repository, session.index, onEvent)
        let flow = BackupFlow(RunState(stop: stop))
        let startTime = request.time ?? repository.time.now()
        noteClock(startTime, request, parents.parent)
        let compression = request.compression ?? repository.config.compression
        // Each writer has an open pack. There are about as many writers as processors, but there may be more threads.
        // The additional threads mostly wait for reads, so they share writers with other threads.
        let writers = (0..<max(1, request.workerCount)).map { _ in
            session.makeWriter(.chunkPack, compression: compression)
        }
        let carrying =
            parents.isArchive
            ? ArchiveCarrying(session, writers[0], flow.state, time: startTime) : nil
        let stored = StoredTally(roots: request.paths, parents.doubtable, repository, session.index)
        let assembler = ManifestAssembler(
            session: session, request: request, parent: parents.recordedParent,
            joined: parents.joined.map(\.originalID).sorted(), flow: flow,
            blobs: session.makeWriter(.manifestPack, compression: .auto), progress: progress,
            onEvent: onEvent, onEntry: onEntry, startTime: startTime,
            earlier: carrying.map { EarlierEntries(parents.followed, $0) }, stored: stored,
            isArchive: parents.isArchive)
        let racyTimestamps = RacyTimestamps(time: repository.time, tree: tree)
        let strategy = ReadStrategy(of: tree, for: request)
        let makeIngester = try ingesters(request, strategy, racyTimestamps, assembler, flow, progress) {
            session.added.storedBytes
        }
        let workers = (0..<strategy.threads).map { number in
            worker(makeIngester(writers[number % writers.count]), flow, progress)
        }
        let assemblerWork = UncheckedBox { try assembler.run { makeIngester(writers[0]) } }
        let assemblerThread = Thread { flow.guarding { try assemblerWork.value() } }
        let comparer = ParentComparer(
            parents.tracks, of: tree, request: request, repository: repository, index: session.index,
            makesRuns: onEntry == nil, carrying: carrying, onEvent: onEvent)
        let maker = UncheckedBox(
            ChangeDetector(
                tree, comparer, racyTimestamps, flow, isByInode: strategy.isByInode,
                believesLinks: !request.ignoresInode))
        let makerThread = Thread { maker.value.makeSteps() }
        let mark = request.isDryRun ? ObjectNames.config : ObjectNames.session(session.id)
        let walk = SourceWalk(
            tree, racyTimestamps, flow, lookers: strategy.lookers,
            filter: SourceFilter(exclusions, roots: request.paths, tree: tree),
            isOwnFolder: { [ownFolder, tree, isDryRun = request.isDryRun] path, stat in
                ownFolder?.isSeen(at: path, stat, in: tree, mark: mark, isUnique: !isDryRun) == true
            }, onEvent: onEvent)
        flow.guarding { try walk.run() }
        flow.found.close()
        makerThread.join()
        flow.guarding { try parents.expectFollowed() }
        flow.jobs.close()
        flow.steps.close()
        for worker in workers { worker.join() }
        assemblerThread.join()
        if let failure = flow.state.failure { throw failure }
        parents.tellFailures(onEvent)
        let tally = maker.value.tally
        let doubts =
            flow.hasWalkedAll
            ? parents.doubts(tally, stored, isMeant: request.allowsEmpty) : SourceDoubts()
        var report = try assembler.finish(tally, doubts, isFirst: parents.isFirst)
        if parents.isFirst, flow.hasWalkedAll { report.noteBareFolders(tally) }
        parents.enterArchives(in: &report)
        (report.excludedItems, report.unmatchedPatterns) = (walk.excludedItems, walk.unmatchedPatterns)
        report.damagedPacks = session.damagedPacks
        return report
    }

    /// Returns a function that makes a file reader for a writer.
    private func ingesters(
        _ request: BackupRequest, _ strategy: ReadStrategy, _ racyTimestamps: RacyTimestamps,
        _ assembler: ManifestAssembler, _ flow: BackupFlow, _ progress: ProgressCounters,
        storedBytes: @escaping () -> Int
    ) throws -> (BlobWriter) -> FileIngester {
        let chunkers = try ChunkerSet(repository.config, readsStructure: request.readsStructure)
        let source =
            strategy.gated(tree)
        return { [repository] writer in
            FileIngester(
                tree: source, writer: writer, chunkers: chunkers,
                inlineBytes: repository.config.inlineBytes, racyTimestamps: racyTimestamps,
                stop: StopSignal {
                    assembler.noteProgress()
                    return flow.state.shouldStop()
                },
                onRead: { count in
                    let stored = UInt64(storedBytes())
                    progress.update {
                        $0.readBytes.add(UInt64(count))
                        $0.storedBytes = stored
                    }
                })
        }
    }

    private func worker(_ ingester: FileIngester, _ flow: BackupFlow, _ progress: ProgressCounters) -> Thread
    {
        let box = UncheckedBox(ingester)
        return Thread {
            while let batch = flow.jobs.pop() {
                var results: [IngestResult] = []
                flow.guarding {
                    for job in batch where !flow.state.shouldStop() {
                        progress.update { $0.currentPath = job.path }
                        results.append(try box.value.ingest(job.path))
                    }
                }
                flow.complete(batch, results)
            }
        }
    }

    /// Smaller clock differences are not reported.
    private static let toleratedSeconds: Int64 = 3600

    /// Reports a clock that is behind the date of the parent.
    private func noteClock(_ start: Timestamp, _ request: BackupRequest, _ parent: CommitRecord?) {
        guard request.time == nil, let parent,
            parent.time.seconds.subtractingReportingOverflow(start.seconds).partialValue
                > Self.toleratedSeconds
        else { return }
        onEvent(.clockBehind(parent))
    }
}

/// Carries a value that only one thread uses to that thread.
package struct UncheckedBox<Value>: @unchecked Sendable {
    package let value: Value
    package init(_ value: Value) { self.value = value }
}

extension BackupReport {
    /// Copies the lists of folders without files from the tally.
    fileprivate mutating func noteBareFolders(_ tally: SourceTally) {
        (emptyFolders, foldersOfLinks) = (tally.emptyFolders, tally.foldersOfLinks)
    }
}
