// BlobStretches: blobs of one pack that are read in one call, because they lie close to each other.

import BakCodec
import BakFormat

/// Splits entries of one pack, sorted by offset, into stretches.
struct BlobStretches: Sequence, IteratorProtocol {
    /// Blobs are read together up to this many bytes,
    private static let readBytes = 8 << 20
    /// with gaps between of at most this many.
    private static let gapBytes = 256 << 10

    private var rest: ArraySlice<IndexEntry>

    init(_ sorted: ArraySlice<IndexEntry>) { rest = sorted }

    /// The next blobs and the range of the pack that they lie in.
    mutating func next() -> (blobs: ArraySlice<IndexEntry>, range: Range<Int>)? {
        guard let first = rest.first else { return nil }
        let start = Int(first.offset)
        var end = start
        let together = rest.prefix { blob in
            let blobEnd = Int(blob.offset) + PackLayout.blobHeaderBytes + Int(blob.storedLength)
            guard
                end == start
                    || Int(blob.offset) <= end + Self.gapBytes && blobEnd - start <= Self.readBytes
            else { return false }
            end = Swift.max(end, blobEnd)
            return true
        }
        rest = rest.dropFirst(together.count)
        return (together, start..<end)
    }
}
