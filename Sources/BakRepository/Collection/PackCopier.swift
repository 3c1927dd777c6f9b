// PackCopier: copies living blobs of wasteful packs to new ones, as they are compressed. Each is verified on its way.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Where a blob lies after it was copied.
struct CopiedBlob {
    var id: ID128
    /// The place of its new pack among the copier's.
    var pack: Int
    var offset: UInt32
    var storedLength: UInt32
}

/// Fills new packs from old ones. For one thread.
final class PackCopier {
    private let repository: Repository
    private let reader: BlobReader
    private var builders: [ObjectKind: PackBuilder] = [:]
    /// The new packs.
    private(set) var packs: [IndexedPack] = []
    /// What was copied to them; sorted by id once it is finished.
    private(set) var copies: [CopiedBlob] = []
    /// The new packs' bytes so far.
    private(set) var copiedBytes: UInt64 = 0
    /// Blobs are read together up to this many bytes,
    private static let readBytes = 8 << 20
    /// with gaps between of at most this many.
    private static let gapBytes = 256 << 10

    init(_ repository: Repository) {
        self.repository = repository
        reader = BlobReader(repository)
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
                try append(blob, compressed, kind: pack.kind)
            }
            onRead(UInt64(end - start))
        }
        return true
    }

    private func location(of blob: IndexEntry, in pack: IndexedPack) -> BlobLocation {
        BlobLocation(pack: pack.id, offset: blob.offset, storedLength: blob.storedLength)
    }

    private func append(_ blob: IndexEntry, _ compressed: Compressed, kind: ObjectKind) throws {
        let builder = builder(for: kind)
        if !builder.isEmpty, builder.byteCount(adding: compressed.stored.count) > repository.config.packBytes
        {
            try close(kind)
        }
        builder.append(id: blob.id, rawLength: Int(blob.rawLength), compressed: compressed)
    }

    private func builder(for kind: ObjectKind) -> PackBuilder {
        if let known = builders[kind] { return known }
        let builder = PackBuilder(
            kind: kind, targetBytes: repository.config.packBytes, sealer: repository.context.sealer)
        builder.reset(id: ID128(from: repository.random))
        builders[kind] = builder
        return builder
    }

    private func close(_ kind: ObjectKind) throws {
        guard let builder = builders[kind], !builder.isEmpty else { return }
        let (pack, blobs, bytes) = builder.finish()
        try repository.store.stage(Layout.pack(pack.id), bytes)
        for blob in blobs {
            copies.append(
                CopiedBlob(
                    id: blob.id, pack: packs.count, offset: blob.offset, storedLength: blob.storedLength))
        }
        packs.append(pack)
        copiedBytes += pack.size
        builder.reset(id: ID128(from: repository.random))
    }

    /// Makes everything that was copied durable and visible.
    func finish() throws {
        for kind in [ObjectKind.chunkPack, .manifestPack] { try close(kind) }
        if !packs.isEmpty { try repository.store.publishStaged() }
        copies.sort { $0.id < $1.id }
    }
}
