// CopyChoice: which of a blob's copies a collection counts on. Copies that were found damaged come into question no
// more, and where no copy is whole all of them are needed: what one program cannot read another may.

import BakCore
import BakFormat

/// Chooses among the copies of blobs, whose packs are places in a sorted index.
struct CopyChoice {
    /// Where a copy lies.
    private struct Place: Hashable {
        var pack: UInt32
        var offset: UInt32
    }

    private let isStored: [Bool]
    private let isCondemned: [Bool]
    private var damaged: Set<Place> = []

    /// A choice among copies in `packs`, of which the store has `stored`.
    init(_ packs: [IndexedPack], stored: [ID128: Int], condemned: Set<ID128> = []) {
        isStored = packs.map { stored[$0.id] != nil }
        isCondemned = packs.map { condemned.contains($0.id) }
    }

    /// Whether the store has a pack.
    func isStored(_ pack: Int) -> Bool { isStored[pack] }

    /// Takes note that a copy cannot be read.
    mutating func leaveOut(_ copy: IndexEntry) {
        damaged.insert(Place(pack: copy.pack, offset: copy.offset))
    }

    /// Whether the copy was found damaged.
    func isDamaged(_ copy: IndexEntry) -> Bool {
        !damaged.isEmpty && damaged.contains(Place(pack: copy.pack, offset: copy.offset))
    }

    /// The copy to count on: the first in a pack that is stored and not condemned, else in one that is stored, else
    /// any. Nil when all are damaged.
    func best(_ copies: [IndexEntry]) -> IndexEntry? {
        let whole = copies.lazy.filter { !isDamaged($0) }
        return whole.first { isStored[Int($0.pack)] && !isCondemned[Int($0.pack)] }
            ?? whole.first { isStored[Int($0.pack)] } ?? whole.first
    }

    /// The copies that are needed.
    func needed(_ copies: [IndexEntry]) -> [IndexEntry] {
        guard copies.count > 1, let best = best(copies) else { return copies }
        return [best]
    }
}
