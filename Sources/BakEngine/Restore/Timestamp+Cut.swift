// Timestamp+Cut: estimates how a target keeps times, without writing to it.

import BakCore

extension Timestamp {
    /// Returns the time, cut as the target probably cuts times. `other` is a time that the target keeps: the trailing
    /// zeros of `other` show the coarsest usual step to which the target can have cut it.
    func cut(like other: Timestamp) -> Timestamp {
        var cut = self
        if let step = [UInt32(10_000_000), 1_000_000, 1_000, 100].first(where: { other.nanoseconds % $0 == 0 }
        ) {
            cut.nanoseconds -= cut.nanoseconds % step
        }
        guard other.nanoseconds == 0 else { return cut }
        cut.nanoseconds = 0
        // `cut.seconds` may be the smallest there is, so nothing is subtracted from it.
        if other.seconds < cut.seconds, other.seconds + 1 == cut.seconds, other.seconds % 2 == 0 {
            cut.seconds = other.seconds
        }
        return cut
    }
}
