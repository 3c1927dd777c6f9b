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
    private let stop: StopSignal

    /// Prepares a restore; a nil target is for dry runs into nothing.
    ///
    /// - Parameters:
    ///   - filter: decides by the path in the snapshot.
    ///   - onEvent: told what happens, from any thread.
    ///   - stop: polled; when it is given the run ends after what it has begun.
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

    /// Restores. On return without an error everything that was reported restored is durable.
    ///
    /// Throws failures of the store and fatal ones of the target; what concerns one entry is an event.
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
            // What is whole should stay so, and the user wants to know how much is missing. The system tells only once
            // of what a medium has lost: a sync that succeeds after one that failed says nothing.
            let isDurable = error.kind != .notDurable && (try? target.synchronize()) != nil
            progress.update { $0.isDurable = isDurable }
            if let need = try? selection.need() {
                progress.update { ($0.wantedFiles, $0.wantedBytes) = (need.files, need.bytes) }
            }
            throw error
        }
    }

    /// The request and the filter that also take what belongs together with what is wanted.
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
            // A single file: what belongs to it lies in its folder, and comes back beside it.
            request.subpath = PathOrder.split(entry.path).folder
            return (request, filter.including(groups, only: true))
        }
        return (request, filter.including(groups, only: false))
    }

    /// The next record; what cannot be read is passed over, and told of when it is to be restored.
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

/// Counts what a restore has done so far, for its report and for whoever shows its progress. May be used from any
/// thread.
public final class RestoreCounters: @unchecked Sendable {
    private let monitor = Monitor()
    private var counted = RestoreReport()

    /// Starts at zero.
    public init() {}

    /// What has been done so far.
    public var report: RestoreReport { monitor.locked { counted } }

    func update(_ change: (inout RestoreReport) -> Void) { monitor.locked { change(&counted) } }
}
