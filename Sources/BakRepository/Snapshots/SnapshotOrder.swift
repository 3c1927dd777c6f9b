// SnapshotOrder: the order in which snapshots were made. A snapshot names its parent, and was made after it, whatever
// the clock said then. So a chain of parents corrects dates that contradict it.
//
// Always holds: a snapshot never comes before its parent, also where records between the two are forgotten; where no
// date contradicts a chain the order is that of the dates; effective times do not decrease in the order; the order in
// which records are given does not matter; the work is bounded by n log n, whatever the records say.

import BakCore
import BakFormat

/// What a record says of its place in a chain.
public struct Ancestry: Equatable, Sendable {
    /// The record's id.
    var id: ID128
    /// The id that it and its copies have in common.
    var original: ID128
    /// The snapshot that it was made after.
    var parent: ID128?
    /// Its date.
    var time: Timestamp
    /// The archives that it carries over beside its parent; nil unless it is a complete archive that lacks nothing of
    /// them.
    var joined: [ID128]?
    /// Whether a repair here made it from its parent, of which nothing more is to be had.
    var isRepaired = false

    init(id: ID128, original: ID128, parent: ID128?, time: Timestamp, joined: [ID128]? = nil) {
        (self.id, self.original, self.parent, self.time) = (id, original, parent, time)
        self.joined = joined
    }

    /// What a commit record says.
    public init(_ record: CommitRecord) {
        self.init(
            id: record.id, original: record.originalID, parent: record.parent, time: record.time,
            joined: record.isComplete && record.isArchive && !record.isLacking ? record.joined : nil)
        // A copy of such a one says nothing of what is in this repository.
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

    /// By what snapshots are sorted. A child's key is never below its parent's.
    private struct Key: Comparable {
        var effective: Timestamp
        /// The latest date in the chain up to here, among equal effective times.
        var latest: Timestamp
        var depth: Int

        static func < (left: Key, right: Key) -> Bool {
            (left.effective, left.latest, left.depth) < (right.effective, right.latest, right.depth)
        }
    }

    /// The snapshots, oldest first.
    public let sorted: [CommitRecord]
    /// Those whose dates cannot be right, oldest first.
    public let misdated: [Misdated]
    private let keys: [ID128: Key]
    /// The id that each member and its copies have in common, and the parent by that.
    private let originals: [ID128: ID128]
    private let parents: [ID128: ID128]
    /// What each complete archive carries over, by the ids that archives and their copies have in common.
    private let carried: [ID128: [ID128]]
    /// What repairs made, by the ids that it and its copies have in common, with what it was made from. That is stood
    /// for in this repository alone: elsewhere it may be whole.
    private let repaired: [ID128: ID128]
    /// Clocks that differ by less than this are nothing to tell of.
    private static let toleratedSeconds: Int64 = 3600

    /// Orders `records`. `ancestors` are further members of their chains, such as forgotten snapshots; `unlisted` ones
    /// have a place in the order, and are not in `sorted`.
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
        // What is damaged stands for nothing any more.
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

    /// Returns true if `left` was made before `right`.
    public func precedes(_ left: CommitRecord, _ right: CommitRecord) -> Bool {
        guard let first = keys[left.id], let second = keys[right.id], first != second else {
            return CommitRecord.isOlder(left, right)
        }
        return first < second
    }

    /// The nearest ancestor, by the id that it and its copies have in common, of which `find` knows something.
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

    /// The ids on the chains of parents above some snapshots, as far as the chains are known.
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

    /// The ids of what some complete archives stand for: their parents that are complete archives, what they joined,
    /// and what these stand for.
    public func carriedOver(by archives: some Sequence<CommitRecord>) -> Set<ID128> {
        var found: Set<ID128> = []
        for archive in archives where archive.isComplete && archive.isArchive {
            collectCarried(archive.originalID, in: &found)
        }
        return found
    }

    /// - Parameter elsewhere: whether it is asked for another repository.
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

    /// The complete archives among snapshots of one device and paths that no other of them stands for; the newest
    /// first. There is one, unless the archive forked: by a copy, two runs at once, a date in the past, or one that was
    /// taken back.
    public func heads(among snapshots: some Sequence<CommitRecord>) -> [CommitRecord] {
        var seen: Set<ID128> = []
        // Of what is the same archive, as after a change of tags, the newest counts.
        let archives = snapshots.filter { $0.isComplete && $0.isArchive }
            .sorted { precedes($1, $0) }.filter { seen.insert($0.originalID).inserted }
        let carriedOver = carriedOver(by: archives)
        var heads = archives.filter { !carriedOver.contains($0.originalID) }
        // Records that stand for each other, which only hostile ones do, stand for nothing together.
        var known = self.carriedOver(by: heads).union(heads.map(\.originalID))
        for archive in archives where known.insert(archive.originalID).inserted {
            heads.append(archive)
            collectCarried(archive.originalID, in: &known)
        }
        return heads.sorted { precedes($1, $0) }
    }

    /// What a copy of a snapshot goes on from, of what `find` knows: its nearest ancestor, by the id that it and its
    /// copies have in common, and what else it stands for. That of an archive is one that it stands for.
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
            // The one before it may be copied later, and what those joined that are not copied is there perhaps.
            if seen.count == 1 { joined.insert(original) }
            joined.formUnion((carried[original] ?? []).filter { $0 != next }.map { originals[$0] ?? $0 })
        }
        return (ancestor, joined.sorted())
    }

    /// When a snapshot was made, as far as its chain and its date tell. Rules that look at days use this time.
    public func time(of snapshot: CommitRecord) -> Timestamp {
        guard let time = keys[snapshot.id]?.effective, time != Chains.unknownTime else {
            return snapshot.time
        }
        return time
    }
}

/// Chains of parents as arrays, a node for each run. For one thread.
private struct Chains {
    /// The date of each node.
    private(set) var times: [Timestamp] = []
    /// The parent of each node. There is no cycle.
    private(set) var parents: [Int?] = []
    /// How many nodes lie above each.
    private(set) var depths: [Int] = []
    /// All nodes, none before its parent.
    private(set) var parentsFirst: [Int] = []
    private var nodes: [ID128: Int] = [:]
    /// The effective time of a node about which nothing is known.
    static let unknownTime = Timestamp(seconds: .min)
    /// A clock without a battery begins in 1970 or 1980. However many dates before 1990 a chain has, a later one is
    /// believed over them.
    private static let clocksBegin: Int64 = 631_152_000

    /// The checkpoints of a run and what completes them have one parent and one time.
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

    /// The node of a record that was among the members.
    func node(of record: CommitRecord) -> Int? { nodes[record.originalID] ?? nodes[record.id] }

    /// Cuts cycles, which only hostile records have, and numbers the depths.
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

    /// When each node was made, as far as it can be told. On the longest chain of descendants the most dates that do
    /// not decrease and do not lie after `now` are right. Others come between those around them.
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

    /// Of each node the child with the longest chain below it.
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

    /// Which of a chain's dates belong to a longest one of its parts that does not decrease (Fredman 1975).
    private func rightDates(_ dates: [Timestamp], _ range: ClosedRange<Timestamp>) -> [Bool] {
        /// Where the best part of each length ends: the one with the earliest last date.
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
        // Where no two dates agree the first is believed: a clock falls back, as to 1970, more readily than it runs
        // ahead.
        var last = ends.count > 1 ? ends.last : first
        var isRight = Array(repeating: false, count: dates.count)
        while let place = last {
            isRight[place] = true
            last = predecessors[place]
        }
        return isRight
    }
}
