// ChangeDetector: the second stage of a backup. It turns each item of the walk into a step for the manifest: the
// parent's entry if nothing changed, a file for a worker if something did, or a further name of a file that is already
// being read.
//
// Always holds: a file is handed to the workers before the step that waits for it is handed on. Two names count as one
// file only on a medium with unique inode numbers, and only if their stats are equal. Otherwise each name is read.

import BakCore
import BakFormat
import BakStorage

/// Makes the steps of one backup. For one thread.
final class ChangeDetector {
    private let tree: any SourceTree
    private let comparer: ParentComparer
    private let flow: BackupFlow
    private let racyTimestamps: RacyTimestamps
    private var steps: [Step] = []
    /// The current run; it comes after `steps`.
    private var run = UnmodifiedRun()
    private var batch: [FileJob] = []
    private var batchBytes: UInt64 = 0
    /// The length of all paths in `steps`.
    private var pathBytes = 0
    /// The number of extents in `steps`.
    private var extentCount = 0
    /// True if the files of a block of steps are read in the order of their inodes.
    private let isByInode: Bool
    /// With `isByInode`: the files of the current steps.
    private var unordered: [FileJob] = []
    /// For each file of which the walk will meet more names: the job for its first name, its stat, and how many names
    /// the walk has met.
    private var links: [InodeKey: (first: FileJob, stat: FileStat, names: UInt32)] = [:]
    private let believesLinks: Bool

    private static let blockSteps = 1024
    /// A block also ends at this many bytes of paths.
    private static let blockPathBytes = 1 << 20
    /// A block also ends at this many extents. Such a large block waits until the earlier blocks have been taken.
    private static let blockExtents = 1 << 17
    private static let batchFiles = 32
    private static let batchByteLimit: UInt64 = 1 << 20

    init(
        _ tree: any SourceTree, _ comparer: ParentComparer, _ racyTimestamps: RacyTimestamps,
        _ flow: BackupFlow,
        isByInode: Bool, believesLinks: Bool
    ) {
        self.tree = tree
        self.believesLinks = believesLinks
        self.isByInode = isByInode
        self.comparer = comparer
        self.racyTimestamps = racyTimestamps
        self.flow = flow
    }

    /// Takes blocks until the queue is closed and empty.
    func makeSteps() {
        while let block = flow.found.pop() {
            var leftOut = block.leftOut[...]
            for (number, event) in block.events.enumerated() {
                while let next = leftOut.first, next.number <= number {
                    passBy(.through(next.path, .leftOut))
                    leftOut.removeFirst()
                }
                switch event.seen {
                case .failure(let path, let error):
                    passBy(.through(path, .unread))
                    append(.failure(path: path, error, else: nil))
                case .entry(let path, let stat): add(path, stat, block.start)
                case .unseen: preconditionFailure("it has been looked at")
                }
            }
            for next in leftOut { passBy(.through(next.path, .leftOut)) }
            // If the walk has no further block ready, hand on the steps. With `isByInode`, wait for more files to sort.
            if flow.found.isEmpty, !isByInode { flush() }
        }
        if flow.hasWalkedAll { passBy(.end) }
        flush()
    }

    /// The counts of what the walk has met and missed.
    var tally: SourceTally { comparer.tally }

    /// Takes the parents' entries that the walk does not meet, up to the limit.
    private func passBy(_ limit: ParentComparer.Limit) {
        comparer.seek(through: limit)
        takeMissed(limit)
    }

    private func takeMissed(_ limit: ParentComparer.Limit) {
        while let missed = comparer.takeMissed(limit, &run.entries) {
            switch missed {
            case .dropped: break
            case .inRun(let stat, let isGone): run.countCarried(stat, isGone: isGone)
            case .carried(let entry): append(.carried(entry))
            case .former(let file): append(.former(file))
            case .lost(let path, let reason): append(.lost(path: path, reason: reason))
            }
        }
    }

    private func add(_ path: [UInt8], _ stat: FileStat, _ start: Timestamp) {
        if comparer.seek(path) { takeMissed(.before(path)) }
        switch comparer.compare(path, stat, &run.entries) {
        case .inRun: run.count(stat)
        case .same(let entry): append(.entry(entry, .unmodified))
        case .moved(let entry): append(.entry(entry, .moved))
        case .differs(let change, let recorded):
            if stat.type == .regular {
                addFile(path, stat, change, recorded)
            } else {
                addSpecial(path, stat, change, start)
            }
        }
    }

    private func addFile(
        _ path: [UInt8], _ stat: FileStat, _ change: BackupEvent.Change, _ recorded: Int?
    ) {
        let mayBeLink = believesLinks && stat.linkCount > 1 && tree.evidence(path, stat).hasIdentity
        let key = InodeKey(stat)
        if mayBeLink, let known = links[key], known.stat == stat.withoutAllocation {
            links[key] = known.names + 1 < stat.linkCount ? (known.first, known.stat, known.names + 1) : nil
            comparer.keepFormers(at: path, stat, job: known.first, isLink: true)
            return append(.link(path: path, to: known.first, stat, change, recorded: recorded))
        }
        let job = FileJob(path: path, inode: stat.inode, recorded: recorded)
        comparer.keepFormers(at: path, stat, job: job)
        if mayBeLink { links[key] = (job, stat.withoutAllocation, 1) }
        if isByInode {
            unordered.append(job)
            append(.file(job, change))
        } else {
            let isFull = addToBatch(job, min(stat.size, Self.batchByteLimit))
            append(.file(job, change))
            if isFull { flush() }
        }
    }

    /// Returns true if the batch is full.
    private func addToBatch(_ job: FileJob, _ bytes: UInt64) -> Bool {
        batch.append(job)
        batchBytes += bytes
        return batch.count >= Self.batchFiles || batchBytes >= Self.batchByteLimit
    }

    private func pushBatch() {
        guard !batch.isEmpty else { return }
        flow.jobs.push(batch)
        batch = []
        batchBytes = 0
    }

    private func addSpecial(
        _ path: [UInt8], _ stat: FileStat, _ change: BackupEvent.Change, _ start: Timestamp
    ) {
        var attributes: FileAttributes?
        var failure: SourceError?
        do {
            attributes = try tree.attributes(path, stat)
        } catch {
            failure = error
            attributes = error.readAttributes
            // The entries in a folder could not be restored without the folder.
            if attributes == nil, stat.type == .directory {
                var names = FileAttributes()
                (names.userName, names.groupName) = tree.names(uid: stat.uid, gid: stat.gid)
                attributes = names
            }
        }
        guard let attributes else { return append(.failure(path: path, failure!, else: stat.type)) }
        let entry = ManifestEntry(
            path: path, stat: stat, attributes: attributes, content: nil,
            isUnsettled: failure != nil || racyTimestamps.isUnsettled(path, stat, readFrom: start),
            missing: failure == nil ? [] : .attributes)
        append(.entry(entry, change))
        if let failure { append(.shortfall(path: path, failure)) }
    }

    private func append(_ step: Step) {
        closeRun()
        steps.append(step)
        pathBytes += step.pathBytes
        extentCount += step.extentCount
        let isLarge = pathBytes >= Self.blockPathBytes || extentCount >= Self.blockExtents
        if isLarge || steps.count >= Self.blockSteps { flush() }
    }

    private func closeRun() {
        guard run.entries.count > 0 else { return }
        steps.append(.run(run))
        run = UnmodifiedRun()
    }

    private func flush() {
        closeRun()
        pushBatch()
        // A worker takes one file at a time. If each had a batch, they would read in turns and thus not in this order.
        for job in unordered.sorted(by: { $0.inode < $1.inode }) { flow.jobs.push([job]) }
        unordered = []
        guard !steps.isEmpty else { return }
        flow.steps.push(steps, isLarge: extentCount >= Self.blockExtents)
        (steps, pathBytes, extentCount) = ([], 0, 0)
        steps.reserveCapacity(Self.blockSteps)
    }
}

/// A file's identity on this machine while a backup runs.
package struct InodeKey: Hashable, Sendable {
    package var device: UInt64
    package var inode: UInt64
}

extension InodeKey {
    package init(_ stat: FileStat) { self.init(device: stat.device, inode: stat.inode) }
}
