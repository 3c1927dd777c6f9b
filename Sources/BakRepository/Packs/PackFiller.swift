// PackFiller: copies blobs from other packs into well-filled new packs, without compressing them again. Chunks and
// manifests get separate packs.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// The location of a blob after it was copied.
struct CopiedBlob {
    var id: ID128
    /// The position of the blob's new pack in the filler's `packs`.
    var pack: Int
    var offset: UInt32
    var rawLength: UInt32
    var storedLength: UInt32

    /// The blob's entry in an index that lists `firstPack` other packs before the filler's packs.
    func entry(firstPack: Int) -> IndexEntry {
        IndexEntry(
            id: id, pack: UInt32(firstPack + pack), offset: offset, rawLength: rawLength,
            storedLength: storedLength)
    }
}

/// Fills new packs. Belongs to one thread.
final class PackFiller {
    private let repository: Repository
    /// The batch in which new packs wait for `finish`; nil to store nothing.
    private let batch: (any StagedBatch)?
    private var builders: [ObjectKind: PackBuilder] = [:]
    /// The new packs.
    private(set) var packs: [IndexedPack] = []
    /// The new location of each blob, sorted by id after `finish`.
    private(set) var copies: [CopiedBlob] = []
    /// The total size of the new packs.
    private(set) var writtenBytes: UInt64 = 0

    /// Makes a filler, which stores nothing if `isDryRun` is true.
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

    /// Makes all new packs durable and visible.
    func finish() throws {
        for kind in builders.keys.sorted(by: { $0.rawValue < $1.rawValue }) { try close(kind) }
        if !packs.isEmpty { try batch?.publish() }
        copies.sort { $0.id < $1.id }
    }
}
