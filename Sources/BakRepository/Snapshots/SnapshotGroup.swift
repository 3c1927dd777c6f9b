// SnapshotGroup: groups snapshots that successive backups made. Interrupted backups and checkpoints leave partial
// snapshots. This file also finds the partial snapshots that a later snapshot supersedes, that is, makes unnecessary.

import BakCore
import BakFormat

/// The properties by which snapshots are grouped.
public struct SnapshotGrouping: OptionSet, Sendable {
    /// A bit for each property.
    public let rawValue: Int
    /// Makes a set from its bits.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The machine that made the snapshot.
    public static let host = SnapshotGrouping(rawValue: 1)
    /// The phone or computer that the files belong to.
    public static let device = SnapshotGrouping(rawValue: 2)
    /// The set of backed-up paths.
    public static let paths = SnapshotGrouping(rawValue: 4)
    /// The set of labels.
    public static let tags = SnapshotGrouping(rawValue: 8)

    /// The device and the paths: successive backups share both.
    public static let byDefault: SnapshotGrouping = [.device, .paths]
}

/// The properties that all snapshots of a group share. A property is nil if it does not matter for the grouping.
public struct SnapshotGroup: Hashable, Sendable {
    /// The machine that made the snapshots.
    public let host: String?
    /// The phone or computer that the files belong to.
    public let device: String?
    /// The backed-up paths, each once and sorted.
    public let paths: [[UInt8]]?
    /// The labels, each once and sorted.
    public let tags: [String]?

    /// Makes the group of a snapshot.
    public init(of snapshot: CommitRecord, by grouping: SnapshotGrouping = .byDefault) {
        host = grouping.contains(.host) ? snapshot.host : nil
        device = grouping.contains(.device) ? snapshot.device : nil
        paths =
            grouping.contains(.paths)
            ? Set(snapshot.paths).sorted { PathOrder.precedes($0, $1) } : nil
        tags = grouping.contains(.tags) ? Set(snapshot.tags).sorted() : nil
    }

    /// Divides snapshots into groups. Each group is oldest first; the groups are sorted by host, device, paths and
    /// labels.
    public static func divide(
        _ snapshots: [CommitRecord], by grouping: SnapshotGrouping, _ order: SnapshotOrder
    ) -> [(group: SnapshotGroup, snapshots: [CommitRecord])] {
        let groups = Dictionary(grouping: snapshots) { SnapshotGroup(of: $0, by: grouping) }
        return groups.map { ($0, $1.sorted(by: order.precedes)) }.sorted { $0.group < $1.group }
    }

    static func < (left: SnapshotGroup, right: SnapshotGroup) -> Bool {
        if left.host != right.host { return left.host ?? "" < right.host ?? "" }
        if left.device != right.device { return left.device ?? "" < right.device ?? "" }
        if left.paths != right.paths {
            let (left, right) = (left.paths ?? [], right.paths ?? [])
            return left.lexicographicallyPrecedes(right) { PathOrder.precedes($0, $1) }
        }
        return (left.tags ?? []).lexicographicallyPrecedes(right.tags ?? [])
    }
}

extension CommitRecord {
    /// True if `left` is older by its date. Snapshots of one run have the same date: its checkpoints come first, in
    /// their order, before the snapshot that completes the run. Copies have the same date, too: a copy that lacks files
    /// comes before one that has them. `SnapshotOrder` also follows the chains of parents. Its order takes precedence.
    public static func isOlder(_ left: CommitRecord, _ right: CommitRecord) -> Bool {
        if left.time == right.time, left.isComplete != right.isComplete { return right.isComplete }
        if left.time == right.time, left.counters.files != right.counters.files {
            return left.counters.files < right.counters.files
        }
        return (left.time, left.endTime, left.id) < (right.time, right.endTime, right.id)
    }

    /// Returns the partial snapshots among `all` that are superseded: by a later complete snapshot of the same device
    /// and paths, or by a later checkpoint of the same run. A snapshot dated after `now` supersedes nothing, because
    /// its real time is unknown. Without an `order`, the order follows from `all`.
    public static func supersededPartials(
        among all: [CommitRecord], now: Timestamp, _ order: SnapshotOrder? = nil
    ) -> Set<ID128> {
        let order = order ?? SnapshotOrder(all, now: now)
        struct Run: Hashable {
            var group: SnapshotGroup
            var time: Timestamp
        }
        var completed: Set<SnapshotGroup> = []
        var followed: Set<Run> = []
        var superseded: Set<ID128> = []
        for snapshot in all.sorted(by: order.precedes).reversed() where snapshot.time <= now {
            let group = SnapshotGroup(of: snapshot)
            if snapshot.isComplete {
                completed.insert(group)
            } else if completed.contains(group)
                || !followed.insert(Run(group: group, time: snapshot.time)).inserted
            {
                superseded.insert(snapshot.id)
            }
        }
        return superseded
    }
}
