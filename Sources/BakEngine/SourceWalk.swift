// SourceWalk: the first stage of a backup. It turns what the walk meets into slots: the parent's entry where
// nothing changed, a file for a worker where something did, a further name of a file that is read already.

import BakCore
import BakFormat
import BakStorage

/// Walks the source of one backup. For one thread.
final class SourceWalk {
    private let tree: any SourceTree
    private let comparer: ParentComparer
    private let filter: SourceFilter
    private let ownFolder: [UInt8]?
    private let onEvent: @Sendable (BackupEvent) -> Void
    private let state: RunState
    private let settling: Settling
    private var dispatcher: SlotDispatcher
    /// The first name's slot of each file with names still to come, and how many have come.
    private var links: [InodeKey: (first: Slot, names: UInt32)] = [:]
    /// Entries left out on purpose.
    private(set) var excludedItems: UInt64 = 0

    init(
        _ tree: any SourceTree, _ comparer: ParentComparer, _ settling: Settling,
        _ state: RunState, filter: SourceFilter, ownFolder: [UInt8]?,
        onEvent: @escaping @Sendable (BackupEvent) -> Void
    ) {
        self.tree = tree
        self.comparer = comparer
        self.settling = settling
        self.state = state
        self.filter = filter
        self.ownFolder = ownFolder
        self.onEvent = onEvent
        dispatcher = SlotDispatcher(state)
    }

    /// Walks to the end, or until the run ends.
    func run() throws {
        try tree.walk { event in
            if state.shouldStop() { return .stop }
            switch event {
            case .failure(let path, let error):
                dispatcher.push(Slot(path: path, .failure(error)))
                return .proceed
            case .entry(let path, let stat): return visit(path, stat)
            }
        }
        dispatcher.flush()
    }

    private func visit(_ path: [UInt8], _ stat: FileStat) -> WalkDecision {
        if path == ownFolder {
            exclude(path, "the repository itself")
            return .skipChildren
        }
        switch filter.decide(path, stat) {
        case .include:
            pushEntry(path, stat)
            return .proceed
        case .includeWithoutContents(let reason):
            pushEntry(path, stat)
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

    private func pushEntry(_ path: [UInt8], _ stat: FileStat) {
        let (change, known) = comparer.compare(path, stat)
        if let known {
            dispatcher.push(Slot(path: path, .entry(known, change)))
        } else if stat.type == .regular {
            pushFile(path, stat, change)
        } else {
            pushSpecial(path, stat, change)
        }
    }

    private func pushFile(_ path: [UInt8], _ stat: FileStat, _ change: BackupEvent.Change) {
        guard stat.linkCount > 1 else { return dispatcher.dispatch(Slot(path: path, .file(stat, change))) }
        let key = InodeKey(device: stat.device, inode: stat.inode)
        guard let (first, names) = links[key] else {
            let slot = Slot(path: path, .file(stat, change))
            links[key] = (slot, 1)
            return dispatcher.dispatch(slot)
        }
        links[key] = names + 1 < stat.linkCount ? (first, names + 1) : nil
        dispatcher.push(Slot(path: path, .link(to: first, stat, change)))
    }

    private func pushSpecial(_ path: [UInt8], _ stat: FileStat, _ change: BackupEvent.Change) {
        let start = settling.now()
        var attributes = FileAttributes()
        var failure: SourceError?
        do {
            attributes = try tree.attributes(path, stat)
        } catch {
            failure = error
            (attributes.userName, attributes.groupName) = tree.names(uid: stat.uid, gid: stat.gid)
        }
        // What lies in a folder could not be restored without the folder.
        if failure == nil || stat.type == .directory {
            let entry = ManifestEntry(
                path: path, stat: stat, attributes: attributes, content: nil,
                isUnsettled: failure != nil || settling.isUnsettled(stat, readFrom: start))
            dispatcher.push(Slot(path: path, .entry(entry, change)))
        }
        if let failure { dispatcher.push(Slot(path: path, .failure(failure))) }
    }
}

/// A file's identity on this machine while a backup runs.
struct InodeKey: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
}

/// Hands slots to the assembler in order, and files to workers in batches.
private struct SlotDispatcher {
    private let state: RunState
    private var batch: [Slot] = []
    private var batchBytes: UInt64 = 0
    private static let batchFiles = 32
    private static let batchByteLimit: UInt64 = 1 << 20

    init(_ state: RunState) { self.state = state }

    /// Queues a slot that needs no worker, or whose file is in a batch.
    mutating func push(_ slot: Slot) {
        if state.slots.isFull { flush() }
        state.slots.push(slot)
    }

    /// Queues a slot and gives its file to a worker.
    mutating func dispatch(_ slot: Slot) {
        batch.append(slot)
        batchBytes = batchBytes &+ min(slot.fileBytes, Self.batchByteLimit)
        if batch.count >= Self.batchFiles || batchBytes >= Self.batchByteLimit { flush() }
        push(slot)
    }

    /// Hands over the batch begun.
    mutating func flush() {
        guard !batch.isEmpty else { return }
        state.jobs.push(batch)
        (batch, batchBytes) = ([], 0)
    }
}
