// Settling: whether timestamps can tell a change that comes after a read from one that came before it.

import BakCore

/// Judges timestamps against the clock. May be used from any thread.
struct Settling: Sendable {
    private let time: any TimeSource
    private let granularity: UInt64
    /// The coarsest timestamps in use: FAT's.
    private static let coarsest: UInt64 = 2_000_000_000

    /// A judge for a source whose timestamps are `granularity` nanoseconds apart, or coarser where both of a
    /// file's have no fraction of a second: it may lie on another medium than the source's root.
    init(time: any TimeSource, granularity: UInt64) {
        self.time = time
        self.granularity = granularity
    }

    /// The time to hand to `isUnsettled`, asked for before the first byte is read.
    func now() -> Timestamp { time.now() }

    /// Whether something changed so shortly before `start`, when it began to be read, that a change after
    /// the read could leave the same timestamps. Those of a change in the future are never trusted.
    func isUnsettled(_ stat: FileStat, readFrom start: Timestamp) -> Bool {
        let isCoarse = stat.ctime.nanoseconds == 0 && stat.mtime.nanoseconds == 0
        let granularity = isCoarse ? max(granularity, Self.coarsest) : granularity
        let settled = start.subtracting(nanoseconds: granularity)
        return stat.ctime >= settled
            || (stat.mtime >= settled && stat.mtime <= start.adding(nanoseconds: granularity))
    }
}

extension Timestamp {
    func adding(nanoseconds: UInt64) -> Timestamp {
        let total = UInt64(self.nanoseconds) + nanoseconds % 1_000_000_000
        return Timestamp(
            seconds: seconds + Int64(nanoseconds / 1_000_000_000) + Int64(total / 1_000_000_000),
            nanoseconds: UInt32(total % 1_000_000_000))
    }

    func subtracting(nanoseconds: UInt64) -> Timestamp {
        let whole = Int64(nanoseconds / 1_000_000_000)
        let rest = Int64(nanoseconds % 1_000_000_000)
        let left = Int64(self.nanoseconds) - rest
        return Timestamp(
            seconds: seconds - whole - (left < 0 ? 1 : 0),
            nanoseconds: UInt32(left < 0 ? left + 1_000_000_000 : left))
    }
}
