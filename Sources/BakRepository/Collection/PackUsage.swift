// PackUsage: how much of each pack is referred to, and which packs a collection would do without.

import BakCore
import BakFormat

/// What of a pack is needed.
struct PackUse {
    let pack: IndexedPack
    /// Whether the store has it.
    var isStored: Bool
    /// How many blobs are needed from here.
    var livingBlobs = 0
    /// Their bytes with what belongs to them.
    var livingBytes: UInt64 = 0
    /// Whether a blob that is needed from here cannot be read, as far as anyone has looked.
    var isDamaged = false
    /// Whether it is sealed: then its length is rounded up, and what that adds is not unused.
    var isSealed = false
    /// The bytes that nothing refers to.
    var unusedBytes: UInt64 { pack.size - min(pack.size, neededBytes) }

    /// The length of a pack that has only what is needed.
    private var neededBytes: UInt64 {
        guard isSealed else { return livingBytes + UInt64(PackLayout.minimumBytes) }
        let rows = livingBlobs * PackLayout.footerEntryBytes
        return UInt64(
            SealedPackLayout.packBytes(
                blobsEnd: ObjectHeader.byteCount + Int(livingBytes) - rows, blobCount: livingBlobs))
    }

    /// How wasteful it is.
    var unusedShare: Double { Double(unusedBytes) / Double(max(1, pack.size)) }
}

/// What of all packs is needed.
struct PackUsage {
    /// By the packs' places in the sorted index.
    private(set) var packs: [PackUse]
    /// How many living blobs lie in several packs.
    let severalCopies: Int

    /// What a blob costs in a pack beside its stored bytes.
    static let blobOverhead = UInt64(PackLayout.blobHeaderBytes + PackLayout.footerEntryBytes)

    /// Counts what is living: of each blob's copies those that `choice` needs.
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

    /// Places of packs that nothing refers to.
    var dead: [Int] { packs.indices.filter { packs[$0].livingBlobs == 0 } }

    /// How much is unused in packs that hold something living.
    var unusedBytes: UInt64 { packs.total { $0.livingBlobs > 0 ? $0.unusedBytes : 0 } }

    /// How many bytes may stay unused.
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

    /// The packs that would be rewritten so that no more than `allowance` is unused, the most wasteful first, and
    /// whether `limits` left some out. Only packs that `isCandidate` are taken, and none from which a needed blob is
    /// known not to be readable.
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

/// How much one round may copy.
struct CopyLimits {
    var bytes: UInt64
    var blobs: Int
}
