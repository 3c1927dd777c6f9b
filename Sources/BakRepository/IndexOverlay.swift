// IndexOverlay: index segments in memory, merged into one sorted list: what the table does not hold yet.

import BakCore
import BakFormat

/// Some sessions' index, immutable.
package struct IndexOverlay: Sendable {
    /// The packs that entries refer to.
    private(set) var packs: [IndexedPack] = []
    /// Blobs sorted by id, each once; their packs are places in `packs`.
    private(set) var entries: [IndexEntry] = []
    /// The sessions whose segments these are.
    private(set) var sessions: Set<ID128> = []

    /// Makes an empty one.
    package init() {}

    /// Adds a segment. Time grows with the size of both; add many at once where there are many.
    package mutating func add(_ segments: [IndexSegment]) {
        var added: [IndexEntry] = []
        added.reserveCapacity(segments.reduce(0) { $0 + $1.entries.count })
        for segment in segments {
            let packOffset = UInt32(packs.count)
            packs += segment.packs
            sessions.insert(segment.session)
            for var entry in segment.entries {
                entry.pack += packOffset
                added.append(entry)
            }
        }
        added.sort { $0.id < $1.id }
        var merged: [IndexEntry] = []
        merged.reserveCapacity(entries.count + added.count)
        var old = entries[...]
        for entry in added {
            while let first = old.first, first.id <= entry.id {
                merged.append(first)
                old.removeFirst()
            }
            if merged.last?.id != entry.id { merged.append(entry) }
        }
        merged += old
        entries = merged
    }

    /// Finds a blob.
    package func find(_ id: ID128) -> IndexEntry? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].id == id ? entries[low] : nil
    }
}
