// PackBuilder: a pack in memory, from its header to its tail, ready to be stored in one call. Its memory is
// allocated once and used for one pack after another.

import BakCodec
import BakCore
import BakFormat

/// A pack that is being filled. For one thread at a time.
final class PackBuilder {
    private let kind: ObjectKind
    private let sealer: Sealer
    private var seal: ObjectSeal
    private let scratch = ScratchBuffer()
    private var id = ID128.zero
    private var buffer: UnsafeMutableRawBufferPointer
    private var used = 0
    private var blobs: [BlobRecord] = []

    /// Makes a builder of packs that close at about `targetBytes`.
    init(kind: ObjectKind, targetBytes: Int, sealer: Sealer) {
        self.kind = kind
        self.sealer = sealer
        seal = sealer.object(kind: kind.rawValue, id: id, salt: [])
        buffer = .allocate(byteCount: targetBytes + (64 << 10), alignment: 4096)
    }

    deinit { buffer.deallocate() }

    private var header: ObjectHeader { ObjectHeader(kind: kind, id: id, seal: sealer.method) }

    /// Whether no blob has been appended since the last `reset`.
    var isEmpty: Bool { blobs.isEmpty }

    /// The pack's length if it were closed now, in bytes.
    var byteCount: Int { used + blobs.count * PackLayout.footerEntryBytes + PackLayout.tailBytes }

    /// The pack's length after a further blob of `storedBytes`.
    func byteCount(adding storedBytes: Int) -> Int {
        byteCount + PackLayout.blobHeaderBytes + storedBytes + PackLayout.footerEntryBytes
    }

    /// Starts an empty pack of the given name.
    func reset(id: ID128) {
        self.id = id
        blobs.removeAll(keepingCapacity: true)
        seal = sealer.object(kind: kind.rawValue, id: id, salt: [])
        header.store(to: buffer.baseAddress!)
        used = ObjectHeader.byteCount
    }

    /// Appends a blob. The buffer grows when a single blob is larger than a whole pack should be.
    func append(id: ID128, rawLength: Int, compressed: Compressed) {
        // A blob is sealed under its offset, which a reader of that one blob knows too.
        let stored = withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) {
            seal.seal(compressed.stored, entry: UInt64(used), authenticating: $0, scratch: scratch)
        }
        reserve(byteCount(adding: stored.count))
        let blob = BlobRecord(
            id: id, offset: UInt32(used), rawLength: UInt32(rawLength), storedLength: UInt32(stored.count),
            codec: compressed.codec,
            storedChecksum: PackLayout.storedChecksum(stored, codec: compressed.codec))
        PackLayout.storeBlobHeader(blob, to: buffer.baseAddress! + used)
        used += PackLayout.blobHeaderBytes
        (buffer.baseAddress! + used).copyMemory(from: stored.baseAddress!, byteCount: stored.count)
        used += stored.count
        blobs.append(blob)
    }

    /// Writes footer table and tail; the bytes are the whole pack, valid until `reset`.
    func finish() -> (pack: IndexedPack, blobs: [BlobRecord], bytes: UnsafeRawBufferPointer) {
        let end = PackLayout.encodeEnd(
            header: header, blobs: blobs, footerOffset: used)
        reserve(used + end.count)
        end.withUnsafeBytes {
            (buffer.baseAddress! + used).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
        }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<(used + end.count)])
        return (IndexedPack(id: id, size: UInt64(bytes.count), kind: kind), blobs, bytes)
    }

    private func reserve(_ count: Int) {
        guard count > buffer.count else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(count, buffer.count * 5 / 4), alignment: 4096)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<used]))
        buffer.deallocate()
        buffer = larger
    }
}
