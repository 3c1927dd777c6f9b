// IndexOverlay: the index segments that this machine's `IndexTable` does not hold yet, merged in memory into one sorted
// list.

import BakCore
import BakFormat

/// The entries of some index segments.
package struct IndexOverlay: Sendable {
    /// The packs that entries refer to, each once.
    private(set) var packs: [IndexedPack] = []
    /// The blobs sorted by id. An entry's pack is a position in `packs`. A blob has one entry for each pack that holds
    /// a copy of it.
    private(set) var entries: [IndexEntry] = []
    /// The ids of the segments that were added. The segment of a session has the session's id.
    private(set) var sessions: Set<ID128> = []
    private var packNumbers: [ID128: UInt32] = [:]

    /// Makes an empty overlay.
    package init() {}

    /// Adds segments. The time grows with the size of the overlay and of the segments, so add many segments in one
    /// call.
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
        // The entries of a single segment are sorted already, so there is often nothing to sort.
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

    /// Finds the first entry of a blob.
    package func find(_ id: ID128) -> IndexEntry? { position(of: id).map { entries[$0] } }

    /// Returns the position of a blob's first entry.
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

/// Finds the entries of a sorted list that name a copy a second time. Different copies of a blob lie in different
/// packs.
struct DistinctCopies {
    private var id: ID128?
    private var packs: [UInt32] = []

    /// True if no earlier entry had this id and pack. The entries of one id must follow each other.
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
