// TickingTime: a clock that moves at each reading.

import BakCore
import Synchronization

/// A clock that advances by a millisecond at each reading. It starts at the same moment in every run of the tests.
public final class TickingTime: TimeSource, Sendable {
    /// The clock for repositories that are opened several times, so that later events have later times.
    public static let shared = TickingTime()
    private let milliseconds = Atomic<UInt64>(0)

    /// Starts on 1 January 2026.
    public init() {}

    /// Returns the wall clock's time, a millisecond after the last reading.
    public func now() -> Timestamp {
        let passed = tick()
        return Timestamp(
            seconds: 1_767_225_600 + Int64(passed / 1000), nanoseconds: UInt32(passed % 1000) * 1_000_000)
    }

    /// Returns the monotonic clock's time, a millisecond after the last reading.
    public func monotonicNanoseconds() -> UInt64 { tick() * 1_000_000 }

    private func tick() -> UInt64 { milliseconds.add(1, ordering: .relaxed).newValue }
}
