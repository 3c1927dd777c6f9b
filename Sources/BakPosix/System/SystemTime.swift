// SystemTime: the machine's clocks.

import BakCore
import Glibc

/// The machine's wall clock and its monotonic clock.
public struct SystemTime: TimeSource {
    /// Makes the source.
    public init() {}

    /// The time of the system's clock.
    public func now() -> Timestamp { Timestamp(Self.read(CLOCK_REALTIME)) }

    /// Nanoseconds since the system started.
    public func monotonicNanoseconds() -> UInt64 {
        let time = Self.read(CLOCK_MONOTONIC)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        let result = clock_gettime(clock, &time)
        precondition(result == 0, "clock_gettime failed with errno \(errno)")
        return time
    }
}

extension Timestamp {
    /// Converts a time in the system's form.
    init(_ time: timespec) {
        self.init(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }

    /// The time in the system's form.
    var systemValue: timespec { timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds)) }
}
