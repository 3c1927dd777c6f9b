// Retention: decides which of a repository's snapshots a policy keeps, and why. It reads and writes nothing.
//
// A snapshot is in doubt if most files of a path were missing when it was made, as if a disk had not been connected. A
// later snapshot can confirm or refute the doubt. An archive stands for an older one if it has carried over all entries
// of the older one.
//
// Always holds:
// - A policy with more rules, or with rules that keep more, keeps at least the same snapshots.
// - The order in which the snapshots are given does not matter.
// - Without a rule, nothing is removed.
// - A snapshot dated in the future is kept and counts for no rule, so a wrong clock cannot push out other snapshots.
// - A snapshot in doubt is kept and counts for no rule, so a disk that was not connected cannot push out other
//   snapshots.
// - If dates contradict the chain of parents, the chain decides which snapshot is newer and which day it belongs to.
// - Unless the caller says otherwise, the newest snapshot of each group is kept.
// - Unless the caller says otherwise, an archive is kept if no other archive of its device and paths stands for it.

import BakCore
import BakFormat

/// Why a snapshot is kept or removed.
public enum RetentionReason: Equatable, Sendable, CustomStringConvertible {
    /// The newest of its period, under a rule that keeps a number of periods.
    case counted(RetentionPeriod)
    /// The oldest of its group, while the rule's count is not used up.
    case oldest(RetentionPeriod)
    /// The newest of its period, within a span before the group's newest.
    case within(RetentionPeriod, RetentionSpan)
    /// It has these labels.
    case tagged([String])
    /// The user named it as one to keep.
    case named
    /// The newest of its group.
    case newest
    /// It is dated after now.
    case inTheFuture
    /// It is partial, and no later snapshot supersedes it.
    case unfinished
    /// Most files were missing when it was made, and no later snapshot has confirmed or refuted it.
    case doubtful
    /// An archive for which no other archive of its device and paths stands, although there are later snapshots.
    case archive
    /// There is no rule.
    case noRules
    /// No rule keeps it.
    case ruledOut
    /// It is partial, and a later snapshot supersedes it.
    case superseded
    /// The user named it as one to remove.
    case unwanted

    /// The reason in restic's words where restic has it.
    public var description: String {
        switch self {
        case .counted(let period): "\(period.rawValue) snapshot"
        case .oldest(let period): "oldest \(period.rawValue) snapshot"
        case .within(.last, let span): "within \(span)"
        case .within(let period, let span): "\(period.rawValue) within \(span)"
        case .tagged(let tags): tags.isEmpty ? "has no tags" : "has tags [\(tags.joined(separator: ", "))]"
        case .named: "kept by its id"
        case .newest: "newest of its group"
        case .inTheFuture: "dated in the future"
        case .unfinished: "incomplete, and not superseded yet"
        case .doubtful: "in doubt, as most files were missing"
        case .archive: "an archive with files that no later one has"
        case .noRules: "policy is empty"
        case .ruledOut: "no rule keeps it"
        case .superseded: "incomplete; superseded by a later snapshot"
        case .unwanted: "named by you"
        }
    }
}

/// The decision about one snapshot.
public struct RetentionDecision: Sendable {
    /// The snapshot.
    public var snapshot: CommitRecord
    /// True if it stays.
    public var isKept: Bool
    /// The reasons; at least one.
    public var reasons: [RetentionReason]

    /// Makes a decision.
    public init(_ snapshot: CommitRecord, isKept: Bool, _ reasons: [RetentionReason]) {
        self.snapshot = snapshot
        self.isKept = isKept
        self.reasons = reasons
    }
}

/// A policy with the options and the time for its application.
public struct Retention: Sendable {
    /// The rules.
    public var policy: RetentionPolicy
    /// How snapshots are grouped. Each group is decided on its own.
    public var grouping = SnapshotGrouping.byDefault
    /// True if a group may lose its newest snapshot, and an archive for which no other archive stands.
    public var mayRemoveAll = false
    let now: Timestamp
    let localOffset: @Sendable (Timestamp) -> Int

    /// Prepares the application of a policy.
    ///
    /// - Parameters:
    ///   - policy: the rules.
    ///   - now: the present time.
    ///   - localOffset: returns the seconds east of UTC at a moment, for the user's calendar.
    public init(
        _ policy: RetentionPolicy, now: Timestamp, localOffset: @escaping @Sendable (Timestamp) -> Int
    ) {
        self.policy = policy
        self.now = now
        self.localOffset = localOffset
    }

    /// Returns a decision for each of `chosen`, by group and oldest first. `all` are all snapshots of the repository,
    /// including `chosen`. Without an `order`, the order follows from `all`.
    public func decide(
        _ chosen: [CommitRecord], among all: [CommitRecord], _ order: SnapshotOrder? = nil
    ) -> [(group: SnapshotGroup, decisions: [RetentionDecision])] {
        let order = order ?? SnapshotOrder(all, now: now)
        let ordered = all.sorted(by: order.precedes).filter { $0.time <= now }
        let doubts = SnapshotDoubts(among: ordered)
        // A snapshot in doubt may lack files, so it supersedes nothing.
        let superseded = CommitRecord.supersededPartials(
            among: all.filter { !doubts.standing.contains($0.id) }, now: now, order)
        let archives = mayRemoveAll ? [] : archiveHeads(ordered, doubts, order)
        return SnapshotGroup.divide(chosen, by: grouping, order).map { group, snapshots in
            (group, decide(group: snapshots, superseded, order.time, doubts, archives))
        }
    }

    /// Returns, for each device and paths, the archives for which no other archive stands. Such an archive may be the
    /// only snapshot with some files that were deleted from the source. A snapshot in doubt stands for no archive. A
    /// refuted archive may lack files, so an archive that is not refuted is also returned if only refuted archives
    /// stand for it.
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

    /// Decides for one group's snapshots, oldest first; `time` returns when each was made. A snapshot in `archives`
    /// stays even if no rule keeps it.
    func decide(
        group snapshots: [CommitRecord], _ superseded: Set<ID128>, _ time: (CommitRecord) -> Timestamp,
        _ doubts: SnapshotDoubts = SnapshotDoubts(among: []), _ archives: Set<ID128> = []
    ) -> [RetentionDecision] {
        if policy.isEmpty { return snapshots.map { RetentionDecision($0, isKept: true, [.noRules]) } }
        let past = snapshots.filter { $0.time <= now }
        let complete = past.filter { $0.isComplete && !doubts.standing.contains($0.id) }
        let sound = complete.filter { !doubts.refuted.contains($0.id) }
        var reasons = reasons(sound, time)
        // A refuted snapshot may lack files, so it must not push out other snapshots: the rules are first applied to
        // the snapshots that are not refuted. Then the rules are applied to all complete snapshots, only to decide
        // which refuted ones stay.
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

    /// Returns the complete snapshots that rules of periods and spans keep, with the reasons. `complete` is oldest
    /// first.
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

    /// Keeps the newest snapshot of each of the last periods. The rule says how many periods count. If the snapshots
    /// fall into fewer periods than that, the oldest snapshot is kept, too. So a history that is still short keeps its
    /// beginning.
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

    /// Keeps the newest snapshot of each period within the rule's span. The span ends at the time of the newest
    /// snapshot.
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

    /// Returns labels of `snapshot` for which a rule keeps it; nil if no rule does.
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
