// ContentSample: samples the content of many files, so that renamed files are not counted as lost.
//
// Always holds: memory is bounded. Of very many files a sample keeps only those whose content hash is a multiple of a
// power of two, and scales its counts accordingly. Only the hash decides whether a content is kept, so two samples keep
// the same contents and can be compared.

import BakCodec
import BakFormat

/// Counts the files with each content beneath each root. For one thread.
struct ContentSample {
    private struct Key: Hashable {
        var root: Int
        var content: UInt64

        // There are few roots, so their numbers need no hashing.
        func hash(into hasher: inout Hasher) { hasher.combine(content) }
    }

    private var counts: [Key: UInt64] = [:]
    /// The sample keeps only content whose hash ends in at least this many zero bits.
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

    /// Adds another sample.
    mutating func add(_ other: ContentSample) {
        zeroBits = max(zeroBits, other.zeroBits)
        counts = counts.merging(other.counts, uniquingKeysWith: +)
            .filter { $0.key.content.trailingZeroBitCount >= zeroBits }
        thin()
    }

    /// Returns, for each root, the number of files whose content is in the other sample, too.
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
    /// Hashes content by its length and first chunk, to distinguish it within one repository.
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
