// PackFiller: well-filled packs of blobs that come from other packs. They are not coded again. Chunks and manifests are
// kept apart.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Where a blob lies after it was copied.
struct CopiedBlob {
    var id: ID128
    /// The place of its new pack among the filler's.
    var pack: Int
    var offset: UInt32
    var rawLength: UInt32
    var storedLength: UInt32

    /// Its entry in an index whose packs are some others, `firstPack` many, and then the filler's.
    func entry(firstPack: Int) -> IndexEntry {
        IndexEntry(
            id: id, pack: UInt32(firstPack + pack), offset: offset, rawLength: rawLength,
            storedLength: storedLength)
    }
}

/// Fills new packs. For one thread.
final class PackFiller {
    private let repository: Repository
    /// Where new packs wait for `finish`; nil to store nothing.
    private let batch: (any StagedBatch)?
    private var builders: [ObjectKind: PackBuilder] = [:]
    /// The new packs.
    private(set) var packs: [IndexedPack] = []
    /// Where each blob lies in them; sorted by id once it is finished.
    private(set) var copies: [CopiedBlob] = []
    /// The new packs' bytes.
    private(set) var writtenBytes: UInt64 = 0

    /// Makes one that stores nothing when `isDryRun`.
    init(_ repository: Repository, isDryRun: Bool = false) {
        self.repository = repository
        batch = isDryRun ? nil : repository.store.makeBatch(of: nil)
    }

    deinit { batch?.abandon() }

    /// Adds a blob that has been verified.
    func append(_ compressed: Compressed, of entry: IndexEntry, kind: ObjectKind) throws {
        let builder = builder(for: kind)
        if builder.isFull(for: compressed.stored.count, of: repository.config.packBytes) { try close(kind) }
        builder.append(id: entry.id, rawLength: Int(entry.rawLength), compressed: compressed)
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
        try batch?.stage(ObjectNames.pack(pack.id), bytes)
        for blob in blobs {
            copies.append(
                CopiedBlob(
                    id: blob.id, pack: packs.count, offset: blob.offset, rawLength: blob.rawLength,
                    storedLength: blob.storedLength))
        }
        packs.append(pack)
        writtenBytes += pack.size
        builder.reset(id: ID128(from: repository.random))
    }

    /// Makes all of it durable and visible.
    func finish() throws {
        for kind in builders.keys.sorted(by: { $0.rawValue < $1.rawValue }) { try close(kind) }
        if !packs.isEmpty { try batch?.publish() }
        copies.sort { $0.id < $1.id }
    }
}
