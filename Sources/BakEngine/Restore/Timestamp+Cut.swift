// Timestamp+Cut: times as a target could keep them, where nothing may be tried there.

import BakCore

extension Timestamp {
    /// The time cut to the largest usual step that `other` could have been cut to: where nothing may be tried.
    func cut(like other: Timestamp) -> Timestamp {
        var cut = self
        if let step = [UInt32(10_000_000), 1_000_000, 1_000, 100].first(where: { other.nanoseconds % $0 == 0 }
        ) {
            cut.nanoseconds -= cut.nanoseconds % step
        }
        guard other.nanoseconds == 0 else { return cut }
        cut.nanoseconds = 0
        // A time may be the first that there is.
        if other.seconds < cut.seconds, other.seconds + 1 == cut.seconds, other.seconds % 2 == 0 {
            cut.seconds = other.seconds
        }
        return cut
    }
}
