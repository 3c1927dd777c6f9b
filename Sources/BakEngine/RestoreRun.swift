// RestoreRun: a snapshot, or a part of one, back into files. First pass over the manifest: folders, symbolic
// links and special files are made, and files in windows, each pack read once a window. Second
// pass: hard links, then folders' metadata from the deepest up. At the end everything is made durable.
//
// Every chunk is verified before it is written. A file that misses one is not left behind half done.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// Restores from one repository to one target.
public final class Restore: Sendable {
    private let repository: Repository
    private let index: BlobIndex
    private let target: (any RestoreTarget)?
    private let filter: RestoreFilter
    private let onEvent: @Sendable (RestoreEvent) -> Void
    private let isCancelled: @Sendable () -> Bool

    /// Prepares a restore; a nil target is for dry runs into nothing.
    ///
    /// - Parameters:
    ///   - filter: decides by the path in the snapshot.
    ///   - onEvent: told what happens, from any thread.
    ///   - isCancelled: polled; when it turns true the run ends after what it has begun.
    public init(
        _ repository: Repository, index: BlobIndex, to target: (any RestoreTarget)?,
        filter: RestoreFilter = RestoreFilter(),
        onEvent: @escaping @Sendable (RestoreEvent) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.repository = repository
        self.index = index
        self.target = target
        self.filter = filter
        self.onEvent = onEvent
        self.isCancelled = isCancelled
    }

    /// Restores. On return without an error everything that was reported restored is durable.
    ///
    /// Throws failures of the store and fatal ones of the target; what concerns one entry is an event.
    public func run(_ request: RestoreRequest, progress: RestoreBoard = RestoreBoard()) throws
        -> RestoreReport
    {
        let pass = RestorePass(
            repository: repository, index: index, target: request.isDryRun ? nil : target, existing: target,
            request: request, filter: filter, board: progress, onEvent: onEvent, isCancelled: isCancelled)
        try pass.restoreEntries()
        if !request.isDryRun, let target {
            try pass.linkAndFinishFolders()
            try target.synchronize()
        }
        return progress.report
    }
}

/// Where a restore counts, and shows how far it has come.
public final class RestoreBoard: @unchecked Sendable {
    private let monitor = Monitor()
    private var counted = RestoreReport()

    /// Starts at zero.
    public init() {}

    /// What has been done so far.
    public var report: RestoreReport { monitor.locked { counted } }

    func update(_ change: (inout RestoreReport) -> Void) { monitor.locked { change(&counted) } }
}
