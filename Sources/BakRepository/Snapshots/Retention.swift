// Retention: what a policy keeps of a repository's snapshots, and why. Nothing is read or written here.
//
// Always holds: whatever one policy keeps, a policy with more or weaker rules keeps; the order in which snapshots are
// given does not matter; without a rule nothing is removed; what is dated in the future is kept and counts for no rule,
// so that a wrong clock cannot push out what is right; nor does what is in doubt, so that a disk that was not connected
// cannot; which snapshot is newer, and of which day it is, follows the chain of parents where dates contradict it; the
// newest snapshot of a group is kept, and each archive that no other one of its device and paths stands for, unless the
// caller says otherwise.

import BakCore
import BakFormat

/// Why a snapshot is kept or removed.
public enum RetentionReason: Equatable, Sendable, CustomStringConvertible {
    /// One of so many of a period.
    case counted(RetentionPeriod)
    /// The oldest of its group, while the rule could keep more than there are.
    case oldest(RetentionPeriod)
    /// Made within a span before the newest.
    case within(RetentionPeriod, RetentionSpan)
    /// Has these labels.
    case tagged([String])
    /// Named as one to keep.
    case named
    /// The newest of its group.
    case newest
    /// Dated after now.
    case inTheFuture
    /// Not complete, and nothing has made up for it.
    case unfinished
    /// Most files were missing when it was made, and nothing has shown yet whether that was meant.
    case doubtful
    /// An archive of which no other of its device and paths has all that it has, although there are later snapshots.
    case archive
    /// There is no rule.
    case noRules
    /// No rule keeps it.
    case ruledOut
    /// Not complete, and a later one has all that it has.
    case superseded
    /// Named as one to remove.
    case unwanted

    /// In restic's words where it has them.
    public var description: String {
        switch self {
        case .counted(let period): "\(period.rawValue) snapshot"
        case .oldest(let period): "oldest \(period.rawValue) snapshot"
        case .within(.last, let span): "within \(span)"
        case .within(let period, let span): "\(period.rawValue) within \(span)"
        case .tagged(let tags): tags.isEmpty ? "has no tags" : "has tags [\(tags.joined(separator: ", "))]"
        case .named: "to be kept by its id"
        case .newest: "newest of its group"
        case .inTheFuture: "dated in the future"
        case .unfinished: "incomplete, and not superseded yet"
        case .doubtful: "in doubt, as most files were missing"
        case .archive: "an archive that no later one has all of yet"
        case .noRules: "policy is empty"
        case .ruledOut: "no rule keeps it"
        case .superseded: "incomplete; superseded by a later snapshot"
        case .unwanted: "named by you"
        }
    }
}

/// What becomes of a snapshot.
public struct RetentionDecision: Sendable {
    /// The snapshot.
    public var snapshot: CommitRecord
    /// Whether it stays.
    public var isKept: Bool
    /// Why; at least one reason.
    public var reasons: [RetentionReason]

    /// Makes a decision.
    public init(_ snapshot: CommitRecord, isKept: Bool, _ reasons: [RetentionReason]) {
        self.snapshot = snapshot
        self.isKept = isKept
        self.reasons = reasons
    }
}

/// A policy and what it is applied with.
public struct Retention: Sendable {
    /// The rules.
    public var policy: RetentionPolicy
    /// Each group is looked at for itself.
    public var grouping = SnapshotGrouping.byDefault
    /// Whether a group may lose its newest snapshot.
    public var mayRemoveAll = false
    let now: Timestamp
    let localOffset: @Sendable (Timestamp) -> Int

    /// Makes the application of a policy.
    ///
    /// - Parameters:
    ///   - policy: the rules.
    ///   - now: the time.
    ///   - localOffset: seconds east of UTC at a moment, for the user's calendar.
    public init(
        _ policy: RetentionPolicy, now: Timestamp, localOffset: @escaping @Sendable (Timestamp) -> Int
    ) {
        self.policy = policy
        self.now = now
        self.localOffset = localOffset
    }

    /// Decides for each of `chosen`, which are some or all of the repository's snapshots `all`. The decisions of a
    /// group are oldest first. Without an `order` it follows from `all`.
    public func decide(
        _ chosen: [CommitRecord], among all: [CommitRecord], _ order: SnapshotOrder? = nil
    ) -> [(group: SnapshotGroup, decisions: [RetentionDecision])] {
        let order = order ?? SnapshotOrder(all, now: now)
        let ordered = all.sorted(by: order.precedes).filter { $0.time <= now }
        let doubts = SnapshotDoubts(among: ordered)
        // What may lack files makes up for nothing.
        let superseded = CommitRecord.supersededPartials(
            among: all.filter { !doubts.standing.contains($0.id) }, now: now, order)
        let archives = mayRemoveAll ? [] : archiveHeads(ordered, doubts, order)
        return SnapshotGroup.divide(chosen, by: grouping, order).map { group, snapshots in
            (group, decide(group: snapshots, superseded, order.time, doubts, archives))
        }
    }

    /// The archives of each device and paths that no other stands for: what they have of deleted files, later snapshots
    /// may not have. What is in doubt stands for none.
    private func archiveHeads(
        _ past: [CommitRecord], _ doubts: SnapshotDoubts, _ order: SnapshotOrder
    ) -> Set<ID128> {
        let archives = past.filter {
            $0.isArchive && $0.isComplete && !doubts.standing.contains($0.id)
        }
        let groups = Dictionary(grouping: archives) { SnapshotGroup(of: $0) }.values
        let heads = groups.flatMap { archives in
            let sound = archives.filter { !doubts.refuted.contains($0.id) }
            return order.heads(among: archives)
                + (sound.count < archives.count ? order.heads(among: sound) : [])
        }
        return Set(heads.map(\.id))
    }

    /// Decides for one group's snapshots, oldest first, of which `time` tells when each was made; without doubts each
    /// counts for what it is, and without `archives` none stays because it is one.
    func decide(
        group snapshots: [CommitRecord], _ superseded: Set<ID128>, _ time: (CommitRecord) -> Timestamp,
        _ doubts: SnapshotDoubts = SnapshotDoubts(among: []), _ archives: Set<ID128> = []
    ) -> [RetentionDecision] {
        if policy.isEmpty { return snapshots.map { RetentionDecision($0, isKept: true, [.noRules]) } }
        let past = snapshots.filter { $0.time <= now }
        let complete = past.filter { $0.isComplete && !doubts.standing.contains($0.id) }
        let sound = complete.filter { !doubts.refuted.contains($0.id) }
        var reasons = reasons(sound, time)
        // What turned out to lack files takes no place from others. It stays where the rules keep it beside them.
        if sound.count < complete.count {
            reasons.merge(self.reasons(complete, time).filter { doubts.refuted.contains($0.key) }) { one, _ in
                one
            }
        }
        let newest = mayRemoveAll ? nil : (sound.last ?? complete.last ?? past.last)?.id
        return snapshots.map { snapshot in
            var found = reasons[snapshot.id] ?? []
            found += tagReasons(snapshot)
            if policy.ids.contains(snapshot.id) { found.append(.named) }
            if snapshot.time > now { found.append(.inTheFuture) }
            let isSuperseded = superseded.contains(snapshot.id)
            if !snapshot.isComplete, snapshot.time <= now, !isSuperseded { found.append(.unfinished) }
            if doubts.standing.contains(snapshot.id) { found.append(.doubtful) }
            if found.isEmpty, archives.contains(snapshot.id), snapshot.id != newest { found.append(.archive) }
            if found.isEmpty, snapshot.id == newest { found.append(.newest) }
            if !found.isEmpty { return RetentionDecision(snapshot, isKept: true, found) }
            return RetentionDecision(snapshot, isKept: false, [isSuperseded ? .superseded : .ruledOut])
        }
    }

    /// What rules of periods and spans keep of complete snapshots, oldest first.
    private func reasons(
        _ complete: [CommitRecord], _ time: (CommitRecord) -> Timestamp
    ) -> [ID128: [RetentionReason]] {
        var reasons: [ID128: [RetentionReason]] = [:]
        let newestFirst = Array(complete.reversed())
        for period in RetentionPeriod.allCases {
            keepCounted(newestFirst, period, time, &reasons)
            keepRecent(newestFirst, period, time, &reasons)
        }
        return reasons
    }

    /// Keeps the newest of each of so many periods; and the oldest of all while the count is not used up, so that the
    /// history is as long as it can be while it grows.
    private func keepCounted(
        _ newestFirst: [CommitRecord], _ period: RetentionPeriod, _ time: (CommitRecord) -> Timestamp,
        _ reasons: inout [ID128: [RetentionReason]]
    ) {
        var left = policy.counts[period] ?? 0
        var seen: Set<RetentionPeriod.Bucket> = []
        for (position, snapshot) in newestFirst.enumerated() where left > 0 {
            let isNew = seen.insert(period.bucket(civil(time(snapshot)), position: position))
                .inserted
            guard isNew || position == newestFirst.count - 1 else { continue }
            reasons[snapshot.id, default: []].append(isNew ? .counted(period) : .oldest(period))
            left -= 1
        }
    }

    /// Keeps the newest of each period that lies within the rule's span before the newest of all.
    private func keepRecent(
        _ newestFirst: [CommitRecord], _ period: RetentionPeriod, _ time: (CommitRecord) -> Timestamp,
        _ reasons: inout [ID128: [RetentionReason]]
    ) {
        guard let span = policy.spans[period], let newest = newestFirst.first else { return }
        let start = span.start(endingAt: time(newest), localOffset: localOffset)
        var seen: Set<RetentionPeriod.Bucket> = []
        for (position, snapshot) in newestFirst.enumerated() where time(snapshot) > start {
            if seen.insert(period.bucket(civil(time(snapshot)), position: position)).inserted {
                reasons[snapshot.id, default: []].append(.within(period, span))
            }
        }
    }

    private func tagReasons(_ snapshot: CommitRecord) -> [RetentionReason] {
        policy.tagSets.filter { Self.has(snapshot, $0) }.map { .tagged($0) }
    }

    /// Labels of `snapshot` for which a rule keeps it; nil when none does.
    func tagsThatKeep(_ snapshot: CommitRecord) -> [String]? {
        policy.tagSets.first { Self.has(snapshot, $0) }
    }

    private static func has(_ snapshot: CommitRecord, _ wanted: [String]) -> Bool {
        wanted.isEmpty ? snapshot.tags.isEmpty : Set(wanted).isSubset(of: snapshot.tags)
    }

    func civil(_ time: Timestamp) -> CivilTime {
        CivilTime(time, offsetSeconds: localOffset(time))
    }
}
