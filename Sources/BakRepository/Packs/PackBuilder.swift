// PackBuilder: builds a whole pack in memory, from header to tail, so that one call can store it. The builder uses its
// buffer for one pack after another, and enlarges the buffer when a pack needs it. In an encrypted repository, the
// builder seals each blob and the table of blobs, that is, encrypts and authenticates them.

import BakCodec
import BakCore
import BakFormat

/// A pack that is being filled. Only one thread may use it at a time.
final class PackBuilder {
    private let kind: ObjectKind
    private let sealer: Sealer
    private let targetBytes: Int
    /// The most memory that a builder takes at first. A pack of the usual size fits, so its buffer is never copied to
    /// enlarge it. A repository may be configured for packs of a gigabyte. Most backups do not fill such a pack, so the
    /// builder does not take all of its memory at once.
    private static let firstBytes = 32 << 20
    /// Space for the end of a pack, in addition to its target size.
    private static let endBytes = 64 << 10
    private var header: ObjectHeader
    /// Nil in a plain repository.
    private var seal: ObjectSeal?
    private var buffer: UnsafeMutableRawBufferPointer
    private var used = 0
    private var blobs: [BlobRecord] = []

    /// Makes a builder of packs that close at about `targetBytes`.
    init(kind: ObjectKind, targetBytes: Int, sealer: Sealer) {
        self.kind = kind
        self.sealer = sealer
        self.targetBytes = targetBytes
        header = sealer.newHeader(kind: kind, id: .zero)
        buffer = Memory.block(min(targetBytes + Self.endBytes, Self.firstBytes), alignment: 4096)
    }

    deinit { Memory.release(buffer) }

    /// True if no blob has been appended since the last `reset`.
    var isEmpty: Bool { blobs.isEmpty }

    /// True if another blob of `storedBytes` belongs in the next pack, because this pack would then exceed `bytes` or
    /// the number of blobs that a reader accepts.
    func isFull(for storedBytes: Int, of bytes: Int) -> Bool {
        !isEmpty && (blobs.count == FormatLimits.packBlobs || byteCount(adding: storedBytes) > bytes)
    }

    /// The pack's length in bytes if it were closed now. A sealed pack is somewhat longer.
    private var byteCount: Int { used + blobs.count * PackLayout.footerEntryBytes + PackLayout.tailBytes }

    /// The pack's length after another blob of `storedBytes`.
    private func byteCount(adding storedBytes: Int) -> Int {
        byteCount + PackLayout.blobHeaderBytes + storedBytes + PackLayout.footerEntryBytes
    }

    /// Starts an empty pack with the given id.
    func reset(id: ID128) {
        blobs.removeAll(keepingCapacity: true)
        // A blob is sealed under its offset, and the same offsets occur in every pack. So each pack needs a key of its
        // own.
        header = sealer.newHeader(kind: kind, id: id)
        seal = sealer.seal(of: header)
        header.store(to: buffer.baseAddress!)
        used = ObjectHeader.byteCount
    }

    /// Appends a blob. The buffer grows if a single blob is larger than the target size of a pack.
    func append(id: ID128, rawLength: Int, compressed: Compressed) {
        let stored = compressed.stored
        reserve(byteCount(adding: stored.count))
        let place = buffer.baseAddress! + used
        var blob = BlobRecord(
            id: id, offset: UInt32(used), rawLength: UInt32(rawLength), storedLength: UInt32(stored.count),
            codec: compressed.codec, storedChecksum: 0)
        if let seal {
            SealedPackLayout.storeBlob(blob, stored: stored, seal: seal, to: place)
        } else {
            blob.storedChecksum = PackLayout.storedChecksum(stored, codec: compressed.codec)
            PackLayout.storeBlobHeader(blob, to: place)
            (place + PackLayout.blobHeaderBytes).copyMemory(
                from: stored.baseAddress!, byteCount: stored.count)
        }
        used += PackLayout.blobHeaderBytes + stored.count
        blobs.append(blob)
    }

    /// Writes the footer table and the tail, and returns the whole pack. The bytes are valid until `reset`. Call it
    /// once for each pack.
    func finish() -> (pack: IndexedPack, blobs: [BlobRecord], bytes: UnsafeRawBufferPointer) {
        let size: Int
        if let seal {
            size = SealedPackLayout.packBytes(blobsEnd: used, blobCount: blobs.count)
            reserve(size)
            SealedPackLayout.finish(
                UnsafeMutableRawBufferPointer(rebasing: buffer[..<size]), header: header, blobs: blobs,
                blobsEnd: used, seal: seal)
        } else {
            let end = PackLayout.encodeEnd(header: header, blobs: blobs, footerOffset: used)
            size = used + end.count
            reserve(size)
            end.withUnsafeBytes {
                (buffer.baseAddress! + used).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
            }
        }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<size])
        return (IndexedPack(id: header.id, size: UInt64(size), kind: kind), blobs, bytes)
    }

    private func reserve(_ count: Int) {
        guard count > buffer.count else { return }
        let wanted =
            buffer.count < targetBytes
            ? min(buffer.count * 2, targetBytes + Self.endBytes) : buffer.count * 5 / 4
        let larger = Memory.block(max(count, wanted), alignment: 4096)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<used]))
        Memory.release(buffer)
        buffer = larger
    }
}
