// LibraryBenchmark: reads a library once and reports how much a repository would store for it. Nothing is stored.
//
//   walk (this thread): list, stat, leave out, compare with a snapshot --> batches
//   workers: read, cut by every scheme, name, look up, compress new pieces --> tallies
//
// Always holds: memory does not grow with the library. The benchmark remembers a bounded number of chunks' names and
// estimates the number of further chunks. It remembers paths only of the largest files.

import BakEngine
import BakChunking
import BakCodec
import BakCore
import BakFormat
import BakRepository
import BakStorage

/// Measures one library.
public final class LibraryBenchmark: Sendable {
    private let repository: Repository
    private let tree: any SourceTree
    private let roots: [[UInt8]]
    private let exclusions: BackupExclusions
    private let compression: CompressionMode
    private let shared: LibraryShared
    private let onEvent: @Sendable (LibraryEvent) -> Void
    private let state: RunState
    private let monitor = Monitor()
    private nonisolated(unsafe) var current = LibraryProgress()

    /// The number of slots in a scheme's table of chunk names. A slot takes eight bytes, and at most three quarters of
    /// the slots are used.
    public static let slotLimit = 1 << 21
    /// The number of groups of equal files in the report.
    private static let duplicatesNamed = 20

    /// Prepares a benchmark.
    ///
    /// - Parameters:
    ///   - repository: an empty repository that stores nothing. It determines sizes, key and compression.
    ///   - tree: the library; only `roots` of it are examined.
    ///   - exclusions: the rules for leaving items out.
    ///   - baseline: the snapshot that changed files are compared with.
    ///   - slotLimit: the table size for each scheme's chunk names, a power of two.
    ///   - onEvent: receives events, one call at a time.
    ///   - stop: polled. If it is requested, the report covers what was read until then.
    /// - Throws: failures of the baseline's repository.
    public init(
        _ repository: Repository, of tree: any SourceTree, roots: [[UInt8]],
        exclusions: BackupExclusions = BackupExclusions(), baseline: LibraryBaseline? = nil,
        slotLimit: Int = LibraryBenchmark.slotLimit,
        onEvent: @escaping @Sendable (LibraryEvent) -> Void = { _ in },
        stop: StopSignal = .never
    ) throws {
        self.repository = repository
        self.tree = tree
        self.roots = roots
        self.exclusions = exclusions
        compression = repository.config.compression
        state = RunState(stop: stop)
        let kinds = ContentType.allCases.count
        shared = LibraryShared(
            trials: try CutScheme.all.map {
                try SchemeTrial(
                    $0, repository.config, kinds: kinds, slotLimit: slotLimit, compresses: $0 == .standard)
            },
            files: DistinctTally(kinds: kinds, slotLimit: slotLimit), duplicates: DuplicateFinder(),
            changes: try baseline.map { try ChangeTrials($0, slotLimit: slotLimit) })
        let monitor = Monitor()
        self.onEvent = { event in monitor.locked { onEvent(event) } }
    }

    /// The progress so far.
    public var progress: LibraryProgress {
        var progress = monitor.locked { current }
        progress.differentBytes = shared.trials[0].tally.estimate.distinct.bytes
        return progress
    }

    /// Reads the library. Throws only failures of a repository.
    ///
    /// - Parameters:
    ///   - workerCount: the number of threads that compute.
    ///   - readConcurrency: the number of files that are read at once; nil for the number that suits the medium.
    public func run(workerCount: Int, readConcurrency: Int? = nil) throws -> LibraryReport {
        let begin = repository.time.monotonicNanoseconds()
        let strategy = ReadStrategy(
            tree.medium, processors: max(1, workerCount), asked: readConcurrency,
            mostOpenFiles: tree.mostOpenFiles)
        let source = strategy.gated(tree)
        let session = try BackupSession(repository, host: "", program: "", isDryRun: true)
        let queue = BoundedQueue<[LibraryItem]>(capacity: 64)
        let workers = (0..<strategy.threads).map { _ in UncheckedBox(makeWorker(source, session)) }
        let threads = workers.map { worker in
            Thread { [self] in
                state.guarding {
                    while let batch = queue.pop() { try work(worker.value, batch) }
                    try worker.value.finish()
                }
                // After a failure no worker takes further batches. Closing the queue keeps the walk from waiting for a
                // worker.
                if state.failure != nil { queue.close() }
            }
        }
        let walk = UncheckedBox(
            LibraryWalk(
                tree, queue, state, filter: SourceFilter(exclusions, roots: roots, tree: tree), roots: roots,
                comparer: try shared.changes?.makeComparer(of: tree), time: repository.time, onEvent: note))
        state.guarding { try walk.value.run() }
        queue.close()
        for thread in threads { thread.join() }
        if let failure = state.failure { throw failure }
        var report = walk.value.report
        report.nanoseconds = repository.time.monotonicNanoseconds() - begin
        report.failedItems = monitor.locked { current.failedItems }
        report.wasInterrupted = state.wasCancelled
        complete(&report, workers.map(\.value), session)
        return report
    }

    private func makeWorker(_ source: any SourceTree, _ session: BackupSession) -> LibraryWorker {
        func trier(_ trials: [SchemeTrial], _ repository: Repository) -> FileTrier {
            FileTrier(
                trials, repository.config, hasher: repository.hasher(for: .chunkPack),
                compression: compression, time: repository.time,
                stop: StopSignal { [state] in state.shouldStop() },
                onRead: { [self] count in monitor.locked { current.bytes.add(UInt64(count)) } })
        }
        return LibraryWorker(
            source, shared, ManifestWriter(session.makeWriter(.manifestPack, compression: .auto)),
            trier(shared.trials, repository), shared.changes.map { trier($0.trials, $0.baseline.repository) },
            onFailure: { [self] path, reason in note(.failed(path: path, reason: reason)) })
    }

    private func work(_ worker: LibraryWorker, _ batch: [LibraryItem]) throws {
        for item in batch where !state.shouldStop() {
            monitor.locked {
                current.currentPath = item.path
                if item.stat.type == .regular { current.files += 1 }
                // The content is not read again, so all its bytes count as done.
                if item.isFurtherName { current.bytes.add(item.stat.size) }
            }
            let holes = worker.holeBytes
            do {
                try worker.take(item)
            } catch is FileTrier.Stopped {
                return
            }
            monitor.locked { current.bytes.add(worker.holeBytes &- holes) }
        }
    }

    private func note(_ event: LibraryEvent) {
        if case .failed = event { monitor.locked { current.failedItems += 1 } }
        onEvent(event)
    }

    // MARK: The report

    private func complete(
        _ report: inout LibraryReport, _ workers: [LibraryWorker], _ session: BackupSession
    ) {
        var types = [PieceSum](repeating: PieceSum(), count: ContentType.allCases.count)
        var readNanoseconds: UInt64 = 0
        for worker in workers {
            report.files += worker.found.files
            report.bytes.add(worker.found.bytes)
            report.readBytes.add(worker.found.readBytes)
            readNanoseconds += worker.readNanoseconds
            for kind in types.indices { types[kind] += worker.types[kind] }
            report.changes?.changedFiles += worker.changes.changedFiles
            report.changes?.changedBytes.add(worker.changes.changedBytes)
            report.changes?.unreadableFiles += worker.changes.unreadableFiles
        }
        report.types = ContentType.allCases.compactMap { row($0, types[Int($0.rawValue)]) }
            .sorted { $0.bytes != $1.bytes ? $0.bytes > $1.bytes : $0.type.rawValue < $1.type.rawValue }
        report.duplicateFiles = report.types.reduce(0) { $0 + $1.duplicateFiles }
        report.duplicateBytes = report.types.reduce(0) { $0 &+ $1.duplicateBytes }
        report.areDuplicatesEstimated = shared.files.isEstimate
        report.duplicates = shared.duplicates.largest(Self.duplicatesNamed)
        report.schemes = schemeRows()
        report.metadataBytes =
            UInt64(session.added.storedBytes) + UInt64(session.added.blobs * Self.recordBytes)
        if let changes = shared.changes { report.changes?.rows = changes.rows }
        let work = shared.trials[0].tally.work
        report.stages += [
            LibraryReport.Stage(name: .read, amount: report.readBytes, nanoseconds: readNanoseconds),
            LibraryReport.Stage(
                name: .cut, amount: report.schemes[0].bytes, nanoseconds: work.cutNanoseconds),
            LibraryReport.Stage(
                name: .compress, amount: work.compressedBytes, nanoseconds: work.compressNanoseconds),
        ]
    }

    private func row(_ type: ContentType, _ sum: PieceSum) -> LibraryReport.TypeRow? {
        guard sum.count > 0 else { return nil }
        let files = shared.files.estimate(kind: Int(type.rawValue))
        let chunks = shared.trials[0].tally.estimate(kind: Int(type.rawValue)).distinct
        return LibraryReport.TypeRow(
            type: type, files: sum.count, bytes: sum.bytes,
            duplicateFiles: files.all.count - files.distinct.count,
            duplicateBytes: files.all.bytes &- files.distinct.bytes, differentBytes: chunks.bytes,
            storedBytes: chunks.storedBytes)
    }

    /// The size of a blob's row in its pack's footer plus that of its row in the index.
    fileprivate static let recordBytes = PackLayout.footerEntryBytes + IndexEntry.byteCount

    private func schemeRows() -> [LibraryReport.SchemeRow] {
        let kinds = ContentType.allCases.indices
        let measured = kinds.map { shared.trials[0].tally.estimate(kind: $0).distinct }
        return shared.trials.map { trial in
            var estimate = DistinctEstimate()
            for kind in kinds {
                var part = trial.tally.estimate(kind: kind)
                if !trial.compresses {
                    let gain =
                        measured[kind].bytes > 0
                        ? Double(measured[kind].storedBytes) / Double(measured[kind].bytes) : 1
                    part.distinct.storedBytes = UInt64(Double(part.distinct.bytes) * gain)
                }
                estimate += part
            }
            return LibraryReport.SchemeRow(trial, estimate)
        }
    }
}

extension LibraryReport.SchemeRow {
    init(_ trial: SchemeTrial, _ estimate: DistinctEstimate) {
        self.init(
            scheme: trial.scheme, chunks: estimate.all.count, differentChunks: estimate.distinct.count,
            bytes: estimate.all.bytes, differentBytes: estimate.distinct.bytes,
            storedBytes: estimate.distinct.storedBytes,
            overheadBytes: estimate.distinct.count
                * UInt64(PackLayout.blobHeaderBytes + LibraryBenchmark.recordBytes),
            isCompressionMeasured: trial.compresses, isEstimate: trial.tally.isEstimate,
            cutNanoseconds: trial.tally.work.cutNanoseconds)
    }
}
