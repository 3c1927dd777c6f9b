// SnapshotCopy: copies chosen snapshots from one repository to another. If both repositories give content the same ids,
// stored chunks are copied as they are. Otherwise files are read from the source and backed up into the destination.
//
// A copy records its original. So a second run copies only the snapshots without a copy, and recognises even a copy of
// a copy.
//
// A copy may lack files, because the source was damaged or because the copy itself is damaged now. The snapshot is then
// copied again, and the copy that lacks files is removed once a whole copy exists. A copy counts as damaged if a repair
// of the destination has made a snapshot of the copy's remains. With `looksUpCopies`, or if the destination lacks
// packs, the run also looks up whether the content of each copy is complete.

import BakCore
import BakFormat
import BakRepository

/// The settings of a copy.
public struct CopyRequest: Sendable {
    /// The machine's name, for the sessions' records.
    public var host: String
    /// The program and its version.
    public var program: String
    /// How many threads read.
    public var workerCount = 2
    /// True if the run looks up in manifests and index whether earlier copies are still complete. If the destination
    /// lacks a pack, the run does so in any case.
    public var looksUpCopies = false
    /// True if the run only reports and stores nothing.
    public var isDryRun = false
    /// A part of a snapshot is committed after this many new stored bytes.
    public var checkpointBytes = 512 << 20

    /// Makes a request with the defaults.
    public init(host: String, program: String) { (self.host, self.program) = (host, program) }
}

/// An event of a running copy.
public enum CopyEvent: Sendable {
    /// The copy of a snapshot begins. The event has the snapshot's number and the total.
    case begun(CommitRecord, number: Int, of: Int)
    /// A snapshot was copied. The copy has the id `as`.
    case copied(CommitRecord, as: ID128)
    /// A snapshot was copied earlier. The copy has the id `as`.
    case skipped(CommitRecord, as: ID128)
    /// An earlier copy was committed again, with more tags or with a parent that the destination did not have before.
    /// The second record is the new one.
    case renewed(CommitRecord, as: CommitRecord)
    /// An earlier copy that lacked files was removed, because a whole copy exists now.
    case replaced(CommitRecord)
    /// A snapshot cannot be copied, because the source no longer has all of it.
    case failed(CommitRecord, reason: String)
    /// A file of a snapshot could not be read completely, so the copy lacks the file or a part of it.
    case fileFailed(CommitRecord, path: [UInt8], reason: String)
    /// Some vouches of the source cannot be read.
    case vouchUnreadable(reason: String)
    /// The vouches for a snapshot could not be recorded for its copy.
    case vouchFailed(CommitRecord, reason: String)
    /// Bytes of content copied or examined since the copy began.
    case progress(bytes: UInt64)
}

/// The result of a copy.
public struct CopyReport: Sendable, Equatable {
    /// Number of snapshots copied. In a dry run, the number of snapshots to copy.
    public var copied = 0
    /// Number of snapshots that were copied earlier.
    public var skipped = 0
    /// Number of earlier copies that got tags or a parent. In a dry run, the number of copies that would get them.
    public var renewed = 0
    /// Number of snapshots that could not be copied.
    public var failed = 0
    /// Number of files that could not be copied.
    public var failedFiles: UInt64 = 0
    /// Number of copies for which vouches could not be recorded.
    public var failedVouches = 0
    /// New content in bytes, before compression.
    public var addedBytes: UInt64 = 0
    /// New content as stored, in bytes. It is 0 in a dry run between repositories with the same ids, because such a run
    /// reads no chunk.
    public var addedStoredBytes: UInt64 = 0
    /// True if stored chunks were copied as they are.
    public var isVerbatim = false
    /// True if the user interrupted the copy.
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
    /// The current copy of each original in the destination. `earlier` has all copies that existed before the run.
    var copies: [ID128: CommitRecord] = [:]
    private var earlier: [ID128: [CommitRecord]] = [:]
    /// The earlier copies that are damaged in the destination.
    private var damaged: Set<ID128> = []
    /// The chosen snapshots that have a copy now, each with its copy.
    private var pairs: [(original: CommitRecord, copy: CommitRecord)] = []

    /// Prepares a copy.
    ///
    /// - Parameters:
    ///   - onEvent: called with each event, from any thread.
    ///   - stop: polled; once it is requested the copy ends early, and keeps what it has stored.
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

    /// Copies snapshots, oldest first. If the source no longer has all of a snapshot, the run reports this snapshot
    /// with the event `failed` and copies the others.
    ///
    /// - Throws: Failures of either store.
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
        // Use the newest version of each copy: `renew` may just have committed it again.
        let now = pairs.map { ($0.original, copies[$0.original.originalID] ?? $0.copy) }
        if !request.isDryRun { try carryVouches(now) }
        report.wasInterrupted = stop.isRequested
        return report
    }

    /// True if a copy has all of the snapshot and is not just a checkpoint of a copy. A copy has more than the snapshot
    /// if `snapshot` lacks files, and the copy was made from a version of the snapshot that still had them.
    func isWhole(_ copy: CommitRecord, of snapshot: CommitRecord) -> Bool {
        !damaged.contains(copy.id)
            && (copy.standsFor(snapshot)
                || copy.root == snapshot.root && copy.isComplete == snapshot.isComplete)
    }

    /// Finds the earlier copies that are damaged.
    private func findDamaged(_ snapshots: [CommitRecord], among there: [CommitRecord]) throws {
        let made = snapshots.flatMap { earlier[$0.originalID] ?? [] }
        guard !made.isEmpty else { return }
        // A repair leaves `original` empty. A repaired snapshot that has an original was copied from the source, so it
        // shows damage in the source and not here.
        let repaired = there.filter { $0.original == nil }
        damaged = Set(made.filter { copy in repaired.contains { $0.isMade(from: copy) } }.map(\.id))
        let index = try BlobIndex(destination)
        let missing = try destination.missingPacks(index)
        // If the listing shows that packs are missing, read the manifests even without `looksUpCopies`.
        if request.looksUpCopies || !missing.isEmpty {
            damaged.formUnion(try destination.damaged(among: made, index, missing))
        }
        // A chunk that the index names counts as stored, even if its pack is missing. The run would therefore not copy
        // the chunk again, and the new copy would lack it. So the run must not begin.
        if !damaged.isEmpty, let pack = missing.min() { throw Repository.packNamedInVain(pack) }
    }

    private func note(_ snapshot: CommitRecord, copiedAs copy: CommitRecord) throws {
        copies[snapshot.originalID] = copy
        report.copied += 1
        pairs.append((snapshot, copy))
        onEvent(.copied(snapshot, as: copy.id))
        try removeLacking(beside: copy)
    }

    /// Removes earlier copies that lack files, now that `copy` is whole: retention would keep only one copy, perhaps
    /// the wrong one. A copy with tags that the whole copy does not have stays, because a user has marked it.
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

    /// Returns the parent of the new copy: a snapshot of the destination with which the copy of `snapshot` is compared.
    /// If a file has the same times in the parent and in `snapshot`, its content is taken from the parent and not read.
    /// So the result is `none` if these times do not prove the same content: a file has the same times in `snapshot`
    /// and in `before`, the snapshot that was copied last, but other content.
    private func parent(
        of snapshot: CommitRecord, _ before: CommitRecord?, _ index: BlobIndex
    ) throws -> BackupRequest.ParentChoice {
        // An earlier copy of this snapshot lacks files. The files that it has are the same as in the source, so it can
        // be the parent of the new copy.
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
        // If the new copy would lack the same files as an earlier one, the earlier one is enough.
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

/// The source of a copy is so damaged that nothing can be read from it.
public struct CopySourceError: Error {
    /// The underlying error.
    public let error: any Error
}

/// A count to which several threads add.
private final class CopiedBytes: @unchecked Sendable {
    private let monitor = Monitor()
    private var bytes: UInt64 = 0

    /// Adds to the count and returns the sum.
    @discardableResult
    func add(_ count: UInt64) -> UInt64 {
        monitor.locked {
            bytes.add(count)
            return bytes
        }
    }

    /// Returns what the sum would be with `more`.
    func sum(with more: UInt64) -> UInt64 {
        var sum = monitor.locked { bytes }
        sum.add(more)
        return sum
    }
}

/// Compares two manifests.
enum ManifestComparison {
    /// True if every file that has the same size and times in both manifests has the same content in both.
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
                    // Compare further extents of a file that is the same so far.
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
