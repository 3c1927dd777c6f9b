// Repository+Restore: restores files from a snapshot.

import BakCore
import BakEngine
import BakPosix
import BakRepository
import BakStorage

/// Options of a restore. The defaults suit most restores.
public struct RestoreOptions: Sendable {
    /// A rule for files that already exist in the target.
    public enum Overwriting: Sendable {
        /// The snapshot's file replaces the existing one.
        case always
        /// The snapshot's file replaces the existing one if size or modification time differ.
        case ifChanged
        /// The snapshot's file replaces the existing one if it was modified later.
        case ifNewer
        /// The existing file stays.
        case never
    }

    /// The file or folder to restore, as an absolute path of the snapshot; nil for everything.
    public var path: String?
    /// The rule for files that already exist in the target.
    public var overwriting = Overwriting.always
    /// True to leave out files that an archive keeps although its source no longer had them.
    public var leavesOutGoneFiles = false
    /// True to write nothing and only report.
    public var isDryRun = false

    /// Makes the default options.
    public init() {}
}

/// The result of a restore.
public struct RestoreResult: Sendable {
    /// The number of regular files that were restored.
    public let files: UInt64
    /// The number of folders that were made or existed already.
    public let folders: UInt64
    /// The size of the restored files, in bytes.
    public let bytes: UInt64
    /// The number of entries in the target that were kept as they were.
    public let keptEntries: UInt64
    /// The number of entries that could not be restored in full. `restore` passed each of them to `onFailure`.
    public let failedEntries: UInt64
    /// The number of failed entries for which damage in the repository is the cause.
    public let damagedEntries: UInt64
    /// True if the restore was cancelled. All files in the target are complete even then.
    public let wasCancelled: Bool
}

extension Repository {
    /// Restores the files of a snapshot into a folder. Every byte is verified before it is written, and a file gets its
    /// name only when it is complete.
    ///
    /// - Parameters:
    ///   - snapshot: the snapshot to restore.
    ///   - folder: the folder to write to. It is made if it is missing. It receives the content of `options.path`, or
    ///     the whole tree from the root if `options.path` is nil.
    ///   - options: the options of the restore.
    ///   - onProgress: called ten times a second, on another thread.
    ///   - onFailure: called for each entry that could not be restored exactly as it was, on any thread.
    ///   - cancellation: ends the restore early.
    /// - Returns: the result. Everything that the result reports as restored is durable.
    /// - Throws: `BakstoreError` of kind `notFound` if the snapshot has nothing at `options.path`, `target`, `storage`,
    ///   `refused`.
    public func restore(
        _ snapshot: Snapshot, to folder: String, options: RestoreOptions = RestoreOptions(),
        onProgress: (@Sendable (RunProgress) -> Void)? = nil,
        onFailure: (@Sendable (ItemFailure) -> Void)? = nil,
        cancellation: Cancellation? = nil
    ) throws(BakstoreError) -> RestoreResult {
        try BakstoreError.wrapping {
            try Self.expectNoRepository(around: folder)
            let request = request(snapshot, options)
            let index = try BlobIndex(engine) { _ in }
            if !request.subpath.isEmpty {
                let selection = RestoreSelection(request, RestoreFilter(), repository: engine, index: index)
                if try selection.unmatched() != nil {
                    throw SnapshotPathError.notInSnapshot(request.subpath, snapshot.record.id)
                }
            }
            let isAbsent = Machine.isFolder(folder) == nil
            let target =
                options.isDryRun && isAbsent
                ? nil : try FolderTarget(path: folder, isForbidden: Self.isRepository)
            let counters = RestoreCounters()
            let restore = Restore(
                engine, index: index, to: target,
                onEvent: { event in
                    switch event {
                    case .failed(let path, let reason), .incomplete(let path, let reason),
                        .note(let path, let reason, isExpected: false):
                        onFailure?(ItemFailure(path: PathText.absolute(path), reason: reason))
                    default: break
                    }
                }, stop: StopSignal { cancellation?.isCancelled ?? false })
            let teller = ProgressTeller(onProgress) { RunProgress(counters.report) }
            defer { teller.finish() }
            return RestoreResult(try restore.run(request, progress: counters))
        }
    }

    private func request(_ snapshot: Snapshot, _ options: RestoreOptions) -> RestoreRequest {
        var request = RestoreRequest(
            snapshot: snapshot.record, subpath: PathText.stored((options.path ?? "").utf8))
        request.overwrite =
            switch options.overwriting {
            case .always: .always
            case .ifChanged: .ifChanged
            case .ifNewer: .ifNewer
            case .never: .never
            }
        request.leavesOutGone = options.leavesOutGoneFiles
        request.isDryRun = options.isDryRun
        request.workerCount = Machine.workerCount
        return request
    }
}

extension RestoreResult {
    fileprivate init(_ report: RestoreReport) {
        files = report.files
        folders = report.folders
        bytes = report.bytes
        keptEntries = report.kept
        failedEntries = report.failed + report.incomplete
        damagedEntries = report.damaged
        wasCancelled = report.wasInterrupted
    }
}

extension RunProgress {
    fileprivate init(_ report: RestoreReport) {
        (files, bytes) = (report.files + report.kept, report.processedBytes)
    }
}
