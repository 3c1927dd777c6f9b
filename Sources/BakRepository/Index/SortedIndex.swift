// SortedIndex: a table and an overlay as one immutable list, sorted by id. A blob has an entry for each pack that holds
// a copy of it. A collection chooses which copy stays; until then a session may rely on any copy.
//
// Each entry has a position, a number that stays the same as long as the list exists. The position of a blob is that of
// its first entry.

import BakCore
import BakFormat

/// The entries of a table and an overlay in one order. May be used from any thread.
struct SortedIndex: Sendable {
    let table: IndexTable?
    let overlay: IndexOverlay
    /// The packs that entries refer to, each once.
    let packs: [IndexedPack]
    /// The position in `packs` of each pack of the overlay.
    private let overlayPacks: [UInt32]
    private let tableCount: Int

    /// Joins a table and an overlay.
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

    /// All positions are below this number. It may be higher than the number of entries, because an entry that is in
    /// the table and in the overlay counts twice.
    var count: Int { tableCount + overlay.entries.count }

    /// Returns the position of a blob.
    func position(of id: ID128) -> Int? {
        if let position = table?.position(of: id) { return position }
        return overlay.position(of: id).map { tableCount + $0 }
    }

    /// Returns the entry at a position. The entry's field `pack` is an index into `packs`.
    func entry(at position: Int) -> IndexEntry {
        if position < tableCount, let table { return table.entry(at: position) }
        var entry = overlay.entries[position - tableCount]
        entry.pack = overlayPacks[Int(entry.pack)]
        return entry
    }

    /// Returns all entries of a blob.
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

    /// Throws if the table's file has changed or has become unreadable since it was mapped.
    func expectIntact() throws(RepositoryError) {
        guard table?.isIntact ?? true else { throw .cacheChanged }
    }

    /// Passes the position and all entries of each blob to `body`, sorted by id. Throws at the end if the table changed
    /// meanwhile.
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

    /// Passes every entry and its position to `body`, sorted by id. Of the entries of one blob, the one at the
    /// blob's position comes first. Throws at the end if the table changed meanwhile.
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
