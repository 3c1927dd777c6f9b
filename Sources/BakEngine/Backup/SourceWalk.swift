// SourceWalk: the first stage of a backup. It walks the source, leaves out what is to be left out, and hands on
// the rest in blocks, in the order of the walk.

import BakCore
import BakStorage

/// A run of what a walk met.
struct WalkBlock: Sendable {
    /// A time before the first stat of the block was taken.
    let start: Timestamp
    var events: [WalkEvent] = []
    /// What was left out, each before the event of that number. Of a folder whose contents are left out the event
    /// comes before.
    var leftOut: [(number: Int, path: [UInt8])] = []
}

/// Walks the source of one backup. For one thread.
final class SourceWalk {
    private let tree: any SourceTree
    private let filter: SourceFilter
    /// Whether a folder is the repository's own.
    private let isOwnFolder: (_ path: [UInt8], FileStat) -> Bool
    private let onEvent: @Sendable (BackupEvent) -> Void
    private let flow: BackupFlow
    private let racyTimestamps: RacyTimestamps
    private var block: WalkBlock
    /// The folder of the block's last unseen entry, and how many there have been.
    private var lastFolder: (any OpenFolder)?
    private var folderCount = 0
    /// The length of the block's paths together.
    private var pathBytes = 0
    /// Entries left out on purpose.
    private(set) var excludedItems: UInt64 = 0
    /// Patterns that had nothing to leave out or to take back, after a whole walk.
    private(set) var unmatchedPatterns: [PathPattern] = []

    /// So many events make a block, so that a hand-over costs little for each.
    private static let blockEvents = 1024
    /// Or so many bytes of paths: those of one folder chain could be gigabytes.
    private static let blockPathBytes = 1 << 20
    /// At most so many folders stay open for a block's unseen entries.
    private static let blockFolders = 32

    init(
        _ tree: any SourceTree, _ racyTimestamps: RacyTimestamps, _ flow: BackupFlow, filter: SourceFilter,
        isOwnFolder: @escaping (_ path: [UInt8], FileStat) -> Bool,
        onEvent: @escaping @Sendable (BackupEvent) -> Void
    ) {
        self.tree = tree
        self.racyTimestamps = racyTimestamps
        self.flow = flow
        self.filter = filter
        self.isOwnFolder = isOwnFolder
        self.onEvent = onEvent
        block = WalkBlock(start: racyTimestamps.now())
    }

    /// Walks to the end, or until the run ends.
    func run() throws {
        var hasStopped = false
        try tree.walkAhead { event in
            if flow.state.shouldStop() {
                hasStopped = true
                return .stop
            }
            return visit(filter.needsStats ? event.seen : event)
        }
        if !hasStopped {
            filter.finish()
            unmatchedPatterns = filter.unmatchedPatterns
        }
        flush()
        flow.hasWalkedAll = !hasStopped
    }

    private func visit(_ event: WalkEvent) -> WalkDecision {
        switch event {
        case .failure(let path, _):
            append(event, path)
            return .proceed
        case .unseen(let path, let folder):
            if folder !== lastFolder { folderCount += 1 }
            lastFolder = folder
            if tree.isLeaving(path) { return leaveLeaving(path) }
            let mayWait = folderCount <= Self.blockFolders
            return take(mayWait ? event : event.seen, path, filter.decide(unseen: path))
        case .entry(let path, let stat):
            // The filter is asked about the repository, too: a pattern for it is of use.
            if stat.type != .directory, tree.isLeaving(path) { return leaveLeaving(path) }
            let decision = filter.decide(path, stat)
            return take(event, path, isOwnFolder(path, stat) ? nil : decision)
        }
    }

    /// Hands an event on or leaves it out; `decision` is nil for the repository's own folder.
    private func take(_ event: WalkEvent, _ path: [UInt8], _ decision: FilterDecision?) -> WalkDecision {
        switch decision {
        case .include:
            append(event, path)
            return .proceed
        case .includeWithoutContents(let reason):
            append(event, path)
            exclude(path, "its content: \(reason)")
        case .exclude(let reason): exclude(path, reason.description)
        case nil: exclude(path, "the repository itself")
        }
        return .skipChildren
    }

    private func leaveLeaving(_ path: [UInt8]) -> WalkDecision {
        exclude(path, "what a restore that was killed has left")
        return .skipChildren
    }

    private func exclude(_ path: [UInt8], _ reason: String) {
        excludedItems += 1
        onEvent(.excluded(path: path, reason: reason))
        block.leftOut.append((block.events.count, path))
        flushIfFull(block.leftOut.count, path)
    }

    private func append(_ event: WalkEvent, _ path: [UInt8]) {
        block.events.append(event)
        flushIfFull(block.events.count, path)
    }

    private func flushIfFull(_ count: Int, _ path: [UInt8]) {
        pathBytes += path.count
        if count >= Self.blockEvents || pathBytes >= Self.blockPathBytes { flush() }
    }

    private func flush() {
        for remark in filter.takeRemarks() { onEvent(.ignoreFile(remark: remark)) }
        // Whoever has less to do looks at what is unseen: this thread, while the next has blocks to go on with.
        if !flow.found.isEmpty {
            for index in block.events.indices { block.events[index] = block.events[index].seen }
        }
        if !block.events.isEmpty || !block.leftOut.isEmpty { flow.found.push(block) }
        (lastFolder, folderCount, pathBytes) = (nil, 0, 0)
        block = WalkBlock(start: racyTimestamps.now())
        block.events.reserveCapacity(Self.blockEvents)
    }
}
