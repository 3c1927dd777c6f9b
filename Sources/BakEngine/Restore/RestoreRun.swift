// RestoreRun: restores a snapshot, or a part of one, to files. The first pass over the manifest makes folders, symbolic
// links and special files. It writes files in windows, and each window reads each pack once. The second pass makes hard
// links, and then sets the metadata of folders, deepest first. At the end everything is made durable.
//
// Always holds: every chunk is verified before it is written, and a file that lacks a chunk is not left behind half
// written.

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
    private let stop: StopSignal

    /// Prepares a restore. The target is nil for a dry run without one.
    ///
    /// - Parameters:
    ///   - filter: decides by the path in the snapshot.
    ///   - onEvent: called with each event, from any thread.
    ///   - stop: polled; once it is requested, the run finishes what it has begun and ends.
    public init(
        _ repository: Repository, index: BlobIndex, to target: (any RestoreTarget)?,
        filter: RestoreFilter = RestoreFilter(),
        onEvent: @escaping @Sendable (RestoreEvent) -> Void = { _ in },
        stop: StopSignal = .never
    ) {
        self.repository = repository
        self.index = index
        self.target = target
        self.filter = filter
        self.onEvent = onEvent
        self.stop = stop
    }

    /// Runs a restore. When it returns, everything that was reported as restored is durable.
    ///
    /// - Throws: Failures of the store and fatal failures of the target. A failure that concerns one entry is an event.
    public func run(_ request: RestoreRequest, progress: RestoreCounters = RestoreCounters()) throws
        -> RestoreReport
    {
        let (request, filter) = request.takesGroups ? try withGroups(request) : (request, filter)
        let selection = RestoreSelection(request, filter, repository: repository, index: index)
        let pass = RestorePass(
            selection, target: request.isDryRun ? nil : target, existing: target, counters: progress,
            onEvent: onEvent, stop: stop)
        guard !request.isDryRun, let target else {
            try pass.restoreEntries()
            return progress.report
        }
        defer { target.close() }
        do {
            do {
                defer { pass.finishTop() }
                try pass.restoreEntries()
                try pass.linkAndFinishFolders()
            }
            try target.synchronize()
            return progress.report
        } catch let error as TargetError where error.isFatal {
            // Keep what is complete, and tell the user how much is missing. The system reports lost writes of a medium
            // only once, so a sync that succeeds after a failed one proves nothing.
            let isDurable = error.kind != .notDurable && (try? target.synchronize()) != nil
            progress.update { $0.isDurable = isDurable }
            if let need = try? selection.need() {
                progress.update { ($0.wantedFiles, $0.wantedBytes) = (need.files, need.bytes) }
            }
            throw error
        }
    }

    /// Returns the request and the filter, extended to the asset groups of the wanted files.
    private func withGroups(_ request: RestoreRequest) throws -> (RestoreRequest, RestoreFilter) {
        var groups = ChosenGroups()
        var chooser = filter
        var request = request
        let reader = try ManifestReader(
            request.snapshot, repository: repository, index: index, from: request.subpath)
        while let record = try nextReadable(of: reader), !stop.isRequested {
            guard case .entry(let entry) = record else { continue }
            guard PathOrder.isAtOrBeneath(entry.path, request.subpath) else {
                if PathOrder.precedes(request.subpath, entry.path) { break }
                continue
            }
            let isFolder = entry.stat.type == .directory
            guard chooser.decide(entry.path, isFolder: isFolder).decision == .include, !isFolder else {
                continue
            }
            groups.insert(entry.path)
            guard entry.path == request.subpath, !groups.isEmpty else { continue }
            // The user named a single file. The other files of its group are in its folder, and are restored beside it.
            request.subpath = PathOrder.split(entry.path).folder
            return (request, filter.including(groups, only: true))
        }
        return (request, filter.including(groups, only: false))
    }

    /// Returns the next readable record. The pass that restores reports the unreadable segments.
    private func nextReadable(of reader: ManifestReader) throws -> ManifestRecord? {
        while true {
            do {
                return try reader.next()
            } catch let error where error is CorruptionError || error is MissingBlobError {
                _ = reader.skipSegment()
            }
        }
    }
}

/// Counts what a restore has done so far, for its report and for a progress display. May be used from any thread.
public final class RestoreCounters: @unchecked Sendable {
    private let monitor = Monitor()
    private var counted = RestoreReport()

    /// Starts at zero.
    public init() {}

    /// The counts so far.
    public var report: RestoreReport { monitor.locked { counted } }

    func update(_ change: (inout RestoreReport) -> Void) { monitor.locked { change(&counted) } }
}
