// PackUsage: how much of each pack is needed, and which packs a collection would delete or rewrite.

import BakCore
import BakFormat

/// The part of a pack that is needed.
struct PackUse {
    let pack: IndexedPack
    /// True if the store has the pack.
    var isStored: Bool
    /// The number of blobs that are needed from this pack.
    var livingBlobs = 0
    /// The stored bytes of the needed blobs, with their headers and footer rows.
    var livingBytes: UInt64 = 0
    /// True if a blob that is needed from this pack is known to be unreadable.
    var isDamaged = false
    /// True if the pack is sealed. Then its length is rounded up, and the added bytes do not count as unused.
    var isSealed = false
    /// The bytes that the pack would lose if it held only the needed blobs.
    var unusedBytes: UInt64 { pack.size - min(pack.size, neededBytes) }

    /// The length of a pack with only the needed blobs.
    private var neededBytes: UInt64 {
        guard isSealed else { return livingBytes + UInt64(PackLayout.minimumBytes) }
        let rows = livingBlobs * PackLayout.footerEntryBytes
        return UInt64(
            SealedPackLayout.packBytes(
                blobsEnd: ObjectHeader.byteCount + Int(livingBytes) - rows, blobCount: livingBlobs))
    }

    /// The unused part of the pack, from 0 to 1.
    var unusedShare: Double { Double(unusedBytes) / Double(max(1, pack.size)) }
}

/// The usage of all packs.
struct PackUsage {
    /// The usage of each pack, by the pack's position in the sorted index. This position is called its place.
    private(set) var packs: [PackUse]
    /// The number of living blobs that lie in several packs.
    let severalCopies: Int

    /// The bytes that a blob needs in a pack beside its stored bytes.
    static let blobOverhead = UInt64(PackLayout.blobHeaderBytes + PackLayout.footerEntryBytes)

    /// Counts the living blobs. Of several copies of a blob, counts those that `choice` keeps.
    init(_ sorted: SortedIndex, _ live: LiveBlobs, _ choice: CopyChoice, isSealed: Bool) throws {
        var packs = sorted.packs.enumerated().map { place, pack in
            PackUse(pack: pack, isStored: choice.isStored(place), isSealed: isSealed)
        }
        var severalCopies = 0
        try sorted.forEachBlob { position, copies in
            guard live.contains(position) else { return }
            if copies.count > 1 { severalCopies += 1 }
            for copy in choice.needed(copies) {
                packs[Int(copy.pack)].livingBlobs += 1
                packs[Int(copy.pack)].livingBytes += UInt64(copy.storedLength) + Self.blobOverhead
                if choice.isDamaged(copy) { packs[Int(copy.pack)].isDamaged = true }
            }
        }
        self.packs = packs
        self.severalCopies = severalCopies
    }

    /// The places of packs without a needed blob.
    var dead: [Int] { packs.indices.filter { packs[$0].livingBlobs == 0 } }

    /// The unused bytes in packs that hold living blobs.
    var unusedBytes: UInt64 { packs.total { $0.livingBlobs > 0 ? $0.unusedBytes : 0 } }

    /// Returns how many bytes may stay unused.
    func allowedBytes(_ allowance: PruneOptions.Allowance) -> UInt64 {
        switch allowance {
        case .unlimited: return .max
        case .bytes(let bytes): return bytes
        case .percent(let percent):
            let living = packs.total(\.livingBytes)
            let share = min(max(percent, 0), 99) / 100
            let allowed = Double(living) * share / (1 - share)
            return allowed < 0x1p64 ? UInt64(allowed) : .max
        }
    }

    /// Returns the packs to rewrite so that no more than `allowance` is unused, the most wasteful first. `areAll` is
    /// false if `limits` left some out. Takes only packs that `isCandidate` accepts. Leaves out packs with a needed
    /// blob that is known to be unreadable, because it cannot be copied.
    func wasteful(
        _ allowance: PruneOptions.Allowance, limits: CopyLimits, isCandidate: (Int) -> Bool = { _ in true }
    ) -> (places: [Int], areAll: Bool) {
        let allowed = allowedBytes(allowance)
        var unused = unusedBytes
        var (bytes, blobs) = (UInt64(0), 0)
        var chosen: [Int] = []
        let candidates = packs.indices.filter { place in
            let use = packs[place]
            return use.isStored && use.livingBlobs > 0 && use.unusedBytes > 0 && !use.isDamaged
                && isCandidate(place)
        }.sorted { left, right in
            let (a, b) = (packs[left], packs[right])
            return a.unusedShare != b.unusedShare ? a.unusedShare > b.unusedShare : a.pack.id < b.pack.id
        }
        for place in candidates where unused > allowed {
            let use = packs[place]
            guard bytes + use.livingBytes <= limits.bytes,
                chosen.isEmpty || blobs + use.livingBlobs <= limits.blobs
            else {
                return (chosen, false)
            }
            chosen.append(place)
            bytes += use.livingBytes
            blobs += use.livingBlobs
            unused -= use.unusedBytes
        }
        return (chosen, true)
    }
}

/// The most that one round may copy.
struct CopyLimits {
    var bytes: UInt64
    var blobs: Int
}
