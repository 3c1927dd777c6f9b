// RunProgress, ItemFailure and Cancellation: ways for a caller to follow a long call and to end it.

import BakCore
import Synchronization

/// The progress of a call.
public struct RunProgress: Sendable {
    /// The number of regular files that the call has finished.
    public internal(set) var files: UInt64 = 0
    /// The number of bytes of files that the call has processed, including files in progress.
    public internal(set) var bytes: UInt64 = 0
    /// The number of bytes that a backup has stored so far: new content, compressed.
    public internal(set) var storedBytes: UInt64 = 0
    /// The path that a backup is reading, as text; empty before the first file and for other calls.
    public internal(set) var currentPath = ""
}

/// An item that a call could not process in full. The call continues with the other items.
public struct ItemFailure: Sendable {
    /// The absolute path of the item, as text.
    public let path: String
    /// The cause, as text for the user.
    public let reason: String
}

/// Ends calls early. Pass one object to the calls, and call `cancel()` from any thread.
///
/// A cancelled backup commits what it has stored as a partial snapshot, and the next backup continues from there. A
/// cancelled restore leaves only complete files.
public final class Cancellation: Sendable {
    private let flag = Atomic(false)

    /// Makes an object that has not been cancelled.
    public init() {}

    /// Ends the calls that received this object. A second `cancel()` has no effect.
    public func cancel() { flag.store(true, ordering: .releasing) }

    /// True once `cancel()` was called.
    public var isCancelled: Bool { flag.load(ordering: .acquiring) }
}

/// Reports progress to a listener ten times a second, on its own thread.
final class ProgressTeller: Sendable {
    private let monitor = Monitor()
    private nonisolated(unsafe) var isOver = false
    private nonisolated(unsafe) var thread: Thread?
    private static let intervalMs = 100

    /// Starts the reports. Without a listener there is no thread.
    init(_ listener: (@Sendable (RunProgress) -> Void)?, _ current: @escaping @Sendable () -> RunProgress) {
        guard let listener else { return }
        thread = Thread { [self] in
            while !monitor.locked({
                if !isOver { monitor.wait(milliseconds: Self.intervalMs) }
                return isOver
            }) {
                listener(current())
            }
            // The listener always receives the final state.
            listener(current())
        }
    }

    /// Waits until the listener has received the final state.
    func finish() {
        monitor.locked {
            isOver = true
            monitor.signalAll()
        }
        thread?.join()
        thread = nil
    }
}
