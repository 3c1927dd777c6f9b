// Time and randomness are passed in, so that tests can choose them. Only BakPosix asks the system.

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

    /// Orders times from the earliest on.
    @inlinable
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.seconds != right.seconds ? left.seconds < right.seconds : left.nanoseconds < right.nanoseconds
    }
}

/// Tells the time.
public protocol TimeSource: Sendable {
    /// The wall clock. It may jump; nothing's safety depends on it.
    func now() -> Timestamp
    /// Nanoseconds on a clock that never goes back, from an arbitrary start.
    func monotonicNanoseconds() -> UInt64
}

/// Gives unpredictable bytes.
public protocol RandomSource: Sendable {
    /// Fills `buffer` with random bytes.
    func fill(_ buffer: UnsafeMutableRawBufferPointer)
}
