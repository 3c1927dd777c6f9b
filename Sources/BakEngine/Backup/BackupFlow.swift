// BackupFlow: the queues between the stages of one backup, and the steps and jobs that pass through them.

import BakCore
import BakFormat
import BakStorage

/// One element of the future manifest, in the order of the walk.
enum Step: Sendable {
    /// Entries that are the same as in a parent.
    case run(UnmodifiedRun)
    /// An entry that is ready.
    case entry(ManifestEntry, BackupEvent.Change)
    /// A regular file that a worker reads.
    case file(FileJob, BackupEvent.Change)
    /// A further name of a file whose job came in an earlier step; `recorded` is as in `FileJob`.
    case link(path: [UInt8], to: FileJob, FileStat, BackupEvent.Change, recorded: Int?)
    /// An item that could not be read. If a type is given, an archive carries over a parent's entry of that type.
    case failure(path: [UInt8], SourceError, else: FileType?)
    /// An entry that an archive carries over.
    case carried(ManifestEntry)
    /// A file whose path another file may have taken. An archive carries over the former file's entry under another
    /// name, unless both files have the same content.
    case former(FormerFile)
    /// An entry that an archive should carry over but cannot.
    case lost(path: [UInt8], reason: String)
    /// A part that the preceding step's entry lacks.
    case shortfall(path: [UInt8], SourceError)

    /// Number of extents in the step; 0 for a run.
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

    /// Length of the step's path; 0 for a run, which stores paths without their shared prefixes.
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

/// Entries that are the same as in a parent, and their totals. In an archive, some of them may be carried over.
struct UnmodifiedRun: Sendable {
    var entries = EntryRun()
    var files: UInt64 = 0
    var bytes: UInt64 = 0
    var folders: UInt64 = 0
    var others: UInt64 = 0
    /// Files in the run that were carried over, and their bytes.
    var carriedFiles: UInt64 = 0
    var carriedBytes: UInt64 = 0
    /// Carried-over files that are gone.
    var goneFiles: UInt64 = 0

    /// Counts the entry that was added to `entries`.
    mutating func count(_ stat: FileStat) {
        switch stat.type {
        case .regular:
            files += 1
            bytes.add(stat.size)
        case .directory: folders += 1
        default: others += 1
        }
    }

    /// Counts an entry that was carried over.
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
    /// The fingerprint of a parent's entry, if the file's metadata is unchanged but the file must be read again all the
    /// same.
    let recorded: Int?
    /// The worker's result; guarded by the run's monitor.
    fileprivate var result: IngestResult?

    init(path: [UInt8], inode: UInt64, recorded: Int?) {
        self.path = path
        self.inode = inode
        self.recorded = recorded
    }
}

/// The queues between the threads of one backup. All are bounded, so memory does not grow with the number of files.
final class BackupFlow: @unchecked Sendable {
    /// Blocks of the walk, in its order.
    let found = BoundedQueue<WalkBlock>(capacity: 16)
    /// Steps in the order of the walk.
    let steps = BoundedQueue<[Step]>(capacity: 64)
    /// Batches of files to read.
    let jobs = BoundedQueue<[FileJob]>(capacity: 16)
    /// The run's first failure, and the user's wish to stop.
    let state: RunState
    /// True if the walk has reached its end; set before `found` is closed.
    var hasWalkedAll = false
    private let monitor = Monitor()
    /// The job that the assembler waits for; guarded by the monitor.
    private var awaited: FileJob?

    init(_ state: RunState) { self.state = state }

    /// Runs a thread's work. An error ends the run and closes the queues, so that no other thread waits for this one.
    func guarding(_ body: () throws -> Void) {
        if state.guarding(body) { return }
        found.close()
        steps.close()
        jobs.close()
        wake()
    }

    /// Records the results of a batch together: waking the assembler for each file would cost more than reading a small
    /// one. Files without a result were dropped.
    func complete(_ batch: [FileJob], _ results: [IngestResult]) {
        monitor.locked {
            for (number, job) in batch.enumerated() {
                job.result = number < results.count ? results[number] : .dropped
            }
            if batch.contains(where: { $0 === awaited }) { monitor.signalAll() }
        }
    }

    /// Returns a file's result without waiting; nil if there is none yet.
    func result(of job: FileJob) -> IngestResult? { monitor.locked { job.result } }

    /// Wakes the assembler while it waits for a large file.
    func wake() { monitor.locked { monitor.signalAll() } }

    /// Waits for a file's result. Returns nil if woken earlier, so that the caller can check for other work.
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

/// Counts what a backup has done so far, for a progress display. May be used from any thread.
public final class ProgressCounters: @unchecked Sendable {
    private let monitor = Monitor()
    private var progress = BackupProgress()

    /// Starts at zero.
    public init() {}

    /// The run's progress so far.
    public var current: BackupProgress { monitor.locked { progress } }

    func update(_ change: (inout BackupProgress) -> Void) { monitor.locked { change(&progress) } }
}
