// RestorePlan: a window, which is a bounded number of files that are restored together, and the chunks that these files
// need. The chunks are sorted by pack, so that a window reads each pack once and in order. A restore of more files uses
// several windows.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// A file that waits for content. Several threads may write its chunks.
final class PendingFile: @unchecked Sendable {
    /// Its path at the target.
    let path: [UInt8]
    /// Its entry in the manifest, without extents.
    let entry: ManifestEntry
    private let target: (any RestoreTarget)?
    private let isReplacing: Bool
    private let monitor = Monitor()
    private var file: (any RestoreFile)?
    /// The number of holders of the file; the last one to let go finishes the file. Each chunk to come is a holder.
    /// `RestorePass` is another one until it has planned all of the file's extents.
    private var chunksLeft = 1
    private var failure: FileFailure?
    /// The kind of the item that the file replaces.
    let replaced: ReplacedEntry?
    private var isDone = false
    private var wasRestored = false
    private var writtenBytes: UInt64 = 0

    /// Prepares a file. The target's file is created when the first bytes are written.
    init(
        path: [UInt8], entry: ManifestEntry, target: (any RestoreTarget)?, isReplacing: Bool,
        replaced: ReplacedEntry? = nil
    ) {
        self.replaced = replaced
        self.path = path
        self.entry = entry
        self.target = target
        self.isReplacing = isReplacing
    }

    /// Adds chunks to wait for. The caller does so before any of these chunks is written.
    func expect(chunks: Int) { monitor.locked { chunksLeft += chunks } }

    /// True if the file is complete at its path.
    var isRestored: Bool { monitor.locked { wasRestored } }

    /// - Parameter isAtOnce: true if a file that is not open yet gets all of its content now, or gets none.
    private func open(isAtOnce: Bool) throws(TargetError) -> (any RestoreFile)? {
        monitor.lock()
        defer { monitor.unlock() }
        guard failure == nil, !isDone, let target else { return nil }
        if let file { return file }
        let opened = try target.createFile(
            path, size: entry.stat.size, atOnceWithMode: isAtOnce ? entry.stat.mode : nil,
            replacing: isReplacing)
        file = opened
        return opened
    }

    /// Writes a piece of the content.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(TargetError) {
        let isWhole = offset == 0 && UInt64(bytes.count) == entry.stat.size
        try open(isAtOnce: isWhole)?.write(bytes, at: offset)
        monitor.locked { writtenBytes += UInt64(bytes.count) }
    }

    /// Number of bytes that were not written, because they are holes.
    var unwrittenBytes: UInt64 { monitor.locked { entry.stat.size - min(entry.stat.size, writtenBytes) } }

    /// Notes why the file cannot be restored.
    func fail(_ why: FileFailure) { monitor.locked { failure = failure ?? why } }

    /// Counts a chunk as done; returns true for the last one.
    func finishChunk() -> Bool {
        monitor.locked {
            chunksLeft -= 1
            return chunksLeft == 0
        }
    }

    /// Puts the file in its place, or removes it if it failed. Returns notes on metadata that could not be set.
    func finish() throws(TargetError) -> Result<[MetadataNote], FileFailure> {
        guard let file = try open(isAtOnce: true) else {
            abandon()
            return .failure(monitor.locked { failure } ?? FileFailure(reason: "not restored"))
        }
        let notes = try file.finish(entry.stat, entry.attributes)
        monitor.locked { (isDone, wasRestored) = (true, true) }
        return .success(notes)
    }

    /// Removes what was written, unless the file is finished. No thread may still be writing to it.
    func abandon() {
        let written: (any RestoreFile)? = monitor.locked {
            if isDone { return nil }
            isDone = true
            return file
        }
        written?.abandon()
    }
}

extension ManifestEntry {
    /// The entry without its extents or inline bytes.
    var withoutContent: ManifestEntry {
        var entry = self
        entry.content = nil
        return entry
    }
}

/// Why one file could not be restored.
struct FileFailure: Error {
    var reason: String
    /// True if the repository is damaged.
    var isDamage = false

    /// Makes a failure for a file whose stored content is not as it should be.
    static func damaged(_ reason: String) -> FileFailure { FileFailure(reason: reason, isDamage: true) }

    /// Makes a failure for unreadable content. It counts as damage unless the content is whole and only this program or
    /// this user cannot read it.
    static func unreadable(_ error: any Error) -> FileFailure {
        FileFailure(
            reason: "its content cannot be read from the repository (\(error))",
            isDamage: (error as? CorruptionError)?.isWhole != true)
    }
}

/// A chunk and its place in a file.
struct RestoreStep: Sendable {
    var reference: BlobReference
    var location: BlobLocation
    /// The file's index in the window.
    var file: Int32
    var fileOffset: UInt64
}

/// A window of files and their steps.
struct RestorePlan: Sendable {
    private(set) var files: [PendingFile] = []
    private(set) var steps: [RestoreStep] = []

    private let fileLimit: Int
    private static let stepLimit = 256 << 10

    /// Makes an empty window for at most `fileLimit` files.
    init(fileLimit: Int) { self.fileLimit = fileLimit }

    /// True if the window should be carried out before more is added.
    var isFull: Bool { files.count >= fileLimit || steps.count >= Self.stepLimit }

    /// Adds a chunk of a file. A file's chunks come one after another.
    mutating func add(
        _ reference: BlobReference, at location: BlobLocation, of file: PendingFile, fileOffset: UInt64
    ) {
        if files.last !== file { files.append(file) }
        steps.append(
            RestoreStep(
                reference: reference, location: location, file: Int32(files.count - 1), fileOffset: fileOffset
            ))
        file.expect(chunks: 1)
    }

    /// Returns the steps of each pack, by offset.
    func stepsByPack() -> [ArraySlice<RestoreStep>] {
        let sorted = steps.sorted {
            $0.location.pack != $1.location.pack
                ? $0.location.pack < $1.location.pack : $0.location.offset < $1.location.offset
        }
        var packs: [ArraySlice<RestoreStep>] = []
        var start = 0
        for end in sorted.indices
        where end + 1 == sorted.count || sorted[end + 1].location.pack != sorted[end].location.pack {
            packs.append(sorted[start...end])
            start = end + 1
        }
        return packs
    }
}

/// A window that threads are carrying out. Each thread takes a pack at a time.
final class RunningPlan {
    private let plan: RestorePlan
    private let state: RunState
    private let threads: [Thread]

    /// Starts the threads.
    init(
        _ plan: RestorePlan, _ repository: Repository, _ index: BlobIndex, _ finisher: FileFinisher,
        workerCount: Int, _ state: RunState
    ) {
        self.plan = plan
        self.state = state
        let packs = plan.stepsByPack()
        let queue = BoundedQueue<ArraySlice<RestoreStep>>(capacity: max(1, packs.count))
        for pack in packs { queue.push(pack) }
        let stop = StopSignal { state.shouldStop() }
        queue.close()
        threads = (0..<min(repository.store.readerCount(atLeast: workerCount), packs.count)).map { _ in
            let restorer = UncheckedBox(PackRestorer(repository, index, finisher))
            return Thread {
                state.guarding {
                    while !stop.isRequested, let steps = queue.pop() {
                        try restorer.value.restore(steps, plan.files, stop: stop)
                    }
                }
            }
        }
    }

    /// Waits for the threads; returns false if the user stopped the restore. Unfinished files are then abandoned.
    func finish() throws -> Bool {
        for thread in threads { thread.join() }
        if state.failure != nil || state.wasCancelled { for file in plan.files { file.abandon() } }
        if let failure = state.failure { throw failure }
        return !state.wasCancelled
    }

    /// Stops early, because the restore has failed elsewhere.
    func abandon() {
        state.stop()
        for thread in threads { thread.join() }
        for file in plan.files { file.abandon() }
    }
}
