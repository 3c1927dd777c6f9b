// PackCopier: copies the needed blobs of packs with much unused space to new packs. It verifies each blob, but does not
// compress it again.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Fills new packs from old ones. For one thread.
final class PackCopier {
    private let reader: BlobReader
    /// Fills the new packs, and knows where each blob lies in them.
    let filler: PackFiller

    init(_ repository: Repository) {
        reader = BlobReader(repository)
        filler = PackFiller(repository)
    }

    /// Copies the wanted blobs of a pack. Returns false if `stop` ended the copying early. Throws `CorruptionError` if
    /// a blob cannot be read.
    func copy(
        _ wanted: [IndexEntry], of pack: IndexedPack, stop: StopSignal, onRead: (UInt64) -> Void
    ) throws -> Bool {
        func location(_ blob: IndexEntry) -> BlobLocation {
            BlobLocation(pack: pack.id, offset: blob.offset, storedLength: blob.storedLength)
        }
        var rest = wanted.sorted { $0.offset < $1.offset }[...]
        while let request = reader.planner.next(&rest, location) {
            if stop.isRequested { return false }
            let bytes = try reader.readRange(of: pack.id, request.range)
            for blob in request.items {
                let (compressed, _) = try reader.verify(
                    BlobReference(id: blob.id, length: blob.rawLength), at: location(blob), kind: pack.kind,
                    in: bytes, rangeOffset: request.range.lowerBound)
                try filler.append(compressed, of: blob, kind: pack.kind)
            }
            onRead(UInt64(request.range.count))
        }
        return true
    }
}
