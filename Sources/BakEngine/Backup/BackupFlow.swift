// BackupFlow: what passes between the stages of one backup, and the queues that it passes through.

import BakCore
import BakFormat
import BakStorage

/// One element of the manifest to be, in the order of the walk.
enum Step: Sendable {
    /// Entries that are as a parent has them.
    case run(UnmodifiedRun)
    /// An entry that is ready.
    case entry(ManifestEntry, BackupEvent.Change)
    /// A regular file that a worker reads.
    case file(FileJob, BackupEvent.Change)
    /// A further name of the file of a step before; `recorded` as a job's.
    case link(path: [UInt8], to: FileJob, FileStat, BackupEvent.Change, recorded: Int?)
    /// An item that could not be read. With a type, an archive goes on with what a parent has of that type.
    case failure(path: [UInt8], SourceError, else: FileType?)
    /// An entry that an archive carries over.
    case carried(ManifestEntry)
    /// An entry that an archive carries over, unless the file at its old path has the same content.
    case former(FormerFile)
    /// An entry that an archive should carry over, and cannot.
    case lost(path: [UInt8], reason: String)
    /// What the entry of the step before lacks.
    case shortfall(path: [UInt8], SourceError)

    /// How many extents it holds; 0 for a run.
    var extentCount: Int {
        let content: FileContent? =
            switch self {
            case .entry(let entry, _), .carried(let entry): entry.content
            case .former(let file): (try? file.entry.get())?.content
            default: nil
            }
        if case .extents(let extents) = content { return extents.count }
        return 0
    }

    /// The length of its path; 0 for a run, whose entries are stored without what their paths share.
    var pathBytes: Int {
        switch self {
        case .run: 0
        case .entry(let entry, _), .carried(let entry): entry.path.count
        case .file(let job, _): job.path.count
        case .former(let file): file.path.count
        case .link(let path, _, _, _, _), .failure(let path, _, _): path.count
        case .lost(let path, _), .shortfall(let path, _): path.count
        }
    }
}

/// Entries that are as a parent has them, and what they come to. Some may have been carried over.
struct UnmodifiedRun: Sendable {
    var entries = EntryRun()
    var files: UInt64 = 0
    var bytes: UInt64 = 0
    var folders: UInt64 = 0
    var others: UInt64 = 0
    /// Of the files, those that were carried over, and their bytes.
    var carriedFiles: UInt64 = 0
    var carriedBytes: UInt64 = 0
    /// Of these, those that are gone.
    var goneFiles: UInt64 = 0

    /// Counts the entry that has been added to `entries`.
    mutating func count(_ stat: FileStat) {
        switch stat.type {
        case .regular:
            files += 1
            bytes.add(stat.size)
        case .directory: folders += 1
        default: others += 1
        }
    }

    /// Counts an entry that has been carried over.
    mutating func countCarried(_ stat: FileStat, isGone: Bool) {
        count(stat)
        guard stat.type == .regular else { return }
        carriedFiles += 1
        carriedBytes.add(stat.size)
        if isGone { goneFiles += 1 }
    }
}

/// A regular file that a worker reads.
final class FileJob: @unchecked Sendable {
    let path: [UInt8]
    let inode: UInt64
    /// The fingerprint of the parent's entry, where that only asked to be read once more.
    let recorded: Int?
    /// What the worker made of the file; guarded by the run's monitor.
    fileprivate var result: IngestResult?

    init(path: [UInt8], inode: UInt64, recorded: Int?) {
        self.path = path
        self.inode = inode
        self.recorded = recorded
    }
}

/// The queues between the threads of one backup. All are bounded, so memory does not grow with the number of files.
final class BackupFlow: @unchecked Sendable {
    /// What the walk met, in its order.
    let found = BoundedQueue<WalkBlock>(capacity: 16)
    /// Steps in the order of the walk.
    let steps = BoundedQueue<[Step]>(capacity: 64)
    /// Batches of files to read.
    let jobs = BoundedQueue<[FileJob]>(capacity: 16)
    /// What ends the run.
    let state: RunState
    /// Whether the walk has gone to its end; set before `found` is closed.
    var hasWalkedAll = false
    private let monitor = Monitor()
    /// The job that the assembler waits for; guarded by the monitor.
    private var awaited: FileJob?

    init(_ state: RunState) { self.state = state }

    /// Runs a thread's work; its error ends the run and lets no other thread wait for this one.
    func guarding(_ body: () throws -> Void) {
        if state.guarding(body) { return }
        found.close()
        steps.close()
        jobs.close()
        wake()
    }

    /// Records what became of the files of a batch, all at once: to wake the assembler for each would cost more
    /// than to read a small file. Those without a result were dropped.
    func complete(_ batch: [FileJob], _ results: [IngestResult]) {
        monitor.locked {
            for (number, job) in batch.enumerated() {
                job.result = number < results.count ? results[number] : .dropped
            }
            if batch.contains(where: { $0 === awaited }) { monitor.signalAll() }
        }
    }

    /// What became of a file that the assembler is done with.
    func result(of job: FileJob) -> IngestResult? { monitor.locked { job.result } }

    /// Wakes the assembler while it waits for a large file.
    func wake() { monitor.locked { monitor.signalAll() } }

    /// Waits for what becomes of a file; nil when woken before, so that the caller can look around.
    func awaitResult(of job: FileJob) -> IngestResult? {
        monitor.locked {
            if job.result == nil && state.failure == nil {
                awaited = job
                monitor.wait()
                awaited = nil
            }
            return job.result ?? (state.failure != nil ? .dropped : nil)
        }
    }
}

/// Counts what a backup has done so far, for whoever shows its progress. May be used from any thread.
public final class ProgressCounters: @unchecked Sendable {
    private let monitor = Monitor()
    private var progress = BackupProgress()

    /// Starts at zero.
    public init() {}

    /// How far the run has come.
    public var current: BackupProgress { monitor.locked { progress } }

    func update(_ change: (inout BackupProgress) -> Void) { monitor.locked { change(&progress) } }
}
