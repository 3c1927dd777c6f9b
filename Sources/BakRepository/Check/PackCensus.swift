// PackCensus: every pack that the index or the store names, with what a check must know of it. It is what of a
// check grows with the repository: some dozens of bytes for each pack.

import BakCore
import BakFormat
import BakStorage

/// A pack as the index and the store know it.
struct CountedPack: Sendable {
    var indexed: IndexedPack
    /// The size in the listing; nil when the pack is not there.
    var storedBytes: UInt64?
    /// How many blobs the index says it has.
    var blobCount = 0

    var id: ID128 { indexed.id }
}

/// The packs of a repository.
struct PackCensus: Sendable {
    /// Those that the index names, sorted by id.
    private(set) var packs: [CountedPack] = []
    /// How many others are in the store, and their bytes.
    private(set) var unnamed: (packs: Int, bytes: UInt64) = (0, 0)
    /// What has the name of a pack and is none.
    private(set) var obstructions: [Obstruction] = []

    /// Counts. `onStray` is told of objects among the packs that are none.
    init(_ store: any ObjectStore, _ index: BlobIndex, onStray: (ObjectKey) -> Void) throws {
        packs = index.packs.sorted { $0.id < $1.id }.map { CountedPack(indexed: $0) }
        try store.listPackFolders { objects, others in
            obstructions += others.filter { ObjectNames.pack(in: $0.key) != nil }
            for info in objects {
                guard let id = ObjectNames.pack(in: info.key) else {
                    onStray(info.key)
                    continue
                }
                if let place = place(of: id) {
                    packs[place].storedBytes = UInt64(info.size)
                } else {
                    unnamed.packs += 1
                    unnamed.bytes.add(UInt64(info.size))
                }
            }
        }
        let sorted = try index.soundIndex()
        let places = sorted.packs.map { place(of: $0.id) }
        try sorted.forEach { _, entry in
            if let place = places[Int(entry.pack)] { packs[place].blobCount += 1 }
        }
    }

    /// Where a pack stands among those that the index names.
    func place(of id: ID128) -> Int? {
        var low = 0
        var high = packs.count
        while low < high {
            let middle = (low + high) / 2
            if packs[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < packs.count && packs[low].id == id ? low : nil
    }

    /// The packs that a check reads: those that an earlier one found damaged, lest anybody be told that all is well
    /// because they were not looked at again, and those of its subset that have not been read for longest.
    func choose(_ depth: CheckDepth, _ log: ReadLog) -> [CountedPack] {
        let present = packs.filter { $0.storedBytes != nil }
        let damaged = present.filter { log.damaged.contains($0.id) }
        guard case .readData(let subset) = depth else { return damaged }
        return damaged
            + Self.choose(subset, of: present, log).filter { !log.damaged.contains($0.id) }
    }

    private static func choose(
        _ subset: PackSubset, of packs: [CountedPack], _ log: ReadLog
    ) -> [CountedPack] {
        var present = packs
        if case .part(let number, let parts) = subset {
            present.removeAll { $0.id.low % UInt64(parts) != UInt64(number - 1) }
        }
        present.sort { left, right in
            let (one, other) = (log.seconds[left.id] ?? .min, log.seconds[right.id] ?? .min)
            return one != other ? one < other : left.id < right.id
        }
        let bytes: UInt64
        switch subset {
        case .all, .part: return present
        case .percent(let percent):
            // A share of at most 100 % of sizes that the store has listed fits.
            bytes = UInt64(Double(present.total(\.indexed.size)) * percent / 100)
        case .bytes(let wanted): bytes = wanted
        }
        var chosenBytes: UInt64 = 0
        return Array(
            present.prefix { pack in
                defer { chosenBytes.add(pack.indexed.size) }
                return chosenBytes == 0 || chosenBytes < bytes
            })
    }
}
