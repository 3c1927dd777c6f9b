// Timestamp+Cut: estimates how a target keeps times, without writing to it.

import BakCore

extension Timestamp {
    /// Returns the time cut to the coarsest usual step that `other`, a time kept by the target, can have been cut to.
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
