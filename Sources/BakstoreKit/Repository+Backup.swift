// Repository+Backup: stores files and folders as a new snapshot.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage

/// How a backup is made. The defaults suit most.
public struct BackupOptions: Sendable {
    /// Labels for the snapshot.
    public var tags: [String] = []
    /// Patterns of what to leave out: `*.tmp` anywhere, `/home/ann/Downloads` from the root, `Cache/` for folders; `!`
    /// takes back.
    public var exclusions: [String] = []
    /// Whose files they are; nil for this machine. Backups of one device and the same paths follow each other.
    public var device: String?
    /// True to keep in this snapshot, and in those that follow it, what the source has no more; false to end that; nil
    /// to go on as the snapshot before.
    public var keepsDeletedFiles: Bool?
    /// True to read every file, also those whose size and times are as before.
    public var readsEverything = false
    /// True if it is meant that a path has lost most of its files since the backup before.
    public var expectsMissingFiles = false
    /// True to store nothing and only report.
    public var isDryRun = false

    /// The defaults.
    public init() {}
}

/// What a backup did.
public struct BackupResult: Sendable {
    /// The snapshot; nil if nothing was stored, as in a dry run.
    public let snapshot: Snapshot?
    /// Regular files that no earlier snapshot of the same paths has.
    public let newFiles: UInt64
    /// Regular files that differ from the snapshot before.
    public let changedFiles: UInt64
    /// Regular files that are as before, and were not read.
    public let unmodifiedFiles: UInt64
    /// Bytes of the files in the snapshot.
    public let bytes: UInt64
    /// Bytes that were read.
    public let readBytes: UInt64
    /// Bytes that were added to the repository: what was new, compressed.
    public let storedBytes: UInt64
    /// How many items could not be read, or not as a whole. Each was told to `onFailure`.
    public let failedItems: UInt64
    /// Paths that have lost most of their files since the snapshot before: was their disk connected?
    public let shrunkenPaths: [String]
    /// True if the backup was cancelled; the snapshot is partial then.
    public let wasCancelled: Bool
}

extension Repository {
    /// Stores files and folders as a new snapshot. Only content that the repository does not have yet is stored.
    ///
    /// - Parameters:
    ///   - paths: files and folders, absolute or relative to the working folder.
    ///   - options: how it is made.
    ///   - onProgress: told ten times a second, from another thread.
    ///   - onFailure: told of each item that could not be read, from any thread.
    ///   - cancellation: ends the backup early.
    /// - Returns: what was done. When this returns, everything that it reports is durable.
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
