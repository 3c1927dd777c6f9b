// SourceWalk: the first stage of a backup. It walks the source, leaves out what the rules exclude, and hands on the
// rest in blocks, in the order of the walk.

import BakCore
import BakStorage

/// A block of consecutive walk events.
struct WalkBlock: Sendable {
    /// A time before the block's first stat.
    let start: Timestamp
    var events: [WalkEvent] = []
    /// The paths that were left out, each with the number of the event that follows it. If only the contents of a
    /// folder are left out, the folder's own event comes before that number.
    var leftOut: [(number: Int, path: [UInt8])] = []
}

/// Consecutive events, for one thread.
private final class BlockPart: @unchecked Sendable {
    var events: ArraySlice<WalkEvent>

    init(_ events: ArraySlice<WalkEvent>) { self.events = events }

    /// Examines the unseen entries.
    func look() { for index in events.indices { events[index] = events[index].seen } }
}

/// Walks the source of one backup. For one thread.
final class SourceWalk {
    private let tree: any SourceTree
    private let filter: SourceFilter
    /// True if a folder is the repository's own.
    private let isOwnFolder: (_ path: [UInt8], FileStat) -> Bool
    private let onEvent: @Sendable (BackupEvent) -> Void
    private let flow: BackupFlow
    private let racyTimestamps: RacyTimestamps
    /// How many threads examine the unseen entries of a block.
    private let lookers: Int
    private var block: WalkBlock
    /// The folder of the block's last unseen entry, and the number of such folders in the block. An unseen entry is one
    /// that has no stat yet.
    private var lastFolder: (any OpenFolder)?
    private var folderCount = 0
    /// The length of all paths in the block.
    private var pathBytes = 0
    /// Number of entries left out on purpose.
    private(set) var excludedItems: UInt64 = 0
    /// Patterns that matched nothing to exclude or include again; known after a complete walk.
    private(set) var unmatchedPatterns: [PathPattern] = []

    /// A block has this many events, so that the cost of a hand-over for each event is small.
    private static let blockEvents = 1024
    /// A block also ends at this many bytes of paths: in deeply nested folders, the paths of a block could take
    /// gigabytes.
    private static let blockPathBytes = 1 << 20
    /// At most this many folders stay open for a block's unseen entries.
    private static let blockFolders = 32

    init(
        _ tree: any SourceTree, _ racyTimestamps: RacyTimestamps, _ flow: BackupFlow, lookers: Int,
        filter: SourceFilter,
        isOwnFolder: @escaping (_ path: [UInt8], FileStat) -> Bool,
        onEvent: @escaping @Sendable (BackupEvent) -> Void
    ) {
        self.tree = tree
        self.racyTimestamps = racyTimestamps
        self.flow = flow
        self.lookers = lookers
        self.filter = filter
        self.isOwnFolder = isOwnFolder
        self.onEvent = onEvent
        block = WalkBlock(start: racyTimestamps.now())
    }

    /// Walks to the end of the source, or until the run ends.
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
            if folder !== lastFolder {
                // Looking here would be looking alone.
                if lookers > 1, folderCount == Self.blockFolders { flush() }
                folderCount += 1
            }
            lastFolder = folder
            if tree.isLeaving(path) { return leaveLeaving(path) }
            let mayWait = folderCount <= Self.blockFolders
            return take(mayWait ? event : event.seen, path, filter.decide(unseen: path))
        case .entry(let path, let stat):
            // The filter is asked about the repository's folder too, so that a pattern for it counts as matched.
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
        exclude(path, "a temporary file of an interrupted restore")
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
        // The less busy stage stats the unseen entries. That is this stage, as long as the next one still has blocks to
        // take.
        if lookers > 1 {
            lookTogether()
        } else if !flow.found.isEmpty {
            for index in block.events.indices { block.events[index] = block.events[index].seen }
        }
        if !block.events.isEmpty || !block.leftOut.isEmpty { flow.found.push(block) }
        (lastFolder, folderCount, pathBytes) = (nil, 0, 0)
        block = WalkBlock(start: racyTimestamps.now())
        block.events.reserveCapacity(Self.blockEvents)
    }

    /// Examines the block's unseen entries in several threads.
    private func lookTogether() {
        guard folderCount > 0 else { return }
        let events = block.events
        let size = (events.count + lookers - 1) / lookers
        let parts = stride(from: 0, to: events.count, by: max(1, size)).map { start in
            BlockPart(events[start..<min(start + size, events.count)])
        }
        let threads = parts.map { part in Thread { part.look() } }
        for thread in threads { thread.join() }
        block.events = parts.flatMap(\.events)
    }
}
