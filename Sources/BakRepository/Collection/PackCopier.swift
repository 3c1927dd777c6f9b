// PackCopier: copies living blobs of wasteful packs to new ones, as they are compressed. Each is verified on its way.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Where a blob lies after it was copied.
struct CopiedBlob {
    /// The position that stands for it in the sorted index.
    var position: Int
    /// The place of its new pack among the copier's.
    var pack: Int
    var offset: UInt32
    var storedLength: UInt32
}

/// Fills new packs from old ones. For one thread.
final class PackCopier {
    /// A blob that is wanted of a pack.
    struct Wanted {
        var position: Int
        var entry: IndexEntry
    }

    private let repository: Repository
    private let reader: BlobReader
    private var builders: [ObjectKind: PackBuilder] = [:]
    /// What lies in the open pack of each kind, in order.
    private var open: [ObjectKind: [Int]] = [:]
    /// The new packs.
    private(set) var packs: [IndexedPack] = []
    /// What was copied to them.
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
        _ wanted: [Wanted], of pack: IndexedPack, shouldStop: () -> Bool, onRead: (UInt64) -> Void
    ) throws -> Bool {
        var rest = wanted.sorted { $0.entry.offset < $1.entry.offset }[...]
        while let first = rest.first {
            if shouldStop() { return false }
            let start = Int(first.entry.offset)
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
                let reference = BlobReference(id: blob.entry.id, length: blob.entry.rawLength)
                let (compressed, _) = try reader.verify(
                    reference, at: location(of: blob, in: pack), kind: pack.kind, in: bytes,
                    rangeOffset: start)
                try append(blob, compressed, kind: pack.kind)
            }
            onRead(UInt64(end - start))
        }
        return true
    }

    private func location(of blob: Wanted, in pack: IndexedPack) -> BlobLocation {
        BlobLocation(pack: pack.id, offset: blob.entry.offset, storedLength: blob.entry.storedLength)
    }

    private func append(_ blob: Wanted, _ compressed: Compressed, kind: ObjectKind) throws {
        let builder = builder(for: kind)
        if !builder.isEmpty, builder.byteCount(adding: compressed.stored.count) > repository.config.packBytes
        {
            try close(kind)
        }
        builder.append(id: blob.entry.id, rawLength: Int(blob.entry.rawLength), compressed: compressed)
        open[kind, default: []].append(blob.position)
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
        for (blob, position) in zip(blobs, open[kind] ?? []) {
            copies.append(
                CopiedBlob(
                    position: position, pack: packs.count, offset: blob.offset,
                    storedLength: blob.storedLength))
        }
        open[kind] = []
        packs.append(pack)
        copiedBytes += pack.size
        builder.reset(id: ID128(from: repository.random))
    }

    /// Makes everything that was copied durable and visible.
    func finish() throws {
        for kind in [ObjectKind.chunkPack, .manifestPack] { try close(kind) }
        if !packs.isEmpty { try repository.store.publishStaged() }
        copies.sort { $0.position < $1.position }
    }
}
