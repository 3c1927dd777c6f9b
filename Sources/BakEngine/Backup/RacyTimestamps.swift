// RacyTimestamps: whether timestamps can tell a change that comes after a read from one that came before it.

import BakCore
import BakStorage

/// Judges timestamps against the clock. May be used from any thread.
struct RacyTimestamps: Sendable {
    private let time: any TimeSource
    private let tree: any SourceTree
    /// The coarsest timestamps in use: FAT's.
    private static let coarsest: UInt64 = 2_000_000_000
    /// A page of a file that a program changes through a memory map may be dirty for so long: what the program changes
    /// in it meanwhile changes no time. Linux writes pages that are 30 s old, looking every 5 s; this is twice that.
    private static let dirtyPage: UInt64 = 60_000_000_000
    /// How far another machine's clock, or FAT's time without a zone, may be from this one's.
    private static let foreignClock: UInt64 = 86_400_000_000_000

    /// A judge for the files of a source, whose media say how coarse their timestamps are.
    init(time: any TimeSource, tree: any SourceTree) {
        self.time = time
        self.tree = tree
    }

    /// The time to hand to `isUnsettled`, asked for before the first byte is read.
    func now() -> Timestamp { time.now() }

    /// True if the entry at `path` changed so shortly before `start`, when it began to be read, that a change after the
    /// read could leave the same timestamps: its content within a minute, anything else of it within the medium's
    /// granularity, which is taken as FAT's where neither time has a fraction of a second. By another machine's clock
    /// what has just changed may look a day old: where its times are coarse, too, that is taken for young. A ctime of
    /// the future is never trusted, except where it is a copy of mtime; an mtime of the future is, because someone has
    /// set it.
    func isUnsettled(_ path: [UInt8], _ stat: FileStat, readFrom start: Timestamp) -> Bool {
        let evidence = tree.evidence(path, stat)
        let isCoarse = stat.ctime.nanoseconds == 0 && stat.mtime.nanoseconds == 0
        let granularity = max(evidence.granularityNanoseconds, isCoarse ? Self.coarsest : 0)
        let window = stat.type == .regular ? max(granularity, Self.dirtyPage) : granularity
        let ahead = evidence.hasIdentity ? window : max(window, Self.foreignClock)
        let behind = evidence.hasIdentity || !isCoarse ? window : ahead
        let isYoung =
            stat.mtime >= start.subtracting(nanoseconds: behind)
            && stat.mtime <= start.adding(nanoseconds: ahead)
        let ctimeTells = evidence.hasIdentity || stat.ctime != stat.mtime
        return isYoung || ctimeTells && stat.ctime >= start.subtracting(nanoseconds: granularity)
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
