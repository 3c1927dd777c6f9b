// SimulatedTime: a clock that a test moves.

import BakCore

/// A clock that moves only if a test moves it.
public final class SimulatedTime: TimeSource, @unchecked Sendable {
    private let monitor = Monitor()
    private var wall: Timestamp
    private var monotonic: UInt64 = 0
    private var step: Int64 = 0

    /// Starts at `start`.
    public init(_ start: Timestamp = Timestamp(seconds: 1_767_225_600)) { wall = start }

    /// The number of seconds by which each reading of the monotonic clock moves both clocks; 0 at first.
    public var stepSeconds: Int64 {
        get { monitor.locked { step } }
        set { monitor.locked { step = newValue } }
    }

    /// Returns the wall clock's time.
    public func now() -> Timestamp { monitor.locked { wall } }

    /// Returns the monotonic clock's time.
    public func monotonicNanoseconds() -> UInt64 {
        monitor.locked {
            move(seconds: step)
            return monotonic
        }
    }

    /// Moves both clocks on.
    public func advance(seconds: Int64) { monitor.locked { move(seconds: seconds) } }

    /// Moves both clocks on.
    public func advance(milliseconds: Int64) {
        monitor.locked {
            let nanoseconds = Int64(wall.nanoseconds) + milliseconds % 1000 * 1_000_000
            move(seconds: milliseconds / 1000)
            wall.seconds += nanoseconds / 1_000_000_000
            wall.nanoseconds = UInt32(nanoseconds % 1_000_000_000)
            monotonic += UInt64(milliseconds % 1000) * 1_000_000
        }
    }

    /// Sets the wall clock alone, as a user or a time server may do.
    public func jump(to time: Timestamp) { monitor.locked { wall = time } }

    private func move(seconds: Int64) {
        wall.seconds += seconds
        monotonic += UInt64(seconds) * 1_000_000_000
    }
}
