// Repository+Restore: brings files back from a snapshot.

import BakCore
import BakEngine
import BakPosix
import BakRepository
import BakStorage

/// How a restore is made. The defaults suit most.
public struct RestoreOptions: Sendable {
    /// What becomes of a file that is at the target already.
    public enum Overwriting: Sendable {
        /// The snapshot's file takes its place.
        case always
        /// The snapshot's file takes its place if size or modification time differ.
        case ifChanged
        /// The snapshot's file takes its place if it was modified later.
        case ifNewer
        /// It stays.
        case never
    }

    /// The file or folder that is wanted, as an absolute path of the snapshot; nil for everything.
    public var path: String?
    /// What becomes of files that are at the target already.
    public var overwriting = Overwriting.always
    /// True to leave out what an archive keeps although its source had it no more.
    public var leavesOutGoneFiles = false
    /// True to write nothing and only report.
    public var isDryRun = false

    /// The defaults.
    public init() {}
}

/// What a restore did.
public struct RestoreResult: Sendable {
    /// Regular files that came back.
    public let files: UInt64
    /// Folders that were made or found.
    public let folders: UInt64
    /// The content of the files that came back, in bytes.
    public let bytes: UInt64
    /// Entries that stayed as they were at the target.
    public let keptEntries: UInt64
    /// Entries that could not be restored, or not as a whole. Each was told to `onFailure`.
    public let failedEntries: UInt64
    /// How many of them because the repository is damaged.
    public let damagedEntries: UInt64
    /// True if the restore was cancelled. What is there is whole.
    public let wasCancelled: Bool
}

extension Repository {
    /// Brings the files of a snapshot back into a folder. Every byte is verified before it is written, and a file
    /// appears under its name only when it is whole.
    ///
    /// - Parameters:
    ///   - snapshot: what to restore.
    ///   - folder: where to. It is made if it is missing. The content of `options.path` lands in it, or, without one,
    ///     the whole tree from the root on.
    ///   - options: how it is made.
    ///   - onProgress: told ten times a second, from another thread.
    ///   - onFailure: told of each entry that could not be restored as it was, from any thread.
    ///   - cancellation: ends the restore early.
    /// - Returns: what was done. When this returns, everything that it reports is durable.
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
