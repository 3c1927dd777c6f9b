// LibraryWalk: the first stage of a benchmark. It walks the library, leaves out excluded items, compares the included
// items with a snapshot, and passes these items on in batches, in the order of the walk.

import BakEngine
import BakCore
import BakFormat
import BakStorage

/// Walks one library. For one thread.
final class LibraryWalk {
    private let tree: any SourceTree
    private let queue: BoundedQueue<[LibraryItem]>
    private let state: RunState
    private let filter: SourceFilter
    private let roots: [[UInt8]]
    private let comparer: ParentComparer?
    private let time: any TimeSource
    private let onEvent: (LibraryEvent) -> Void
    private var batch: [LibraryItem] = []
    private var batchBytes: UInt64 = 0
    /// For files with several names: the file's stat, and the number of its names still to come.
    private var links: [InodeKey: (stat: FileStat, names: UInt32)] = [:]
    private var waitNanoseconds: UInt64 = 0
    private var entries: UInt64 = 0
    /// The findings of the walk.
    private(set) var report = LibraryReport()

    /// The limits of a batch, in files and in bytes.
    private static let batchFiles = 32
    private static let batchByteLimit: UInt64 = 1 << 20

    init(
        _ tree: any SourceTree, _ queue: BoundedQueue<[LibraryItem]>, _ state: RunState,
        filter: SourceFilter, roots: [[UInt8]], comparer: ParentComparer?, time: any TimeSource,
        onEvent: @escaping (LibraryEvent) -> Void
    ) {
        self.tree = tree
        self.queue = queue
        self.state = state
        self.filter = filter
        self.roots = roots
        self.comparer = comparer
        self.time = time
        self.onEvent = onEvent
        if comparer != nil { report.changes = LibraryReport.Changes() }
    }

    /// Walks to the end, or until the run stops.
    func run() throws {
        let begin = time.monotonicNanoseconds()
        try tree.walk { event in
            if state.shouldStop() { return .stop }
            switch event.seen {
            case .failure(let path, let error):
                if error.endsRun { throw error }
                onEvent(.failed(path: path, reason: error.description))
                return .proceed
            case .entry(let path, let stat): return visit(path, stat)
            case .unseen: preconditionFailure("it has been looked at")
            }
        }
        flush()
        let nanoseconds = time.monotonicNanoseconds() - begin
        report.stages.append(
            LibraryReport.Stage(name: .walk, amount: entries, nanoseconds: nanoseconds - waitNanoseconds))
    }

    private func visit(_ path: [UInt8], _ stat: FileStat) -> WalkDecision {
        switch filter.decide(path, stat) {
        case .include:
            hand(path, stat)
            return .proceed
        case .includeWithoutContents(let reason):
            hand(path, stat)
            exclude(path, "its content: \(reason)")
        case .exclude(let reason): exclude(path, reason.description)
        }
        return .skipChildren
    }

    private func exclude(_ path: [UInt8], _ reason: String) {
        report.excludedItems += 1
        onEvent(.excluded(path: path, reason: reason))
    }

    private func hand(_ path: [UInt8], _ stat: FileStat) {
        entries += 1
        var item = LibraryItem(path: path, stat: stat)
        switch stat.type {
        case .regular: item.isFurtherName = isFurtherName(path, stat)
        // Folders above the roots are in a manifest, but they are not part of the library.
        case .directory:
            if roots.contains(where: { PathOrder.isAtOrBeneath(path, $0) }) { report.folders += 1 }
        default: report.others += 1
        }
        if item.isFurtherName { report.furtherNames += 1 }
        compare(&item)
        batch.append(item)
        batchBytes += min(stat.size, Self.batchByteLimit)
        if batch.count >= Self.batchFiles || batchBytes >= Self.batchByteLimit { flush() }
    }

    private func isFurtherName(_ path: [UInt8], _ stat: FileStat) -> Bool {
        guard stat.linkCount > 1, tree.evidence(path, stat).hasIdentity else { return false }
        let key = InodeKey(stat)
        guard let known = links[key], known.stat == stat.withoutAllocation else {
            links[key] = (stat.withoutAllocation, stat.linkCount - 1)
            return false
        }
        links[key] = known.names > 1 ? (known.stat, known.names - 1) : nil
        return true
    }

    private func compare(_ item: inout LibraryItem) {
        guard let comparer else { return }
        var run = EntryRun()
        comparer.pass(to: item.path)
        let outcome = comparer.compare(item.path, item.stat, &run)
        // If the outcome has a recorded fingerprint, no change of the file is visible, but a backup would read it again
        // to be sure. Such a file does not count as changed.
        guard item.stat.type == .regular, !item.isFurtherName,
            case .differs(let change, recorded: nil) = outcome
        else { return }
        if change == .changed {
            item.isChanged = true
        } else {
            report.changes?.newFiles += 1
            report.changes?.newBytes.add(item.stat.size)
        }
    }

    private func flush() {
        for remark in filter.takeRemarks() { onEvent(.ignoreFile(remark: remark)) }
        guard !batch.isEmpty else { return }
        let begin = time.monotonicNanoseconds()
        queue.push(batch)
        waitNanoseconds += time.monotonicNanoseconds() - begin
        (batch, batchBytes) = ([], 0)
    }
}
