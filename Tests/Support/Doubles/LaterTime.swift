// LaterTime: a clock that is ahead of another one.

import BakCore

/// A clock two minutes ahead of another one. A program with this clock considers a file that was just made old enough
/// to trust its timestamps.
public struct LaterTime: TimeSource {
    private let base: any TimeSource

    /// Makes a clock two minutes ahead of `base`.
    public init(than base: any TimeSource) { self.base = base }

    /// Returns the wall clock's time, two minutes after that of `base`.
    public func now() -> Timestamp {
        let now = base.now()
        return Timestamp(seconds: now.seconds + 120, nanoseconds: now.nanoseconds)
    }

    /// Returns the monotonic time of `base`.
    public func monotonicNanoseconds() -> UInt64 { base.monotonicNanoseconds() }
}
