// PackCensus: every pack that the index or the store names, with the facts that a check needs. Its memory grows with
// the repository: some dozens of bytes for each pack.

import BakCore
import BakFormat
import BakStorage

/// A pack in the index and in the store.
struct CountedPack: Sendable {
    var indexed: IndexedPack
    /// The size in the listing; nil if the pack is missing.
    var storedBytes: UInt64?
    /// The number of its blobs in the index.
    var blobCount = 0

    var id: ID128 { indexed.id }
}

/// The packs of a repository.
struct PackCensus: Sendable {
    /// The packs that the index names, sorted by id.
    private(set) var packs: [CountedPack] = []
    /// The number and the bytes of the packs in the store that the index does not name.
    private(set) var unnamed: (packs: Int, bytes: UInt64) = (0, 0)
    /// The obstructions under packs' names.
    private(set) var obstructions: [Obstruction] = []

    /// Takes the census. `onStray` receives the objects in the packs' folders that are not packs.
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

    /// Returns a pack's place in `packs`; nil if the index does not name it.
    func place(of id: ID128) -> Int? {
        var low = 0
        var high = packs.count
        while low < high {
            let middle = (low + high) / 2
            if packs[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < packs.count && packs[low].id == id ? low : nil
    }

    /// Returns the packs to read. Packs that an earlier check found damaged come first, so that this check cannot call
    /// the repository whole without reading them. Then come packs of the subset, beginning with those that have not
    /// been read for longest.
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
            // The conversion cannot overflow: the result is at most the total size of packs that the store has listed.
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
