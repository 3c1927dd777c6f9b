// RunState: what the threads of one backup share: the queues, the first failure, the wish to stop.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// One element of the walk on its way to the manifest.
final class Slot: @unchecked Sendable {
    /// What the slot stands for.
    enum Payload {
        /// An entry that is ready.
        case entry(ManifestEntry, BackupEvent.Change)
        /// A further name of the file of a slot before.
        case link(to: Slot, FileStat, BackupEvent.Change)
        /// A regular file that a worker reads.
        case file(FileStat, BackupEvent.Change)
        /// An item that could not be read.
        case failure(SourceError)
    }

    let path: [UInt8]
    let payload: Payload
    /// What the worker made of the file; guarded by the run's monitor.
    fileprivate(set) var result: IngestResult?

    init(path: [UInt8], _ payload: Payload) {
        self.path = path
        self.payload = payload
    }

    /// The bytes that a worker is going to read.
    var fileBytes: UInt64 {
        if case .file(let stat, _) = payload { return stat.size }
        return 0
    }
}

/// Shared by the threads of one run.
final class RunState: @unchecked Sendable {
    /// Slots in the order of the walk.
    let slots = BoundedQueue<Slot>(capacity: 4096)
    /// Batches of files to read.
    let jobs = BoundedQueue<[Slot]>(capacity: 16)
    private let monitor = Monitor()
    private let isCancelled: @Sendable () -> Bool
    private var firstFailure: (any Error)?
    private var cancelled = false

    init(isCancelled: @escaping @Sendable () -> Bool) { self.isCancelled = isCancelled }

    /// The failure that ended the run.
    var failure: (any Error)? { monitor.locked { firstFailure } }

    /// Whether the user wants the run to end.
    var wasCancelled: Bool { monitor.locked { cancelled } }

    /// Whether to begin nothing new.
    func shouldStop() -> Bool {
        let asked = isCancelled()
        return monitor.locked {
            if asked { cancelled = true }
            return cancelled || firstFailure != nil
        }
    }

    /// Runs a thread's work; its error ends the run.
    func guarding(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            monitor.locked {
                if firstFailure == nil { firstFailure = error }
                monitor.signalAll()
            }
            slots.close()
            jobs.close()
        }
    }

    /// Records what became of a slot's file, unless that is known already.
    func complete(_ slot: Slot, _ result: IngestResult) {
        monitor.locked {
            if slot.result == nil { slot.result = result }
            monitor.signalAll()
        }
    }

    /// What became of a slot that the assembler is done with.
    func result(of slot: Slot) -> IngestResult? { monitor.locked { slot.result } }

    /// Wakes the assembler while it waits for a large file.
    func wake() { monitor.locked { monitor.signalAll() } }

    /// Waits for the result of a slot's file; nil when woken before, so that the caller can look around.
    func awaitResult(of slot: Slot) -> IngestResult? {
        monitor.locked {
            if slot.result == nil && firstFailure == nil { monitor.wait() }
            return slot.result ?? (firstFailure != nil ? .dropped : nil)
        }
    }
}

/// A place where a run shows how far it has come.
public final class ProgressBoard: @unchecked Sendable {
    private let monitor = Monitor()
    private var progress = BackupProgress()

    /// Starts at zero.
    public init() {}

    /// How far the run has come.
    public var current: BackupProgress { monitor.locked { progress } }

    func update(_ change: (inout BackupProgress) -> Void) { monitor.locked { change(&progress) } }
}
