// Repository+Backup: stores files and folders as a new snapshot.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage

/// Options of a backup. The defaults suit most backups.
public struct BackupOptions: Sendable {
    /// Labels for the snapshot.
    public var tags: [String] = []
    /// Patterns for files to leave out: `*.tmp` anywhere, `/home/ann/Downloads` from the root, `Cache/` for folders
    /// only. A pattern that begins with `!` includes files again.
    public var exclusions: [String] = []
    /// The name of the device that the files belong to; nil for this machine. A backup continues from the last one of
    /// the same device and paths.
    public var device: String?
    /// True to keep files that the source no longer has, in this snapshot and the following ones; false to stop keeping
    /// them; nil to do as in the snapshot before.
    public var keepsDeletedFiles: Bool?
    /// True to read every file, even if its size and times have not changed.
    public var readsEverything = false
    /// True if you know that a path has lost most of its files since the backup before. The backup then does not take
    /// their absence as a sign of a missing disk.
    public var expectsMissingFiles = false
    /// True to store nothing and only report.
    public var isDryRun = false

    /// Makes the default options.
    public init() {}
}

/// The result of a backup.
public struct BackupResult: Sendable {
    /// The snapshot; nil if nothing was stored, as in a dry run.
    public let snapshot: Snapshot?
    /// The number of regular files that the snapshot before does not have.
    public let newFiles: UInt64
    /// The number of regular files that differ from the snapshot before.
    public let changedFiles: UInt64
    /// The number of regular files that have not changed and were not read.
    public let unmodifiedFiles: UInt64
    /// The size of all files in the snapshot, in bytes.
    public let bytes: UInt64
    /// The number of bytes that were read.
    public let readBytes: UInt64
    /// The number of bytes added to the repository: new content, compressed.
    public let storedBytes: UInt64
    /// The number of items that could not be read in full. `backUp` passed each of them to `onFailure`.
    public let failedItems: UInt64
    /// The paths that have lost most of their files since the snapshot before, perhaps because a disk was not
    /// connected.
    public let shrunkenPaths: [String]
    /// True if the backup was cancelled. The snapshot is partial then.
    public let wasCancelled: Bool
}

extension Repository {
    /// Stores files and folders as a new snapshot. Only content that the repository does not have yet is stored.
    ///
    /// - Parameters:
    ///   - paths: files and folders, absolute or relative to the working folder.
    ///   - options: the options of the backup.
    ///   - onProgress: called ten times a second, on another thread.
    ///   - onFailure: called for each item that could not be read, on any thread.
    ///   - cancellation: ends the backup early.
    /// - Returns: the result. Everything that the result reports as stored is durable.
    /// - Throws: `BakstoreError` of kind `source` if none of the paths can be read, `damaged` if the snapshot is stored
    ///   but needs packs that are damaged, `storage`, `refused`.
    public func backUp(
        _ paths: [String], options: BackupOptions = BackupOptions(),
        onProgress: (@Sendable (RunProgress) -> Void)? = nil,
        onFailure: (@Sendable (ItemFailure) -> Void)? = nil,
        cancellation: Cancellation? = nil
    ) throws(BakstoreError) -> BackupResult {
        try BakstoreError.wrapping {
            guard !paths.isEmpty else { throw BakstoreError(.refused, "no path was given to back up") }
            let tree = try FileTree(roots: paths.map { Array($0.utf8) })
            guard !tree.isAllMissing else {
                let missing = tree.missing.map { "\(PathText.absolute($0.path)): \($0.reason)" }
                throw BakstoreError(.source, missing.joined(separator: "; "))
            }
            if !options.isDryRun { try prepareToChange() }
            let counters = ProgressCounters()
            let backup = Backup(
                engine, of: tree, exclusions: try exclusions(options), ownFolder: ownFolder,
                onEvent: { event in
                    switch event {
                    case .failed(let path, let reason), .incomplete(let path, let reason):
                        onFailure?(ItemFailure(path: PathText.absolute(path), reason: reason))
                    default: break
                    }
                }, stop: StopSignal { cancellation?.isCancelled ?? false })
            let teller = ProgressTeller(onProgress) { RunProgress(counters.current) }
            defer { teller.finish() }
            let report = try backup.run(request(tree, options), progress: counters)
            if !options.isDryRun {
                engine.store.renewReserve()
                if let made = report.snapshot { engine.noteSeen(made) }
            }
            if let damaged = report.damagedPacks.first {
                throw BakstoreError(
                    .damaged, "the snapshot is stored, but not all of it can be restored: \(damaged)")
            }
            return BackupResult(report)
        }
    }

    private var ownFolder: OwnFolder? {
        Machine.realPath(Array(path.utf8)).map {
            OwnFolder(path: Array($0.dropFirst()), stat: Machine.status($0)) { [store = engine.store] in
                (try? store.readAtOnce(ObjectNames.config, upTo: 1 << 16)) ?? []
            }
        }
    }

    private func exclusions(_ options: BackupOptions) throws -> BackupExclusions {
        var exclusions = BackupExclusions()
        exclusions.patterns = try options.exclusions.map {
            try PathPattern(Array($0.utf8), origin: "exclusions")
        }
        if Machine.isRoot { exclusions.trustedOwner = 0 }
        return exclusions
    }

    private func request(_ tree: FileTree, _ options: BackupOptions) -> BackupRequest {
        var request = BackupRequest(
            paths: tree.roots, host: Machine.hostName, device: options.device ?? Machine.hostName,
            user: Machine.userName, program: Self.program)
        request.tags = options.tags
        request.archive = options.keepsDeletedFiles.map { $0 ? .yes : .no } ?? .asBefore
        if options.readsEverything { request.parent = .none }
        request.allowsEmpty = options.expectsMissingFiles
        request.isDryRun = options.isDryRun
        request.workerCount = Machine.workerCount
        return request
    }
}

extension BackupResult {
    fileprivate init(_ report: BackupReport) {
        snapshot = report.snapshot.map(Snapshot.init)
        newFiles = report.counters.newFiles
        changedFiles = report.counters.changedFiles
        unmodifiedFiles = report.counters.unmodifiedFiles
        bytes = report.counters.bytes
        readBytes = report.counters.readBytes
        storedBytes = report.counters.addedStoredBytes
        failedItems = report.counters.failedItems
        shrunkenPaths = report.doubts.shrunken.map { PathText.absolute($0.path) }
        wasCancelled = report.wasInterrupted
    }
}

extension RunProgress {
    fileprivate init(_ progress: BackupProgress) {
        (files, bytes, storedBytes) = (progress.files, progress.bytes, progress.storedBytes)
        currentPath = progress.currentPath.isEmpty ? "" : PathText.absolute(progress.currentPath)
    }
}
