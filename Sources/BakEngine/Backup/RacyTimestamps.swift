// RacyTimestamps: decides whether timestamps would show a change that comes after a read.

import BakCore
import BakStorage

/// Judges timestamps against the clock. May be used from any thread.
struct RacyTimestamps: Sendable {
    private let time: any TimeSource
    private let tree: any SourceTree
    /// The granularity of the coarsest timestamps in use, FAT's.
    private static let coarsest: UInt64 = 2_000_000_000
    /// How long a change through a memory map may leave the file's times as they are: until the page is written. Linux
    /// writes pages that are 30 s old and checks every 5 s; this is nearly twice that.
    private static let dirtyPage: UInt64 = 60_000_000_000
    /// How far another machine's clock, or FAT's time without a zone, may be from this machine's clock.
    private static let foreignClock: UInt64 = 86_400_000_000_000

    /// Judges the files of a source. Its media say how coarse their timestamps are.
    init(time: any TimeSource, tree: any SourceTree) {
        self.time = time
        self.tree = tree
    }

    /// The time to pass to `isUnsettled`; call it before the first byte is read.
    func now() -> Timestamp { time.now() }

    /// True if the entry at `path` is racily clean: it changed so close to `start`, when reading began, that a change
    /// after the read could leave the same timestamps.
    ///
    /// Content counts as racy for a minute after a change, because of memory maps. Everything else counts as racy for
    /// the medium's granularity, which is at least FAT's if neither time has a fraction of a second. On a medium
    /// without identity (see `MediumEvidence`), another machine's clock may have set the times, up to a day ahead of
    /// this clock or behind it. There an mtime up to a day in the future counts as recent. An mtime up to a day in the
    /// past counts only if the times are coarse.
    ///
    /// A ctime in the future is never trusted, unless it may be a copy of mtime. An mtime that is further in the future
    /// is trusted, because a program set it.
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
