// PackCopier: copies living blobs of wasteful packs to new ones, as they are compressed. Each is verified on its way.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Fills new packs from old ones. For one thread.
final class PackCopier {
    private let reader: BlobReader
    /// Has the new packs, and where each blob lies in them.
    let filler: PackFiller
    /// Blobs are read together up to this many bytes,
    private static let readBytes = 8 << 20
    /// with gaps between of at most this many.
    private static let gapBytes = 256 << 10

    init(_ repository: Repository) {
        reader = BlobReader(repository)
        filler = PackFiller(repository)
    }

    /// Copies the wanted blobs of a pack. False when `shouldStop` ended it before the last.
    ///
    /// Throws `CorruptionError` when one of them cannot be read.
    func copy(
        _ wanted: [IndexEntry], of pack: IndexedPack, shouldStop: () -> Bool, onRead: (UInt64) -> Void
    ) throws -> Bool {
        var rest = wanted.sorted { $0.offset < $1.offset }[...]
        while let first = rest.first {
            if shouldStop() { return false }
            let start = Int(first.offset)
            var end = start
            let together = rest.prefix { blob in
                let location = location(of: blob, in: pack)
                guard
                    end == start
                        || Int(location.offset) <= end + Self.gapBytes
                            && location.endOffset - start <= Self.readBytes
                else { return false }
                end = max(end, location.endOffset)
                return true
            }
            rest = rest.dropFirst(together.count)
            let bytes = try reader.readRange(of: pack.id, start..<end)
            for blob in together {
                let reference = BlobReference(id: blob.id, length: blob.rawLength)
                let (compressed, _) = try reader.verify(
                    reference, at: location(of: blob, in: pack), kind: pack.kind, in: bytes,
                    rangeOffset: start)
                try filler.append(compressed, of: blob, kind: pack.kind)
            }
            onRead(UInt64(end - start))
        }
        return true
    }

    private func location(of blob: IndexEntry, in pack: IndexedPack) -> BlobLocation {
        BlobLocation(pack: pack.id, offset: blob.offset, storedLength: blob.storedLength)
    }
}
