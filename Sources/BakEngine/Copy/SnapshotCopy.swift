// SnapshotCopy: chosen snapshots from one repository to another. Where both give content the same ids, stored
// chunks are taken over as they are; where not, files are read out of the source and backed up into the destination.
//
// A copy says which snapshot it was first made as. So a second run copies only the rest, and a copy of a copy is
// recognised too. A copy that lacks files, because the source was damaged or because the copy is now, is made again,
// and goes once a whole one is there. That a copy is damaged is known where a repair has made a snapshot of what is
// left of it; of copies that are asked for by name it is looked up.

import BakCore
import BakFormat
import BakRepository

/// How to copy.
public struct CopyRequest: Sendable {
    /// The machine's name, for the sessions' records.
    public var host: String
    /// The program and its version.
    public var program: String
    /// How many threads read.
    public var workerCount = 2
    /// Whether to look up, in the lists of files and in the index, if copies that were made before are still there as a
    /// whole, also where no pack is missing.
    public var looksUpCopies = false
    /// Whether to store nothing and only report.
    public var isDryRun = false
    /// A part of a snapshot is committed after this many new stored bytes.
    public var checkpointBytes = 512 << 20

    /// Makes a request with the defaults.
    public init(host: String, program: String) { (self.host, self.program) = (host, program) }
}

/// What a copy tells while it runs.
public enum CopyEvent: Sendable {
    /// A snapshot is begun, one of so many.
    case begun(CommitRecord, number: Int, of: Int)
    /// It has been copied, as this snapshot.
    case copied(CommitRecord, as: ID128)
    /// It had been copied before, as this snapshot.
    case skipped(CommitRecord, as: ID128)
    /// An earlier copy is this snapshot now, with tags that it did not have, or after a snapshot that was not there.
    case renewed(CommitRecord, as: CommitRecord)
    /// An earlier copy that lacked files has been removed, as it is there as a whole now.
    case replaced(CommitRecord)
    /// It cannot be copied, because the source has it no more as a whole.
    case failed(CommitRecord, reason: String)
    /// A file of it could not be read, and is not in the copy.
    case fileFailed(CommitRecord, path: [UInt8], reason: String)
    /// What the source remembers of what was called safe to delete cannot all be read.
    case vouchUnreadable(reason: String)
    /// What was called safe to delete because of a snapshot cannot be remembered of its copy.
    case vouchFailed(CommitRecord, reason: String)
    /// So many bytes of content have been copied or looked at since the copy began.
    case progress(bytes: UInt64)
}

/// What a copy did.
public struct CopyReport: Sendable, Equatable {
    /// Snapshots copied, or in a dry run: that would be.
    public var copied = 0
    /// Snapshots that had been copied before.
    public var skipped = 0
    /// Earlier copies that got tags, or their place in the order, or in a dry run: that would.
    public var renewed = 0
    /// Snapshots that could not be copied.
    public var failed = 0
    /// Files that could not be copied.
    public var failedFiles: UInt64 = 0
    /// Copies of which it could not be remembered what was called safe to delete.
    public var failedVouches = 0
    /// New content in bytes before compression.
    public var addedBytes: UInt64 = 0
    /// The same as it is stored; 0 in a dry run between repositories of the same ids, which reads no chunk.
    public var addedStoredBytes: UInt64 = 0
    /// Whether stored chunks were taken over as they are.
    public var isVerbatim = false
    /// Whether the user ended it before its end.
    public var wasInterrupted = false

    /// Makes an empty report.
    public init() {}
}

/// Copies snapshots from one repository to another.
public final class SnapshotCopy {
    let source: Repository
    let destination: Repository
    let request: CopyRequest
    let onEvent: @Sendable (CopyEvent) -> Void
    let stop: StopSignal
    private let copiedBytes = CopiedBytes()
    var report = CopyReport()
    /// The copies in the destination by the ids of their originals, and all of them.
    var copies: [ID128: CommitRecord] = [:]
    private var earlier: [ID128: [CommitRecord]] = [:]
    /// Copies of which something is lost in the destination.
    private var damaged: Set<ID128> = []
    /// The snapshots that are in the destination now, each with its copy.
    private var pairs: [(original: CommitRecord, copy: CommitRecord)] = []

    /// Prepares a copy.
    ///
    /// - Parameters:
    ///   - onEvent: told what happens, from any thread.
    ///   - stop: polled; when it is given the copy ends early, and keeps what it has stored.
    public init(
        _ request: CopyRequest, from source: Repository, to destination: Repository,
        onEvent: @escaping @Sendable (CopyEvent) -> Void = { _ in },
        stop: StopSignal = .never
    ) {
        self.request = request
        self.source = source
        self.destination = destination
        self.onEvent = onEvent
        self.stop = stop
    }

    /// Copies snapshots, oldest first. Throws failures of either store; what the source has no more as a whole is
    /// an event, and the others are copied.
    public func run(_ snapshots: [CommitRecord]) throws -> CopyReport {
        let list = try destination.snapshotList()
        earlier = Dictionary(grouping: list.readable, by: \.originalID)
        try findDamaged(snapshots, among: list.readable)
        copies = earlier.compactMapValues(\.last)
        report.isVerbatim = source.hasSameIDs(as: destination)
        var rest: [CommitRecord] = []
        var copiedBefore: Set<ID128> = []
        for snapshot in snapshots {
            if let copy = earlier[snapshot.originalID]?.last(where: { isWhole($0, of: snapshot) }) {
                copies[snapshot.originalID] = copy
                report.skipped += 1
                pairs.append((snapshot, copy))
                onEvent(.skipped(snapshot, as: copy.id))
                try removeLacking(beside: copy)
                copiedBefore.insert(snapshot.originalID)
            } else {
                rest.append(snapshot)
            }
        }
        if !rest.isEmpty { try report.isVerbatim ? copyVerbatim(rest) : copyFiles(rest) }
        if !stop.isRequested { try renew(copiedBefore, in: list.order) }
        // Of each the newest, as it may just have been brought up to date.
        let now = pairs.map { ($0.original, copies[$0.original.originalID] ?? $0.copy) }
        if !request.isDryRun { try carryVouches(now) }
        report.wasInterrupted = stop.isRequested
        return report
    }

    /// Whether a copy is all of it, and no checkpoint on the way to that. One that has more, because it comes from a
    /// whole source, is.
    func isWhole(_ copy: CommitRecord, of snapshot: CommitRecord) -> Bool {
        !damaged.contains(copy.id)
            && (copy.standsFor(snapshot)
                || copy.root == snapshot.root && copy.isComplete == snapshot.isComplete)
    }

    /// Finds the copies that were made before and are damaged.
    private func findDamaged(_ snapshots: [CommitRecord], among there: [CommitRecord]) throws {
        let made = snapshots.flatMap { earlier[$0.originalID] ?? [] }
        guard !made.isEmpty else { return }
        // What a repair of the source made, and was copied, says nothing of what is here.
        let repaired = there.filter { $0.original == nil }
        damaged = Set(made.filter { copy in repaired.contains { $0.isMade(from: copy) } }.map(\.id))
        let index = try BlobIndex(destination)
        let missing = try destination.missingPacks(index)
        // That packs are gone a listing tells; then the lists of files are worth reading, whatever is named.
        if request.looksUpCopies || !missing.isEmpty {
            damaged.formUnion(try destination.damaged(among: made, index, missing))
        }
        // What the index names counts as stored, and would not be copied.
        if !damaged.isEmpty, let pack = missing.min() { throw Repository.packNamedInVain(pack) }
    }

    private func note(_ snapshot: CommitRecord, copiedAs copy: CommitRecord) throws {
        copies[snapshot.originalID] = copy
        report.copied += 1
        pairs.append((snapshot, copy))
        onEvent(.copied(snapshot, as: copy.id))
        try removeLacking(beside: copy)
    }

    /// Removes earlier copies that lack files: rules would keep one of both, and might take the one that lacks
    /// something. One with tags that the other has not stays, as somebody has marked it.
    private func removeLacking(beside copy: CommitRecord) throws {
        for lacking in earlier[copy.originalID] ?? []
        where lacking.id != copy.id && lacking.isComplete && copy.standsFor(lacking)
            && (damaged.contains(lacking.id) || !lacking.standsFor(copy))
            && Set(lacking.tags).isSubset(of: copy.tags) && !request.isDryRun
        {
            try destination.forget([lacking.id], host: request.host, program: request.program)
            onEvent(.replaced(lacking))
        }
    }

    private func fail(_ snapshot: CommitRecord, _ error: any Error) {
        report.failed += 1
        onEvent(.failed(snapshot, reason: "\(error)"))
    }

    private func sourceIndex() throws -> BlobIndex {
        do {
            return try BlobIndex(source)
        } catch  where error is CorruptionError || error is MissingBlobError {
            throw CopySourceError(error: error)
        }
    }

    // MARK: The same ids

    private func copyVerbatim(_ snapshots: [CommitRecord]) throws {
        let sourceIndex = try sourceIndex()
        let session = try BackupSession(
            destination, host: request.host, program: request.program, isDryRun: request.isDryRun)
        defer { session.close() }
        let copiedBytes = copiedBytes
        let onEvent = onEvent
        let ancestors = try source.snapshotList().order
        let copy = VerbatimCopy(
            request, from: source, index: sourceIndex, to: session,
            onCopied: { onEvent(.progress(bytes: copiedBytes.add(UInt64($0)))) }, stop: stop)
        for (number, snapshot) in snapshots.enumerated() where !stop.isRequested {
            onEvent(.begun(snapshot, number: number + 1, of: snapshots.count))
            let (parent, joined) = ancestors.succession(of: snapshot) { copies[$0]?.id }
            var snapshot = snapshot
            snapshot.joined = joined
            do {
                let isLast = number == snapshots.count - 1
                if let made = try copy.copy(snapshot, parent: parent, continuing: !isLast) {
                    try note(snapshot, copiedAs: made)
                }
            } catch  where error is CorruptionError || error is MissingBlobError { fail(snapshot, error) }
        }
        report.addedBytes = UInt64(session.added.bytes) + copy.dryRunBytes
        report.addedStoredBytes = request.isDryRun ? 0 : UInt64(session.added.storedBytes)
    }

    // MARK: Other ids

    private func copyFiles(_ snapshots: [CommitRecord]) throws {
        let index = try sourceIndex()
        let ancestors = try source.snapshotList().order
        var before: CommitRecord?
        for (number, snapshot) in snapshots.enumerated() where !stop.isRequested {
            onEvent(.begun(snapshot, number: number + 1, of: snapshots.count))
            do {
                let tree = try SnapshotTree(snapshot, repository: source, index: index)
                let parent = try parent(of: snapshot, before, index)
                let (predecessor, joined) = ancestors.succession(of: snapshot) { copies[$0]?.id }
                if let made = try copyFiles(
                    of: tree, snapshot, parent: parent, after: predecessor, joining: joined)
                {
                    try note(snapshot, copiedAs: made)
                    before = snapshot
                }
            } catch  where error is CorruptionError || error is MissingBlobError { fail(snapshot, error) }
        }
    }

    /// The snapshot of the destination that a copy is compared with: what has the same times in both is not read
    /// again. Therefore none, if the source has two contents of a file under the same times.
    private func parent(
        of snapshot: CommitRecord, _ before: CommitRecord?, _ index: BlobIndex
    ) throws -> BackupRequest.ParentChoice {
        // An earlier copy that lacks something has all that it has as the source has it.
        if let lacking = copies[snapshot.originalID] { return .snapshot(lacking.id) }
        guard let before, let copy = copies[before.originalID] else { return .none }
        let one = try ManifestReader(before, repository: source, index: index)
        let other = try ManifestReader(snapshot, repository: source, index: index)
        let isReliable = try ManifestComparison.timesTellContents(one, other)
        return isReliable ? .snapshot(copy.id) : .none
    }

    private func copyFiles(
        of tree: SnapshotTree, _ snapshot: CommitRecord, parent: BackupRequest.ParentChoice,
        after predecessor: ID128?, joining joined: [ID128]
    ) throws -> CommitRecord? {
        var backup = BackupRequest(
            paths: snapshot.paths, host: snapshot.host, device: snapshot.device, user: snapshot.user,
            program: snapshot.program)
        (backup.tags, backup.time, backup.parent) = (snapshot.tags, snapshot.time, parent)
        (backup.copied, backup.isPartial) = (tree, !snapshot.isComplete)
        (backup.predecessor, backup.joined) = (predecessor, joined)
        (backup.workerCount, backup.isDryRun) = (request.workerCount, request.isDryRun)
        // What still lacks the same is there already.
        backup.skipsIfUnchanged = copies[snapshot.originalID].map { !damaged.contains($0.id) } ?? false
        backup.checkpointBytes = request.checkpointBytes
        var exclusions = BackupExclusions()
        exclusions.honoursIgnoreFiles = false
        let onEvent = onEvent
        let counters = ProgressCounters()
        let copiedBytes = copiedBytes
        let run = Backup(
            destination, of: tree, exclusions: exclusions,
            onEvent: { event in
                switch event {
                case .failed(let path, let reason), .incomplete(let path, let reason):
                    onEvent(.fileFailed(snapshot, path: path, reason: reason))
                default: break
                }
            },
            onEntry: { _, _ in onEvent(.progress(bytes: copiedBytes.sum(with: counters.current.bytes))) },
            stop: stop)
        let result = try run.run(backup, progress: counters)
        copiedBytes.add(counters.current.bytes)
        report.failedFiles += result.counters.failedItems
        report.addedBytes += result.counters.addedBytes
        report.addedStoredBytes += result.counters.addedStoredBytes
        if request.isDryRun {
            report.copied += 1
            return nil
        }
        return result.wasInterrupted ? nil : result.snapshot
    }
}

/// The source of a copy is damaged so that none of it can be read.
public struct CopySourceError: Error {
    /// What is wrong with it.
    public let error: any Error
}

/// A count that several threads add to.
private final class CopiedBytes: @unchecked Sendable {
    private let monitor = Monitor()
    private var bytes: UInt64 = 0

    /// Adds, and returns the sum.
    @discardableResult
    func add(_ count: UInt64) -> UInt64 {
        monitor.locked {
            bytes.add(count)
            return bytes
        }
    }

    /// What the sum would be with `more`.
    func sum(with more: UInt64) -> UInt64 {
        var sum = monitor.locked { bytes }
        sum.add(more)
        return sum
    }
}

/// Two manifests side by side.
enum ManifestComparison {
    /// Whether every file that has the same size and times in both has the same content in both.
    static func timesTellContents(_ one: ManifestReader, _ other: ManifestReader) throws -> Bool {
        var left = try one.next()
        var right = try other.next()
        while let first = left, let second = right {
            switch (first, second) {
            case (.continuation, _): left = try one.next()
            case (_, .continuation): right = try other.next()
            case (.entry(let old), .entry(let new)):
                if PathOrder.precedes(old.path, new.path) {
                    left = try one.next()
                } else if PathOrder.precedes(new.path, old.path) {
                    right = try other.next()
                } else {
                    let hasSameTimes =
                        old.stat.size == new.stat.size && old.stat.mtime == new.stat.mtime
                        && old.stat.ctime == new.stat.ctime
                    if hasSameTimes, old.content != new.content { return false }
                    left = try one.next()
                    right = try other.next()
                    // Further extents of a file that is the same so far.
                    while case .continuation(let more) = left, case .continuation(let others) = right {
                        if hasSameTimes, more != others { return false }
                        left = try one.next()
                        right = try other.next()
                    }
                }
            }
        }
        return true
    }
}
