// SourceWalk: the first stage of a backup. It walks the source, leaves out what is to be left out, and hands on
// the rest in blocks, in the order of the walk.

import BakCore
import BakStorage

/// A run of what a walk met.
struct WalkBlock: Sendable {
    /// A time before the first stat of the block was taken.
    let start: Timestamp
    var events: [WalkEvent] = []
}

/// Walks the source of one backup. For one thread.
final class SourceWalk {
    private let tree: any SourceTree
    private let filter: SourceFilter
    private let ownFolder: [UInt8]?
    private let onEvent: @Sendable (BackupEvent) -> Void
    private let flow: BackupFlow
    private let settling: Settling
    private var block: WalkBlock
    /// Entries left out on purpose.
    private(set) var excludedItems: UInt64 = 0

    /// So many events make a block, so that a hand-over costs little for each.
    private static let blockEvents = 1024

    init(
        _ tree: any SourceTree, _ settling: Settling, _ flow: BackupFlow, filter: SourceFilter,
        ownFolder: [UInt8]?, onEvent: @escaping @Sendable (BackupEvent) -> Void
    ) {
        self.tree = tree
        self.settling = settling
        self.flow = flow
        self.filter = filter
        self.ownFolder = ownFolder
        self.onEvent = onEvent
        block = WalkBlock(start: settling.now())
    }

    /// Walks to the end, or until the run ends.
    func run() throws {
        try tree.walk { event in
            if flow.state.shouldStop() { return .stop }
            switch event {
            case .failure:
                append(event)
                return .proceed
            case .entry(let path, let stat): return visit(event, path, stat)
            }
        }
        flush()
    }

    private func visit(_ event: WalkEvent, _ path: [UInt8], _ stat: FileStat) -> WalkDecision {
        if path == ownFolder {
            exclude(path, "the repository itself")
            return .skipChildren
        }
        switch filter.decide(path, stat) {
        case .include:
            append(event)
            return .proceed
        case .includeWithoutContents(let reason):
            append(event)
            exclude(path, "its content: \(reason)")
            return .skipChildren
        case .exclude(let reason):
            exclude(path, reason.description)
            return .skipChildren
        }
    }

    private func exclude(_ path: [UInt8], _ reason: String) {
        excludedItems += 1
        onEvent(.excluded(path: path, reason: reason))
    }

    private func append(_ event: WalkEvent) {
        block.events.append(event)
        if block.events.count >= Self.blockEvents { flush() }
    }

    private func flush() {
        if !block.events.isEmpty { flow.found.push(block) }
        block = WalkBlock(start: settling.now())
        block.events.reserveCapacity(Self.blockEvents)
    }
}
