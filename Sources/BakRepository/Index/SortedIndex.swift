// SortedIndex: a table and an overlay as one immutable list, sorted by id. A blob has an entry for each pack
// that holds it: which copy stays is for a collection to choose, and until then any of them may be counted on.

import BakCore
import BakFormat

/// The entries of a table and an overlay in one order. May be used from any thread.
struct SortedIndex: Sendable {
    let table: IndexTable?
    let overlay: IndexOverlay
    /// The packs that entries refer to, each once.
    let packs: [IndexedPack]
    /// The places in `packs` of the overlay's packs.
    private let overlayPacks: [UInt32]
    private let tableCount: Int

    /// Takes a table and an overlay together.
    init(table: IndexTable?, overlay: IndexOverlay) {
        self.table = table
        self.overlay = overlay
        tableCount = table?.count ?? 0
        var packs = table?.packs ?? []
        guard !overlay.packs.isEmpty else {
            (self.packs, overlayPacks) = (packs, [])
            return
        }
        var numbers: [ID128: UInt32] = [:]
        numbers.reserveCapacity(packs.count)
        for (number, pack) in packs.enumerated() { numbers[pack.id] = UInt32(number) }
        overlayPacks = overlay.packs.map { pack in
            if let known = numbers[pack.id] { return known }
            packs.append(pack)
            return UInt32(packs.count - 1)
        }
        self.packs = packs
    }

    /// How many entries there are at most; their positions are below it.
    var count: Int { tableCount + overlay.entries.count }

    /// The position that stands for a blob, whatever copies it has: that of its first entry.
    func position(of id: ID128) -> Int? {
        if let position = table?.position(of: id) { return position }
        return overlay.position(of: id).map { tableCount + $0 }
    }

    /// The entry at a position; its pack is a place in `packs`.
    func entry(at position: Int) -> IndexEntry {
        if position < tableCount, let table { return table.entry(at: position) }
        var entry = overlay.entries[position - tableCount]
        entry.pack = overlayPacks[Int(entry.pack)]
        return entry
    }

    /// All entries of a blob.
    func copies(of id: ID128) -> [IndexEntry] {
        var copies: [IndexEntry] = []
        for (start, end) in [
            (table?.position(of: id), tableCount),
            (overlay.position(of: id).map { tableCount + $0 }, count),
        ] {
            guard var position = start else { continue }
            while position < end {
                let entry = entry(at: position)
                guard entry.id == id else { break }
                if Int(entry.pack) < packs.count { copies.append(entry) }
                position += 1
            }
        }
        return copies
    }

    /// Throws if the table was changed or could not be read since it was verified.
    func expectIntact() throws(RepositoryError) {
        guard table?.isIntact ?? true else { throw .cacheChanged }
    }

    /// Hands every blob to `body`, sorted by id: the position that stands for it, and all its entries. Throws at the
    /// end if the table changed meanwhile.
    func forEachBlob(_ body: (_ position: Int, _ copies: [IndexEntry]) throws -> Void) throws {
        var copies: [IndexEntry] = []
        var first = 0
        try forEach { position, entry in
            if let last = copies.last, last.id != entry.id {
                try body(first, copies)
                copies.removeAll(keepingCapacity: true)
            }
            if copies.isEmpty { first = position }
            copies.append(entry)
        }
        if !copies.isEmpty { try body(first, copies) }
    }

    /// Hands every entry and its position to `body`, sorted by id; of a blob's entries the one whose position
    /// stands for it comes first. Throws at the end if the table changed meanwhile.
    func forEach(_ body: (Int, IndexEntry) throws -> Void) throws {
        var distinct = DistinctCopies()
        func emit(_ position: Int, _ entry: IndexEntry) throws {
            if distinct.isNew(entry) { try body(position, entry) }
        }
        var position = 0
        for number in 0..<overlay.entries.count {
            let added = entry(at: tableCount + number)
            while position < tableCount, let entry = table?.entry(at: position), entry.id <= added.id {
                try emit(position, entry)
                position += 1
            }
            try emit(tableCount + number, added)
        }
        while position < tableCount, let entry = table?.entry(at: position) {
            try emit(position, entry)
            position += 1
        }
        try expectIntact()
    }
}
