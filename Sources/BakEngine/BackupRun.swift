// BackupRun: one backup from the walk to the commit.
//
//   walk (this thread) --> compare with the parent --> unmodified: slot with the parent's entry
//      |
//      +-- new or changed --> batches --> workers: read, cut, name, store in their own pack
//
//   slots, in the order of the walk --> assembler thread --> manifest, checkpoints, commit
//
// Slots pass through a bounded queue, so memory does not grow with the number of files. The walk never
// waits on a full queue while files that the queue waits for are not yet handed to workers.

import BakCodec
import BakCore
import BakFormat
import BakRepository
import BakStorage

/// Runs backups of one source into one repository.
public final class Backup: Sendable {
    private let repository: Repository
    private let tree: any SourceTree
    private let exclusions: BackupExclusions
    private let ownFolder: [UInt8]?
    private let onEvent: @Sendable (BackupEvent) -> Void
    private let isCancelled: @Sendable () -> Bool

    /// Prepares a backup.
    ///
    /// - Parameters:
    ///   - repository: where to.
    ///   - tree: what.
    ///   - exclusions: what is left out.
    ///   - ownFolder: the repository's own folder, which is never part of a backup into it.
    ///   - onEvent: told what happens, from any thread, one call at a time.
    ///   - isCancelled: polled; when it turns true the run ends with a partial snapshot.
    public init(
        _ repository: Repository, of tree: any SourceTree,
        exclusions: BackupExclusions = BackupExclusions(), ownFolder: [UInt8]? = nil,
        onEvent: @escaping @Sendable (BackupEvent) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.repository = repository
        self.tree = tree
        self.exclusions = exclusions
        self.ownFolder = ownFolder
        let monitor = Monitor()
        self.onEvent = { event in monitor.locked { onEvent(event) } }
        self.isCancelled = isCancelled
    }

    /// Backs up. On return without an error everything that the report names is durable.
    ///
    /// Throws failures of the repository; failures of the source are events and counters.
    public func run(_ request: BackupRequest, progress: ProgressBoard = ProgressBoard()) throws
        -> BackupReport
    {
        try request.expectRecordable(in: repository.context)
        let session = try BackupSession(
            repository, host: request.host, program: request.program, isDryRun: request.isDryRun,
            onDamage: { [onEvent] in onEvent(.parentUnreadable(reason: "\($0)")) })
        let parents = try openParents(request, session)
        let state = RunState(isCancelled: isCancelled)
        let compression = request.compression ?? repository.config.compression
        let chunkers = try ChunkerSet(repository.config)
        let assembler = ManifestAssembler(
            session: session, request: request, parent: parents.first?.snapshot, state: state,
            blobs: session.makeWriter(.manifestPack, compression: .auto), progress: progress,
            onEvent: onEvent,
            startTime: request.time ?? repository.time.now())
        let settling = Settling(time: repository.time, granularity: tree.timestampGranularityNanoseconds)
        let makeIngester = { [tree, repository] in
            FileIngester(
                tree: tree, writer: session.makeWriter(.chunkPack, compression: compression),
                chunkers: chunkers, inlineBytes: repository.config.inlineBytes, settling: settling,
                shouldStop: {
                    assembler.noteProgress()
                    return state.shouldStop()
                })
        }
        let workers = (0..<max(1, request.workerCount)).map { _ in worker(makeIngester(), state) }
        let assemblerWork = UncheckedBox { try assembler.run(makeIngester: makeIngester) }
        let assemblerThread = Thread { state.guarding { try assemblerWork.value() } }
        let walk = SourceWalk(
            tree, ParentComparer(parents, request: request, index: session.index), settling, state,
            filter: SourceFilter(exclusions, roots: request.paths, tree: tree), ownFolder: ownFolder,
            onEvent: onEvent)
        state.guarding { try walk.run() }
        state.jobs.close()
        state.slots.close()
        for worker in workers { worker.join() }
        assemblerThread.join()
        if let failure = state.failure { throw failure }
        for parent in parents {
            if let failure = parent.failure { onEvent(.parentUnreadable(reason: "\(failure)")) }
        }
        var report = try assembler.finish()
        report.excludedItems = walk.excludedItems
        return report
    }

    private func worker(_ ingester: FileIngester, _ state: RunState) -> Thread {
        let box = UncheckedBox(ingester)
        return Thread {
            while let batch = state.jobs.pop() {
                for slot in batch {
                    state.guarding {
                        let result =
                            state.shouldStop() ? IngestResult.dropped : try box.value.ingest(slot.path)
                        state.complete(slot, result)
                    }
                    // A failure of the repository must not leave the assembler waiting.
                    if state.failure != nil { state.complete(slot, .dropped) }
                }
            }
        }
    }

    private func openParents(_ request: BackupRequest, _ session: BackupSession) throws -> [ParentCursor] {
        let candidates: [CommitRecord]
        switch request.parent {
        case .none: candidates = []
        case .snapshot(let id): candidates = [try repository.snapshot(id)]
        case .latest:
            let (all, unreadable) = try repository.snapshots()
            for snapshot in unreadable { onEvent(.parentUnreadable(reason: "\(snapshot.error)")) }
            let related = all.filter { $0.device == request.device && Set($0.paths) == Set(request.paths) }
            let complete = related.last { $0.isComplete }
            // A run's own checkpoints carry its time: once it is complete they say nothing more.
            let partial = related.last { partial in
                !partial.isComplete && complete.map { $0.time < partial.time } ?? true
            }
            candidates = [partial, complete].compactMap { $0 }
        }
        return candidates.compactMap { snapshot in
            do {
                return try ParentCursor(snapshot, repository: repository, index: session.index)
            } catch {
                onEvent(.parentUnreadable(reason: "\(error)"))
                return nil
            }
        }
    }
}

/// Carries a value that only one thread uses to that thread.
struct UncheckedBox<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
