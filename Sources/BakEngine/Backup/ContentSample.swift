// ContentSample: which content there was among many files, so that files which were renamed are not taken for others.
//
// Always holds: memory is bounded. Of very many files a sample keeps those whose content hashes to a multiple of a
// power of two: two samples keep the same content, and their counts stand for as many times more.

import BakCodec
import BakFormat

/// How often which content was met beneath each root. For one thread.
struct ContentSample {
    private struct Key: Hashable {
        var root: Int
        var content: UInt64

        // Roots are few.
        func hash(into hasher: inout Hasher) { hasher.combine(content) }
    }

    private var counts: [Key: UInt64] = [:]
    /// Content is kept whose hash ends in so many zero bits.
    private var zeroBits = 0
    private let most: Int

    /// An empty sample that keeps up to `most` contents.
    init(most: Int = 1 << 16) { self.most = most }

    /// Adds the content of a regular file.
    mutating func add(_ entry: ManifestEntry, beneath root: Int) {
        let content = entry.contentHash
        guard content.trailingZeroBitCount >= zeroBits else { return }
        counts[Key(root: root, content: content), default: 0] += 1
        thin()
    }

    /// Adds what another sample has.
    mutating func add(_ other: ContentSample) {
        zeroBits = max(zeroBits, other.zeroBits)
        counts = counts.merging(other.counts, uniquingKeysWith: +)
            .filter { $0.key.content.trailingZeroBitCount >= zeroBits }
        thin()
    }

    /// How many files of each root have their content in the other sample as well.
    func shared(with other: ContentSample, rootCount: Int) -> [UInt64] {
        var shared = [UInt64](repeating: 0, count: rootCount)
        let bits = max(zeroBits, other.zeroBits)
        for (key, count) in counts where key.content.trailingZeroBitCount >= bits {
            shared[key.root] += min(count, other.counts[key] ?? 0)
        }
        return shared.map { $0 << UInt64(bits) }
    }

    private mutating func thin() {
        while counts.count > most {
            zeroBits += 1
            counts = counts.filter { $0.key.content.trailingZeroBitCount >= zeroBits }
        }
    }
}

extension ManifestEntry {
    /// Tells content from other content of the same repository: by its length and its first chunk.
    fileprivate var contentHash: UInt64 {
        let beginning: UInt64 =
            switch content {
            case .extents(let extents):
                switch extents.first {
                case .chunk(let reference): reference.id.low
                case .hole(let length): length
                case nil: 0
                }
            case .inline(let bytes): bytes.withUnsafeBytes(Checksum.xxh3_64)
            case nil: 0
            }
        return beginning ^ stat.size &* 0x9e37_79b9_7f4a_7c15
    }
}
