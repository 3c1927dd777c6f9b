// SnapshotOrder: the order in which snapshots were made. A backup compares its source with an older snapshot, the
// parent, and its snapshot names this parent. So a snapshot was made after its parent, even if its date is earlier. A
// snapshot, its parent, the parent's parent and so on are a chain. If the dates in a chain contradict the chain, some
// are wrong. The effective time of a snapshot is its date, corrected by its chain.
//
// An archive stands for an older one if it has carried over all entries of the older one.
//
// Always holds:
// - A snapshot never comes before its parent, even if records between the two are forgotten.
// - If no date contradicts a chain, the order is that of the dates.
// - Effective times do not decrease in the order.
// - The order in which records are given does not matter.
// - The work is bounded by n log n, whatever the records say.

import BakCore
import BakFormat

/// A record's place in a chain.
public struct Ancestry: Equatable, Sendable {
    /// The record's id.
    var id: ID128
    /// The original id, which its copies share.
    var original: ID128
    /// The parent.
    var parent: ID128?
    /// Its date.
    var time: Timestamp
    /// The archives that it carries over besides its parent. Nil unless it is a complete archive that has everything
    /// that its parent has.
    var joined: [ID128]?
    /// True if a repair in this repository made it from its parent. Then nothing more of the parent can be recovered.
    var isRepaired = false

    init(id: ID128, original: ID128, parent: ID128?, time: Timestamp, joined: [ID128]? = nil) {
        (self.id, self.original, self.parent, self.time) = (id, original, parent, time)
        self.joined = joined
    }

    /// Takes the place from a commit record.
    public init(_ record: CommitRecord) {
        self.init(
            id: record.id, original: record.originalID, parent: record.parent, time: record.time,
            joined: record.isComplete && record.isArchive && !record.isLacking ? record.joined : nil)
        // If the snapshot is a copy, the repair took place in another repository, so it does not count here.
        isRepaired =
            record.isLacking && record.isComplete && record.original == nil
            && record.tags.contains(RepairSnapshots.tag)
    }
}

/// The order of some snapshots, and their effective times.
public struct SnapshotOrder: Sendable {
    /// A snapshot with a date that cannot be right.
    public struct Misdated: Sendable {
        /// The snapshot.
        public var snapshot: CommitRecord
        /// The time that counts instead of its date; nil if only its place in the order is known.
        public var effective: Timestamp?
    }

    /// The key by which snapshots are sorted. A child's key is never below its parent's.
    private struct Key: Comparable {
        var effective: Timestamp
        /// The latest date among this snapshot and its ancestors that have the same effective time.
        var latest: Timestamp
        var depth: Int

        static func < (left: Key, right: Key) -> Bool {
            (left.effective, left.latest, left.depth) < (right.effective, right.latest, right.depth)
        }
    }

    /// The snapshots, oldest first.
    public let sorted: [CommitRecord]
    /// The snapshots whose dates cannot be right, oldest first.
    public let misdated: [Misdated]
    private let keys: [ID128: Key]
    /// The original id of each known snapshot, by its id. `parents` has the id of its parent, by its original id.
    private let originals: [ID128: ID128]
    private let parents: [ID128: ID128]
    /// The archives that each complete archive carries over, by its original id.
    private let carried: [ID128: [ID128]]
    /// The snapshots that repairs made, by original id, each with its damaged source. The repaired snapshot stands for
    /// the source in this repository only. In another repository, the source may be undamaged.
    private let repaired: [ID128: ID128]
    /// A date that is wrong by no more than this is not reported.
    private static let toleratedSeconds: Int64 = 3600

    /// Orders `records`. `ancestors` are further members of their chains, such as forgotten snapshots. `unlisted`
    /// snapshots get a place in the order but are not in `sorted`.
    public init(
        _ records: [CommitRecord], unlisted: [CommitRecord] = [], through ancestors: [Ancestry] = [],
        now: Timestamp
    ) {
        let members = ((records + unlisted).map(Ancestry.init) + ancestors).sorted { $0.id < $1.id }
        originals = Dictionary(members.map { ($0.id, $0.original) }) { first, _ in first }
        parents = Dictionary(members.compactMap { member in member.parent.map { (member.original, $0) } }) {
            first, _ in first
        }
        let repairs = members.filter(\.isRepaired)
        repaired = Dictionary(repairs.compactMap { member in member.parent.map { (member.original, $0) } }) {
            first, _ in first
        }
        // A snapshot that a repair replaced is damaged and stands for nothing any more.
        let replaced = Set(repaired.values)
        var carried: [ID128: [ID128]] = [:]
        for member in members where !replaced.contains(member.id) {
            guard let joined = member.joined, repaired[member.original] == nil else { continue }
            carried[member.original, default: []] += joined + (member.parent.map { [$0] } ?? [])
        }
        self.carried = carried
        let chains = Chains(members)
        let effective = chains.effectiveTimes(now: now)
        var latest = chains.times
        for node in chains.parentsFirst {
            guard let parent = chains.parents[node], effective[parent] == effective[node] else { continue }
            latest[node] = max(latest[node], latest[parent])
        }
        var keys: [ID128: Key] = [:]
        for record in records + unlisted {
            guard let node = chains.node(of: record) else { continue }
            keys[record.id] = Key(
                effective: effective[node], latest: latest[node], depth: chains.depths[node])
        }
        self.keys = keys
        sorted = records.sorted { left, right in
            guard let first = keys[left.id], let second = keys[right.id], first != second else {
                return CommitRecord.isOlder(left, right)
            }
            return first < second
        }
        misdated = sorted.compactMap { record in
            guard let time = keys[record.id]?.effective else { return nil }
            let isKnown = time != Chains.unknownTime
            let distance = record.time.seconds.subtractingReportingOverflow(time.seconds)
            let isFar = distance.overflow || distance.partialValue.magnitude > Self.toleratedSeconds
            guard record.time > now || isKnown && isFar else { return nil }
            return Misdated(snapshot: record, effective: isKnown && time <= now && isFar ? time : nil)
        }
    }

    /// True if `left` was made before `right`.
    public func precedes(_ left: CommitRecord, _ right: CommitRecord) -> Bool {
        guard let first = keys[left.id], let second = keys[right.id], first != second else {
            return CommitRecord.isOlder(left, right)
        }
        return first < second
    }

    /// Calls `find` with the original id of each ancestor, the nearest first. Returns the first result that is not nil.
    public func firstAncestor<Found>(of snapshot: CommitRecord, _ find: (ID128) -> Found?) -> Found? {
        var seen: Set<ID128> = []
        var next = snapshot.parent
        while let id = next, seen.insert(id).inserted {
            let original = originals[id] ?? id
            if let found = find(original) { return found }
            next = parents[original]
        }
        return nil
    }

    /// Returns the ids of all ancestors of some snapshots, as far as their chains are known.
    public func ancestors(of snapshots: some Sequence<CommitRecord>) -> Set<ID128> {
        var found: Set<ID128> = []
        for snapshot in snapshots {
            var next = snapshot.parent
            while let id = next, found.insert(id).inserted {
                let original = originals[id] ?? id
                found.insert(original)
                next = parents[original]
            }
        }
        return found
    }

    // MARK: Archives

    /// Returns the ids of all archives for which the complete ones among `archives` stand. A complete archive stands
    /// for its parent, for the archives that it joined, and for every archive for which one of these stands in turn.
    public func carriedOver(by archives: some Sequence<CommitRecord>) -> Set<ID128> {
        var found: Set<ID128> = []
        for archive in archives where archive.isComplete && archive.isArchive {
            collectCarried(archive.originalID, in: &found)
        }
        return found
    }

    /// - Parameter elsewhere: true if the question is about another repository, where the repairs in this one do not
    ///   count.
    private func collectCarried(_ archive: ID128, in found: inout Set<ID128>, elsewhere: Bool = false) {
        func claims(_ original: ID128) -> [ID128] {
            (carried[original] ?? []) + (elsewhere ? [] : repaired[original].map { [$0] } ?? [])
        }
        var rest = claims(archive)
        while let id = rest.popLast() {
            guard found.insert(id).inserted else { continue }
            let original = originals[id] ?? id
            found.insert(original)
            rest += claims(original)
        }
    }

    /// Returns the complete archives, among snapshots of one device and paths, for which no other archive stands;
    /// newest first. There is only one such archive, unless the archive forked: by a copy, by two runs at once, by a
    /// date in the past, or by taking back a snapshot.
    public func heads(among snapshots: some Sequence<CommitRecord>) -> [CommitRecord] {
        var seen: Set<ID128> = []
        // If several snapshots are the same archive, as after a change of tags, the newest counts.
        let archives = snapshots.filter { $0.isComplete && $0.isArchive }
            .sorted { precedes($1, $0) }.filter { seen.insert($0.originalID).inserted }
        let carriedOver = carriedOver(by: archives)
        var heads = archives.filter { !carriedOver.contains($0.originalID) }
        // Only hostile records stand for each other. They form a cycle without a head, so the newest of them becomes
        // the head.
        var known = self.carriedOver(by: heads).union(heads.map(\.originalID))
        for archive in archives where known.insert(archive.originalID).inserted {
            heads.append(archive)
            collectCarried(archive.originalID, in: &known)
        }
        return heads.sorted { precedes($1, $0) }
    }

    /// Returns what to record as the predecessors of a snapshot when it is copied into another repository. They are the
    /// snapshot's nearest ancestor that the other repository has, and the original ids of further archives for which
    /// the copy stands. If the snapshot is an archive, only ancestors for which it stands count. `find` receives an
    /// original id and returns the other repository's snapshot; nil if there is none.
    public func succession<Found>(
        of snapshot: CommitRecord, _ find: (ID128) -> Found?
    ) -> (ancestor: Found?, joined: [ID128]) {
        let isArchive = snapshot.isComplete && snapshot.isArchive
        var standsFor: Set<ID128> = []
        if isArchive { collectCarried(snapshot.originalID, in: &standsFor, elsewhere: true) }
        var (seen, joined): (Set<ID128>, Set<ID128>) = ([], Set(snapshot.joined))
        var ancestor: Found?
        var next = snapshot.parent
        while let id = next, seen.insert(id).inserted {
            let original = originals[id] ?? id
            let isCarried = standsFor.contains(original)
            if !isArchive || isCarried, let found = find(original) {
                ancestor = found
                break
            }
            next = parents[original]
            guard isCarried else { continue }
            // The other repository lacks this ancestor. If the ancestor is the parent, it may be copied later, so the
            // copy joins it. The other repository may have archives that the ancestor joined, so the copy joins these,
            // too.
            if seen.count == 1 { joined.insert(original) }
            joined.formUnion((carried[original] ?? []).filter { $0 != next }.map { originals[$0] ?? $0 })
        }
        return (ancestor, joined.sorted())
    }

    /// Returns a snapshot's effective time; its date if nothing better is known. Rules about days use this time.
    public func time(of snapshot: CommitRecord) -> Timestamp {
        guard let time = keys[snapshot.id]?.effective, time != Chains.unknownTime else {
            return snapshot.time
        }
        return time
    }
}

/// Chains of parents as arrays. A snapshot, its copies and the checkpoints of its run are one node. For one thread.
private struct Chains {
    /// The date of each node.
    private(set) var times: [Timestamp] = []
    /// The parent of each node. There is no cycle.
    private(set) var parents: [Int?] = []
    /// The number of ancestors of each node.
    private(set) var depths: [Int] = []
    /// All nodes, each after its parent.
    private(set) var parentsFirst: [Int] = []
    private var nodes: [ID128: Int] = [:]
    /// The effective time of a node about which nothing is known.
    static let unknownTime = Timestamp(seconds: .min)
    /// The start of 1990. A clock without a battery starts in 1970 or 1980, so dates before this are not believed if
    /// the chain has a later one.
    private static let clocksBegin: Int64 = 631_152_000

    /// Identifies a run. The checkpoints of a run and the snapshot that completes it have the same parent and time.
    private struct Run: Hashable {
        var parent: ID128
        var time: Timestamp
    }

    init(_ members: [Ancestry]) {
        var parentIDs: [ID128?] = []
        var runs: [Run: Int] = [:]
        for member in members {
            let run = member.parent.map { Run(parent: $0, time: member.time) }
            let known = nodes[member.original] ?? nodes[member.id] ?? run.flatMap { runs[$0] }
            let node = known ?? times.count
            if known == nil {
                times.append(member.time)
                parentIDs.append(member.parent)
            }
            if let run, runs[run] == nil { runs[run] = node }
            for id in [member.original, member.id] where nodes[id] == nil { nodes[id] = node }
        }
        parents = parentIDs.map { $0.flatMap { nodes[$0] } }
        layOut()
    }

    /// Returns the node of a record that was among the members.
    func node(of record: CommitRecord) -> Int? { nodes[record.originalID] ?? nodes[record.id] }

    /// Cuts cycles, which only hostile records have, and counts the depths.
    private mutating func layOut() {
        depths = Array(repeating: -1, count: times.count)
        var isOnWay = Array(repeating: false, count: times.count)
        for start in times.indices where depths[start] < 0 {
            var way: [Int] = []
            var next: Int? = start
            while let node = next, depths[node] < 0 {
                way.append(node)
                isOnWay[node] = true
                if let parent = parents[node], isOnWay[parent] { parents[node] = nil }
                next = parents[node]
            }
            for node in way.reversed() {
                depths[node] = parents[node].map { depths[$0] + 1 } ?? 0
                isOnWay[node] = false
            }
        }
        parentsFirst = times.indices.sorted { (depths[$0], $0) < (depths[$1], $1) }
    }

    /// Returns the effective time of each node. It divides the nodes into chains: after each node comes the child with
    /// the longest chain below it, and each other child begins a chain of its own. In each chain, the longest series of
    /// dates that do not decrease, are not before the effective time of the chain's parent and are not after `now`
    /// counts as right. Each wrong date is moved between the nearest right dates before and after it.
    func effectiveTimes(now: Timestamp) -> [Timestamp] {
        var result = Array(repeating: Self.unknownTime, count: times.count)
        let next = longestContinuations()
        var isDone = Array(repeating: false, count: times.count)
        for start in parentsFirst where !isDone[start] {
            var chain: [Int] = []
            var node: Int? = start
            while let current = node {
                chain.append(current)
                isDone[current] = true
                node = next[current]
            }
            let lower = parents[start].map { result[$0] } ?? Self.unknownTime
            settle(chain, from: lower, now: now, &result)
        }
        return result
    }

    /// Returns, for each node, the child with the longest chain below it.
    private func longestContinuations() -> [Int?] {
        var heights = Array(repeating: 0, count: times.count)
        var next: [Int?] = Array(repeating: nil, count: times.count)
        for node in parentsFirst.reversed() {
            guard let parent = parents[node] else { continue }
            if next[parent] == nil || heights[node] + 1 > heights[parent] {
                (next[parent], heights[parent]) = (node, heights[node] + 1)
            }
        }
        return next
    }

    private func settle(
        _ chain: [Int], from lower: Timestamp, now: Timestamp, _ result: inout [Timestamp]
    ) {
        let isRight = rightDates(chain.map { times[$0] }, lower...max(lower, now))
        var following: [Timestamp?] = Array(repeating: nil, count: chain.count)
        var after: Timestamp?
        for place in chain.indices.reversed() {
            following[place] = after
            if isRight[place] { after = times[chain[place]] }
        }
        var before = lower
        for (place, node) in chain.enumerated() {
            if isRight[place] {
                before = times[node]
            } else if let after = following[place] {
                before = max(before, min(times[node], after))
            }
            result[node] = before
        }
    }

    /// Returns which dates of a chain belong to a longest non-decreasing series (Fredman 1975).
    private func rightDates(_ dates: [Timestamp], _ range: ClosedRange<Timestamp>) -> [Bool] {
        /// For each length, the place at which the best series of this length ends. The best series has the earliest
        /// last date.
        var ends: [Int] = []
        var predecessors: [Int?] = Array(repeating: nil, count: dates.count)
        var first: Int?
        let isBelievable = { (date: Timestamp) in range.contains(date) && date.seconds >= Self.clocksBegin }
        let hasBelievable = dates.contains(where: isBelievable)
        for (place, date) in dates.enumerated()
        where hasBelievable ? isBelievable(date) : range.contains(date) {
            var (low, high) = (0, ends.count)
            while low < high {
                let middle = (low + high) / 2
                if dates[ends[middle]] <= date { low = middle + 1 } else { high = middle }
            }
            predecessors[place] = low > 0 ? ends[low - 1] : nil
            if low == ends.count { ends.append(place) } else { ends[low] = place }
            if first == nil { first = place }
        }
        // If no two dates are in order, each date is before the one that precedes it. Then the first is believed and
        // the others are not: a clock falls back, for example to 1970, more often than it runs ahead.
        var last = ends.count > 1 ? ends.last : first
        var isRight = Array(repeating: false, count: dates.count)
        while let place = last {
            isRight[place] = true
            last = predecessors[place]
        }
        return isRight
    }
}
