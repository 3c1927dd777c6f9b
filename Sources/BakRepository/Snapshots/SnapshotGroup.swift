// SnapshotGroup: snapshots that follow one another, and which of the partial ones among them are made up for.

import BakCore
import BakFormat

/// By what snapshots are put into groups.
public struct SnapshotGrouping: OptionSet, Sendable {
    /// A bit for each thing that snapshots are told apart by.
    public let rawValue: Int
    /// Makes a set of the bits.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The machine that made it.
    public static let host = SnapshotGrouping(rawValue: 1)
    /// The phone or computer that the files belong to.
    public static let device = SnapshotGrouping(rawValue: 2)
    /// The set of backed-up paths.
    public static let paths = SnapshotGrouping(rawValue: 4)
    /// The set of labels.
    public static let tags = SnapshotGrouping(rawValue: 8)

    /// How backups follow each other.
    public static let byDefault: SnapshotGrouping = [.device, .paths]
}

/// What the snapshots of one group have in common. What they were not grouped by is nil.
public struct SnapshotGroup: Hashable, Sendable {
    /// The machine that made them.
    public let host: String?
    /// The phone or computer that the files belong to.
    public let device: String?
    /// The backed-up paths, each once and sorted.
    public let paths: [[UInt8]]?
    /// The labels, each once and sorted.
    public let tags: [String]?

    /// The group of a snapshot.
    public init(of snapshot: CommitRecord, by grouping: SnapshotGrouping = .byDefault) {
        host = grouping.contains(.host) ? snapshot.host : nil
        device = grouping.contains(.device) ? snapshot.device : nil
        paths =
            grouping.contains(.paths)
            ? Set(snapshot.paths).sorted { PathOrder.precedes($0, $1) } : nil
        tags = grouping.contains(.tags) ? Set(snapshot.tags).sorted() : nil
    }

    /// The snapshots of each group, oldest first; the groups by host, device, paths and tags.
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
    /// The order of snapshots by their dates. Those of one run carry one time: its checkpoints come in their order,
    /// before what completes them; so do copies, of which one that lacks files comes before one that has them.
    /// `SnapshotOrder` is the order that counts.
    public static func isOlder(_ left: CommitRecord, _ right: CommitRecord) -> Bool {
        if left.time == right.time, left.isComplete != right.isComplete { return right.isComplete }
        if left.time == right.time, left.counters.files != right.counters.files {
            return left.counters.files < right.counters.files
        }
        return (left.time, left.endTime, left.id) < (right.time, right.endTime, right.id)
    }

    /// The partial snapshots among `all` that say nothing more: a later complete one of the same device and paths
    /// has made up for them, or they are checkpoints that their run went on from. A snapshot dated after `now`
    /// makes up for nothing, because nobody knows when it was made. Without an `order` it follows from `all`.
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
