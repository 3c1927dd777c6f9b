// Time and randomness are arguments, so that tests can choose them. Only BakPosix asks the system for either.

/// A point in time: seconds since 1970-01-01 UTC (negative before it) and nanoseconds within the second.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Whole seconds since the epoch, rounded down.
    public var seconds: Int64
    /// Nanoseconds within the second, below 1,000,000,000.
    public var nanoseconds: UInt32

    /// Makes a point in time; `nanoseconds` must be below 1,000,000,000.
    @inlinable
    public init(seconds: Int64, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Orders times from the earliest to the latest.
    @inlinable
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.seconds != right.seconds ? left.seconds < right.seconds : left.nanoseconds < right.nanoseconds
    }
}

/// A clock.
public protocol TimeSource: Sendable {
    /// Returns the wall-clock time. It may jump; no safety depends on it.
    func now() -> Timestamp
    /// Returns nanoseconds on a clock that never goes back, from an arbitrary start.
    func monotonicNanoseconds() -> UInt64
}

/// A source of unpredictable bytes.
public protocol RandomSource: Sendable {
    /// Fills `buffer` with random bytes.
    func fill(_ buffer: UnsafeMutableRawBufferPointer)
}
