// RunProgress, ItemFailure and Cancellation: how a caller follows a call that takes long, and ends it.

import BakCore
import Synchronization

/// How far a call has come.
public struct RunProgress: Sendable {
    /// Regular files that the call is done with.
    public internal(set) var files: UInt64 = 0
    /// Bytes of files that the call has dealt with, also of those under way.
    public internal(set) var bytes: UInt64 = 0
    /// Bytes that a backup has stored so far: what was new, compressed.
    public internal(set) var storedBytes: UInt64 = 0
    /// What a backup reads just now, as text; empty before the first file and for other calls.
    public internal(set) var currentPath = ""
}

/// An item that a call could not deal with, or not as a whole. The call goes on with the others.
public struct ItemFailure: Sendable {
    /// The absolute path of the item, as text.
    public let path: String
    /// Why, in words for people.
    public let reason: String
}

/// Ends calls early. Give one object to a call, and call `cancel()` from any thread.
///
/// A cancelled backup commits what it has stored as a partial snapshot, so that the next one goes on from there. A
/// cancelled restore leaves whole files only.
public final class Cancellation: Sendable {
    private let flag = Atomic(false)

    /// Makes one that has not been cancelled.
    public init() {}

    /// Ends the calls that have this object. Calling it again changes nothing.
    public func cancel() { flag.store(true, ordering: .releasing) }

    /// True once `cancel()` was called.
    public var isCancelled: Bool { flag.load(ordering: .acquiring) }
}

/// Tells a caller of progress, ten times a second, from a thread of its own.
final class ProgressTeller: Sendable {
    private let monitor = Monitor()
    private nonisolated(unsafe) var isOver = false
    private nonisolated(unsafe) var thread: Thread?
    private static let intervalMs = 100

    /// Starts to tell; without a listener there is no thread.
    init(_ listener: (@Sendable (RunProgress) -> Void)?, _ current: @escaping @Sendable () -> RunProgress) {
        guard let listener else { return }
        thread = Thread { [self] in
            while !monitor.locked({
                if !isOver { monitor.wait(milliseconds: Self.intervalMs) }
                return isOver
            }) {
                listener(current())
            }
            // A listener always learns how it ended.
            listener(current())
        }
    }

    /// Waits until the listener was told of the last state.
    func finish() {
        monitor.locked {
            isOver = true
            monitor.signalAll()
        }
        thread?.join()
        thread = nil
    }
}
