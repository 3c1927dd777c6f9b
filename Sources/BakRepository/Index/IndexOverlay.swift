// IndexOverlay: index segments in memory, merged into one sorted list: what the table does not hold yet.

import BakCore
import BakFormat

/// Some sessions' index, immutable.
package struct IndexOverlay: Sendable {
    /// The packs that entries refer to, each once.
    private(set) var packs: [IndexedPack] = []
    /// Blobs sorted by id; their packs are places in `packs`. A blob is in the list once for each pack that has it.
    private(set) var entries: [IndexEntry] = []
    /// The sessions whose segments these are.
    private(set) var sessions: Set<ID128> = []
    private var packNumbers: [ID128: UInt32] = [:]

    /// Makes an empty one.
    package init() {}

    /// Adds a segment. Time grows with the size of both; add many at once where there are many.
    package mutating func add(_ segments: [IndexSegment]) {
        var added: [IndexEntry] = []
        added.reserveCapacity(segments.reduce(0) { $0 + $1.entries.count })
        for segment in segments {
            let numbers = segment.packs.map { number(of: $0) }
            sessions.insert(segment.session)
            for var entry in segment.entries {
                entry.pack = numbers[Int(entry.pack)]
                added.append(entry)
            }
        }
        // A base comes as segments that follow each other.
        if !zip(added, added.dropFirst()).allSatisfy({ $0.id <= $1.id }) { added.sort { $0.id < $1.id } }
        if entries.isEmpty, segments.count == 1 {
            entries = added
            return
        }
        var merged: [IndexEntry] = []
        merged.reserveCapacity(entries.count + added.count)
        var distinct = DistinctCopies()
        var old = entries[...]
        for entry in added {
            while let first = old.first, first.id <= entry.id {
                if distinct.isNew(first) { merged.append(first) }
                old.removeFirst()
            }
            if distinct.isNew(entry) { merged.append(entry) }
        }
        for entry in old where distinct.isNew(entry) { merged.append(entry) }
        entries = merged
    }

    private mutating func number(of pack: IndexedPack) -> UInt32 {
        if let known = packNumbers[pack.id] { return known }
        packNumbers[pack.id] = UInt32(packs.count)
        packs.append(pack)
        return UInt32(packs.count - 1)
    }

    /// Finds a blob: its first entry.
    package func find(_ id: ID128) -> IndexEntry? { position(of: id).map { entries[$0] } }

    /// The place of a blob's first entry.
    func position(of id: ID128) -> Int? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].id == id ? low : nil
    }
}

/// Tells apart the copies of a blob in a sorted list from the same copy named again.
struct DistinctCopies {
    private var id: ID128?
    private var packs: [UInt32] = []

    /// Whether no entry of this id and pack has come before; those of one id come together.
    mutating func isNew(_ entry: IndexEntry) -> Bool {
        if entry.id != id {
            id = entry.id
            packs.removeAll(keepingCapacity: true)
        } else if packs.contains(entry.pack) {
            return false
        }
        packs.append(entry.pack)
        return true
    }
}
