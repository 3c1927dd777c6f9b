// CopyChoice: chooses the copy that a collection keeps of a blob that lies in several packs. It never chooses a copy
// that was found damaged. If all copies were found damaged, the collection keeps all of them, because another program
// may be able to read one.

import BakCore
import BakFormat

/// A choice among the copies of blobs. A pack is a position in the packs of a sorted index.
struct CopyChoice {
    /// Where a copy lies.
    private struct Place: Hashable {
        var pack: UInt32
        var offset: UInt32
    }

    private let isStored: [Bool]
    private let isCondemned: [Bool]
    private var damaged: Set<Place> = []

    /// Makes a choice among copies in `packs`. The store has only the packs in `stored`.
    init(_ packs: [IndexedPack], stored: [ID128: Int], condemned: Set<ID128> = []) {
        isStored = packs.map { stored[$0.id] != nil }
        isCondemned = packs.map { condemned.contains($0.id) }
    }

    /// True if the store has the pack.
    func isStored(_ pack: Int) -> Bool { isStored[pack] }

    /// Notes that a copy cannot be read.
    mutating func leaveOut(_ copy: IndexEntry) {
        damaged.insert(Place(pack: copy.pack, offset: copy.offset))
    }

    /// True if the copy was found damaged.
    func isDamaged(_ copy: IndexEntry) -> Bool {
        !damaged.isEmpty && damaged.contains(Place(pack: copy.pack, offset: copy.offset))
    }

    /// Returns the copy to keep. Among the copies that are not damaged, this is the first in a stored pack that is not
    /// condemned, else the first in a stored pack, else the first. Nil if all copies are damaged.
    func best(_ copies: [IndexEntry]) -> IndexEntry? {
        let whole = copies.lazy.filter { !isDamaged($0) }
        return whole.first { isStored[Int($0.pack)] && !isCondemned[Int($0.pack)] }
            ?? whole.first { isStored[Int($0.pack)] } ?? whole.first
    }

    /// Returns the copies to keep: the best one, or all copies if all are damaged.
    func needed(_ copies: [IndexEntry]) -> [IndexEntry] {
        guard copies.count > 1, let best = best(copies) else { return copies }
        return [best]
    }
}
