// Retention+Forecast: how long snapshots will stay. What stays for good is argued from the rules alone, whenever the
// next backups come; until when the others stay is found by deciding again and again over backups as they have come so
// far.
//
// Always holds: what is said to stay for good is kept by every later decision by the same rules, as long as later
// backups of the group have later dates; a date is one at which the snapshot was still kept.

import BakCore
import BakFormat

/// Why a snapshot stays for good.
public enum LastingReason: Equatable, Sendable {
    /// No rules decide about it.
    case noRules
    /// It has these labels.
    case tagged([String])
    /// Named as one to keep.
    case named
    /// The last of a period that is over, of which all are kept; or the oldest of its group under such a rule.
    case unlimited(RetentionPeriod)
    /// An archive that none of its device and paths stands for yet: a later one carries over what it has.
    case archive
}

/// How long a snapshot stays by some rules.
public enum Staying: Equatable, Sendable {
    /// For as long as the rules are what they are.
    case forGood(LastingReason)
    /// Until then, if backups come as they have come so far; where rules count nothing but backups, for so many more.
    case until(Timestamp, backups: Int?)
    /// No rule keeps it now.
    case ruledOut

    /// Whether it is for good.
    public var isForGood: Bool { if case .forGood = self { true } else { false } }

    /// The shorter of two, for a snapshot about which several sets of rules decide.
    public func orShorter(_ other: Staying) -> Staying { other.isShorter(than: self) ? other : self }

    /// Whether it ends before `other` does. Without rules is the longest there is.
    public func isShorter(than other: Staying) -> Bool { rank < other.rank }

    private var rank: (Int, Timestamp, Int) {
        switch self {
        case .ruledOut: (0, Timestamp(seconds: 0), 0)
        case .until(let time, let backups): (1, time, backups ?? 0)
        case .forGood(.noRules): (3, Timestamp(seconds: 0), 0)
        case .forGood: (2, Timestamp(seconds: 0), 0)
        }
    }
}

extension Retention {
    /// Looks at most so many backups ahead. What is kept until then is said to be kept until then, not longer.
    public static let backupsAhead = 4000
    /// Looks ahead until it has decided about so many snapshots, one as often as it was decided about.
    private static let decisionsAhead = 200_000

    /// How long each complete snapshot of `chosen` stays. The work for each group is bounded. Without an `order` it
    /// follows from `chosen`.
    public func forecast(
        _ chosen: [CommitRecord], _ order: SnapshotOrder? = nil, backupsAhead: Int = Self.backupsAhead
    ) -> [ID128: Staying] {
        let order = order ?? SnapshotOrder(chosen, now: now)
        var forecast: [ID128: Staying] = [:]
        let archives = archiveHeads(among: chosen, order)
        for (_, group) in SnapshotGroup.divide(chosen.filter(\.isComplete), by: grouping, order) {
            let snapshots = group.map { snapshot in
                var snapshot = snapshot
                if snapshot.time <= now { snapshot.time = order.time(of: snapshot) }
                return snapshot
            }
            var open: Set<ID128> = []
            let lasting = lastingReasons(snapshots)
            for snapshot in snapshots {
                if let reason = archives.contains(snapshot.id) ? .archive : lasting[snapshot.id] {
                    forecast[snapshot.id] = .forGood(reason)
                } else {
                    open.insert(snapshot.id)
                }
            }
            if !open.isEmpty { lookAhead(snapshots, open, backupsAhead, &forecast) }
        }
        return forecast
    }

    /// The archives from which the next ones go on. No rule takes the newest snapshot of its device and paths, unless
    /// groups are larger than that, nor one of these before another stands for it.
    private func archiveHeads(among chosen: [CommitRecord], _ order: SnapshotOrder) -> Set<ID128> {
        guard !policy.isEmpty, grouping.isSuperset(of: .byDefault) else { return [] }
        let groups = SnapshotGroup.divide(chosen.filter(\.isComplete), by: .byDefault, order)
        let heads = groups.flatMap { _, snapshots -> [CommitRecord] in
            guard let newest = snapshots.last, newest.isArchive, newest.time <= now else { return [] }
            return order.heads(among: snapshots.filter { $0.time <= now })
        }
        return Set(heads.map(\.id))
    }

    /// The snapshots of a group that stay whatever comes, and why.
    private func lastingReasons(_ snapshots: [CommitRecord]) -> [ID128: LastingReason] {
        var reasons: [ID128: LastingReason] = [:]
        if policy.isEmpty {
            for snapshot in snapshots { reasons[snapshot.id] = .noRules }
            return reasons
        }
        let newestFirst = Array(snapshots.filter { $0.time <= now }.reversed())
        // Most telling last, so that it is the one that is named.
        for period in RetentionPeriod.allCases where policy.counts[period] == .max {
            var seen: Set<RetentionPeriod.Bucket> = []
            for (position, snapshot) in newestFirst.enumerated() {
                let bucket = period.bucket(civil(snapshot.time), position: position)
                let isLast =
                    seen.insert(bucket).inserted
                    && (period == .last || isOver(bucket, period, newestFirst[0]))
                if isLast || position == newestFirst.count - 1 { reasons[snapshot.id] = .unlimited(period) }
            }
        }
        for snapshot in snapshots {
            if policy.ids.contains(snapshot.id) { reasons[snapshot.id] = .named }
            if let tags = tagsThatKeep(snapshot) { reasons[snapshot.id] = .tagged(tags) }
        }
        return reasons
    }

    /// Whether no backup after the newest one lies in a period. The clock does not matter, as the next backup may be
    /// dated right behind the newest; a clock change may take the date back by an hour.
    private func isOver(
        _ bucket: RetentionPeriod.Bucket, _ period: RetentionPeriod, _ newest: CommitRecord
    ) -> Bool {
        [0, 3600].allSatisfy {
            period.bucket(civil(Timestamp(seconds: newest.time.seconds &- $0)), position: 0) != bucket
        }
    }

    /// Finds until when each of `open` is kept, by deciding after each backup of the future as a prune would.
    private func lookAhead(
        _ snapshots: [CommitRecord], _ open: Set<ID128>, _ backupsAhead: Int,
        _ forecast: inout [ID128: Staying]
    ) {
        guard let newest = snapshots.last else { return }
        let pace = Pace(snapshots, policy, now)
        var (left, open, reached, at, decisions) = (snapshots, open, now, now, 0)
        for backup in 0...backupsAhead where decisions < Self.decisionsAhead {
            decisions += left.count
            if backup > 0 {
                at = backup == 1 ? pace.first : Timestamp(seconds: at.seconds + pace.stepSeconds)
                var next = newest
                (next.id, next.time, next.endTime) = (ID128(high: .max, low: UInt64(backup)), at, at)
                // What is dated in the future comes after it.
                left.insert(next, at: left.lastIndex { $0.time <= at }.map { $0 + 1 } ?? 0)
            }
            var retention = Retention(policy, now: at, localOffset: localOffset)
            retention.grouping = grouping
            let kept = Set(retention.decide(group: left, [], \.time).filter(\.isKept).map(\.snapshot.id))
            left.removeAll { !kept.contains($0.id) }
            for id in open where !kept.contains(id) {
                forecast[id] =
                    backup == 0
                    ? .ruledOut : .until(reached, backups: policy.countsOnlyBackups ? backup - 1 : nil)
                open.remove(id)
            }
            if open.isEmpty { return }
            reached = at
        }
        for id in open { forecast[id] = .until(reached, backups: nil) }
    }

    /// When backups are taken to come: as far apart as the last ones were, but at least one a day, so that what is kept
    /// is rather said to go too early.
    private struct Pace {
        var first: Timestamp
        /// From one backup to the next; longer where more of them would change nothing but the work.
        var stepSeconds: Int64

        init(_ snapshots: [CommitRecord], _ policy: RetentionPolicy, _ now: Timestamp) {
            let times = snapshots.filter { $0.time <= now }.suffix(16).map(\.time.seconds)
            let gaps = zip(times.dropFirst(), times).map { $0 &- $1 }.sorted()
            let usual = gaps.isEmpty ? Self.day : gaps[gaps.count / 2]
            let gap = min(max(usual, Self.hour), Self.day)
            let last = min(max(times.last ?? now.seconds, now.seconds - gap), now.seconds)
            first = Timestamp(seconds: last + gap, nanoseconds: now.nanoseconds)
            stepSeconds = max(gap, Self.finest(policy))
        }

        private static let hour: Int64 = 3600
        private static let day: Int64 = 86400

        /// The shortest period that a rule tells apart.
        private static func finest(_ policy: RetentionPolicy) -> Int64 {
            let counted = policy.counts.filter { $0.value > 0 }.keys
            return (Array(counted) + policy.spans.keys).map { period in
                switch period {
                case .last: policy.counts[.last] ?? 0 > 0 ? 0 : day
                case .hourly: hour
                case .daily: day
                case .weekly: 7 * day
                case .monthly, .yearly: 28 * day
                }
            }.min() ?? day
        }
    }
}

extension RetentionPolicy {
    /// True if no rule looks at dates, so that a snapshot goes after so many backups, whenever they come.
    fileprivate var countsOnlyBackups: Bool {
        spans.isEmpty && counts.allSatisfy { $0.key == .last || $0.value <= 0 }
    }
}
