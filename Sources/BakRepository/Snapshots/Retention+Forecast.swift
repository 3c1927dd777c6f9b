// Retention+Forecast: forecasts how long snapshots will stay. Some snapshots stay for good, whenever the next backups
// come; the rules alone show which. For other snapshots, the forecast simulates further backups at the present pace and
// the decisions after each of them.
//
// An archive stands for an older one if it has carried over all entries of the older one.
//
// Always holds:
// - If a snapshot is said to stay for good, every later decision by the same rules keeps it, as long as later backups
//   of the group have later dates. An archive may give way to a later archive that stands for it.
// - If a snapshot is said to stay until a date, it is still kept at that date.

import BakCore
import BakFormat

/// Why a snapshot stays for good.
public enum LastingReason: Equatable, Sendable {
    /// No rules apply to it.
    case noRules
    /// It has these tags, for which a rule keeps it. They are empty if a rule keeps snapshots without tags.
    case tagged([String])
    /// The user named it as one to keep.
    case named
    /// The last snapshot of a period that is over, or the oldest of its group, under a rule that keeps all periods.
    case unlimited(RetentionPeriod)
    /// An archive for which no other archive of its device and paths stands. Its entries stay for good: retention keeps
    /// the archive until a later archive has carried them over.
    case archive
}

/// How long a snapshot stays under some rules.
public enum Staying: Equatable, Sendable {
    /// It stays as long as the rules do not change.
    case forGood(LastingReason)
    /// It stays until this time if backups continue at the present pace. If the rules count only backups, `backups` is
    /// the number of further backups during which it stays.
    case until(Timestamp, backups: Int?)
    /// No rule keeps it any more.
    case ruledOut

    /// True if it stays for good.
    public var isForGood: Bool { if case .forGood = self { true } else { false } }

    /// Returns the shorter of the two, for a snapshot to which several sets of rules apply.
    public func orShorter(_ other: Staying) -> Staying { other.isShorter(than: self) ? other : self }

    /// True if the snapshot stays for a shorter time than `other` says. A snapshot to which no rules apply stays
    /// longest.
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
    /// The largest number of future backups to simulate. If a snapshot is still kept after the last of them, the
    /// forecast gives the date of that backup.
    public static let backupsAhead = 4000
    /// The largest number of decisions to simulate. Each decision is about one snapshot.
    private static let decisionsAhead = 200_000

    /// Returns how long each complete snapshot of `chosen` stays. The work for each group is bounded. Without an
    /// `order`, the order follows from `chosen`.
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

    /// Returns the archives whose entries the next archives will carry over. Retention keeps each of them until another
    /// archive stands for it. The next archive continues from the newest snapshot of its device and paths. A group may
    /// contain several devices or sets of paths. Retention may then remove that newest snapshot, so nothing is
    /// returned.
    private func archiveHeads(among chosen: [CommitRecord], _ order: SnapshotOrder) -> Set<ID128> {
        guard !policy.isEmpty, grouping.isSuperset(of: .byDefault) else { return [] }
        let groups = SnapshotGroup.divide(chosen.filter(\.isComplete), by: .byDefault, order)
        let heads = groups.flatMap { _, snapshots -> [CommitRecord] in
            guard let newest = snapshots.last, newest.isArchive, newest.time <= now else { return [] }
            return order.heads(among: snapshots.filter { $0.time <= now })
        }
        return Set(heads.map(\.id))
    }

    /// Returns the snapshots of a group that stay whatever comes, and why.
    private func lastingReasons(_ snapshots: [CommitRecord]) -> [ID128: LastingReason] {
        var reasons: [ID128: LastingReason] = [:]
        if policy.isEmpty {
            for snapshot in snapshots { reasons[snapshot.id] = .noRules }
            return reasons
        }
        let newestFirst = Array(snapshots.filter { $0.time <= now }.reversed())
        // A later reason replaces an earlier one. So the reason that tells the user most comes last.
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

    /// True if no later backup can fall into the period. The date of the newest snapshot decides, not the clock. The
    /// next backup may follow the newest snapshot at once, so the period of the newest snapshot is not over. After a
    /// clock change the next backup may be dated up to an hour before the newest, so the period of that earlier time is
    /// not over, either.
    private func isOver(
        _ bucket: RetentionPeriod.Bucket, _ period: RetentionPeriod, _ newest: CommitRecord
    ) -> Bool {
        [0, 3600].allSatisfy {
            period.bucket(civil(Timestamp(seconds: newest.time.seconds &- $0)), position: 0) != bucket
        }
    }

    /// Finds until when each of `open` is kept. After each simulated backup it decides as a prune would.
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
                // Snapshots dated in the future come after the simulated one.
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

    /// The assumed times of future backups. They are as far apart as the last backups were, but at least an hour and at
    /// most a day, or the shortest period in the rules if that is longer. If in doubt, the forecast assumes more
    /// backups: more backups remove a snapshot earlier, so the forecast rather names a date that is too early than one
    /// that is too late.
    private struct Pace {
        var first: Timestamp
        /// The time between two assumed backups. It is never shorter than the shortest period in the rules: further
        /// backups within one period would only cost work.
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

        /// Returns the shortest period that a rule distinguishes.
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
    /// True if no rule looks at dates. Then retention removes a snapshot after a number of further backups, whenever
    /// they come.
    fileprivate var countsOnlyBackups: Bool {
        spans.isEmpty && counts.allSatisfy { $0.key == .last || $0.value <= 0 }
    }
}
