// The byte layout of a pack: `header | blob* | footer table | tail`.
//
//   blob header, 48 bytes, then the stored bytes      footer entry, 40 bytes a blob
//    0   4  magic "blob"                               0  16  id
//    4   1  codec                                     16   4  offset of the blob header in the pack
//    5   3  zero                                      20   4  raw length
//    8   4  raw length                                24   4  stored length
//   12   4  stored length                             28   1  codec
//   16  16  id                                        29   3  zero
//   32   8  stored checksum                           32   8  stored checksum
//   40   8  XXH3-64 of bytes 0 to 39
//
//   tail, 48 bytes
//    0   4  magic "tail"
//    4   4  number of blobs
//    8   8  offset of the footer table
//   16  16  zero
//   32  16  XXH3-128 of the object header, the footer table and bytes 0 to 31 of the tail
//
// The stored checksum is the XXH3-64 of the stored bytes, or 0 for a raw blob, because its id is a hash of the same
// bytes. SealedPackLayout describes a sealed pack.
//
// Blobs lie without gaps from byte 64 to the footer table. Each blob has a header of its own, so that a repair can
// rebuild the index from packs alone, and a scanner finds the next blob after damage.

import BakCodec
import BakCore

/// A blob's location in its pack, and its properties.
public struct BlobRecord: Equatable, Sendable {
    /// The keyed hash of the blob's content.
    public var id: ID128
    /// The offset of the blob's header in the pack, in bytes.
    public var offset: UInt32
    /// The length before compression, in bytes.
    public var rawLength: UInt32
    /// The length in the pack without the header, in bytes.
    public var storedLength: UInt32
    /// How the blob is compressed.
    public var codec: Codec
    /// The XXH3-64 of the stored bytes; 0 for a raw blob.
    public var storedChecksum: UInt64

    /// Makes a record.
    public init(
        id: ID128, offset: UInt32, rawLength: UInt32, storedLength: UInt32, codec: Codec,
        storedChecksum: UInt64
    ) {
        self.id = id
        self.offset = offset
        self.rawLength = rawLength
        self.storedLength = storedLength
        self.codec = codec
        self.storedChecksum = storedChecksum
    }

    /// The offset in the pack at which the blob ends.
    public var endOffset: Int { Int(offset) + PackLayout.blobHeaderBytes + Int(storedLength) }

    func validate(_ reader: ByteReader) throws(CorruptionError) {
        guard rawLength <= FormatLimits.blobBytes, rawLength > 0 else {
            throw reader.corruption("a blob of \(rawLength) bytes")
        }
        guard storedLength <= rawLength, codec != .raw || storedLength == rawLength else {
            throw reader.corruption("a blob of \(rawLength) bytes stored as \(storedLength)")
        }
        guard codec != .raw || storedChecksum == 0 else {
            throw reader.corruption("a raw blob with a checksum of its own")
        }
    }
}

/// Encodes and decodes the parts of a pack.
public enum PackLayout {
    /// The length of a blob's header.
    public static let blobHeaderBytes = 48
    /// The length of a blob's row in the footer table.
    public static let footerEntryBytes = 40
    /// The length of a pack's tail.
    public static let tailBytes = 48
    /// The fewest bytes that a pack can have.
    public static let minimumBytes = ObjectHeader.byteCount + tailBytes
    static let blobMagic: UInt32 = 0x626f_6c62  // "blob"
    static let tailMagic: UInt32 = 0x6c69_6174  // "tail"

    /// Returns the checksum to store for a blob: 0 for a raw blob, whose id is a hash of the same bytes.
    @inlinable
    public static func storedChecksum(_ stored: UnsafeRawBufferPointer, codec: Codec) -> UInt64 {
        codec == .raw ? 0 : Checksum.xxh3_64(stored)
    }

    /// Writes the 48 bytes of a blob's header to `pointer`.
    public static func storeBlobHeader(_ blob: BlobRecord, to pointer: UnsafeMutableRawPointer) {
        storeBlobFields(blob, to: pointer)
        pointer.storeBytes(of: blob.storedChecksum.littleEndian, toByteOffset: 32, as: UInt64.self)
        let check = Checksum.xxh3_64(UnsafeRawBufferPointer(start: pointer, count: 40))
        pointer.storeBytes(of: check.littleEndian, toByteOffset: 40, as: UInt64.self)
    }

    /// Reads a blob's header that begins at `offset` of the pack.
    ///
    /// - Throws: `CorruptionError` if no whole blob header is there.
    public static func blobHeader(
        _ bytes: UnsafeRawBufferPointer, pack: String, offset: UInt32
    ) throws(CorruptionError) -> BlobRecord {
        var reader = ByteReader(bytes, object: pack, baseOffset: Int(offset))
        let start = reader
        let header = try reader.take(blobHeaderBytes)
        let checked = UnsafeRawBufferPointer(rebasing: header[..<40])
        var fields = ByteReader(header, object: pack, baseOffset: Int(offset))
        guard try fields.integer(UInt32.self) == blobMagic else {
            throw start.corruption("no blob begins here")
        }
        guard
            Checksum.xxh3_64(checked)
                == header.loadUnaligned(fromByteOffset: 40, as: UInt64.self).littleEndian
        else { throw start.corruption("a blob's header does not match its checksum") }
        var blob = try blobFields(&fields, offset: offset)
        blob.storedChecksum = try fields.integer(UInt64.self)
        try blob.validate(start)
        return blob
    }

    /// Reads the fields of a blob's header after the magic number, up to and including the id.
    static func blobFields(_ fields: inout ByteReader, offset: UInt32) throws(CorruptionError) -> BlobRecord {
        let codec = try codec(&fields)
        let rawLength = try fields.integer(UInt32.self)
        let storedLength = try fields.integer(UInt32.self)
        return BlobRecord(
            id: try fields.id(), offset: offset, rawLength: rawLength, storedLength: storedLength,
            codec: codec, storedChecksum: 0)
    }

    /// Writes the first 32 bytes of a blob's header to `pointer`: all but the checksums.
    static func storeBlobFields(_ blob: BlobRecord, to pointer: UnsafeMutableRawPointer) {
        pointer.storeBytes(of: blobMagic.littleEndian, as: UInt32.self)
        pointer.storeBytes(of: UInt32(blob.codec.rawValue).littleEndian, toByteOffset: 4, as: UInt32.self)
        pointer.storeBytes(of: blob.rawLength.littleEndian, toByteOffset: 8, as: UInt32.self)
        pointer.storeBytes(of: blob.storedLength.littleEndian, toByteOffset: 12, as: UInt32.self)
        blob.id.store(to: pointer + 16)
    }

    /// Returns the footer table and tail of a pack whose header and blobs fill the first `footerOffset` bytes.
    public static func encodeEnd(header: ObjectHeader, blobs: [BlobRecord], footerOffset: Int) -> [UInt8] {
        var end = ByteWriter(reservingCapacity: blobs.count * footerEntryBytes + tailBytes)
        write(blobs, to: &end)
        end.integer(tailMagic)
        end.integer(UInt32(blobs.count))
        end.integer(UInt64(footerOffset))
        end.zeros(16)
        withUnsafeTemporaryAllocation(byteCount: ObjectHeader.byteCount, alignment: 8) { headerBytes in
            header.store(to: headerBytes.baseAddress!)
            let checksum = end.bytes.withUnsafeBytes { endChecksum(UnsafeRawBufferPointer(headerBytes), $0) }
            end.id(checksum)
        }
        return end.bytes
    }

    static func write(_ blobs: [BlobRecord], to footer: inout ByteWriter) {
        for blob in blobs {
            footer.id(blob.id)
            footer.integer(blob.offset)
            footer.integer(blob.rawLength)
            footer.integer(blob.storedLength)
            footer.integer(UInt32(blob.codec.rawValue))
            footer.integer(blob.storedChecksum)
        }
    }

    static func endChecksum(_ header: UnsafeRawBufferPointer, _ end: UnsafeRawBufferPointer) -> ID128 {
        var stream = ChecksumStream()
        stream.update(header)
        stream.update(end)
        return stream.finish()
    }

    /// Reads a pack's tail. Returns the offset of the footer table and the number of blobs. `tail` is the last 48 bytes
    /// of the pack. `header` is its first 64 bytes; if the tail is not valid, they may show that the pack has a later
    /// format.
    ///
    /// - Throws: `CorruptionError` if the tail is damaged or needs a newer program.
    public static func footerOffset(
        header: UnsafeRawBufferPointer, tail: UnsafeRawBufferPointer, pack: String, packBytes: Int
    ) throws(CorruptionError) -> (offset: Int, count: Int) {
        do {
            return try footerOffset(tail: tail, pack: pack, packBytes: packBytes)
        } catch {
            try ObjectHeader.refuseNewer(header, object: pack) { _ in false }
            throw error
        }
    }

    private static func footerOffset(
        tail: UnsafeRawBufferPointer, pack: String, packBytes: Int
    ) throws(CorruptionError) -> (offset: Int, count: Int) {
        var reader = ByteReader(tail, object: pack, baseOffset: packBytes - tailBytes)
        let start = reader
        guard try reader.integer(UInt32.self) == tailMagic else {
            throw start.corruption("it does not end as a pack does")
        }
        let count = Int(try reader.integer(UInt32.self))
        let offset = try reader.integer(UInt64.self)
        guard packBytes <= FormatLimits.packBytes, count <= FormatLimits.packBlobs,
            offset >= ObjectHeader.byteCount,
            offset == packBytes - tailBytes - count * footerEntryBytes
        else { throw start.corruption("a footer table of \(count) blobs at byte \(offset) of \(packBytes)") }
        return (Int(offset), count)
    }

    /// Reads and checks the footer table. `header` is the pack's first 64 bytes, and `end` is the rest of the pack from
    /// `footerOffset` on.
    ///
    /// - Throws: `CorruptionError` if the header, table or tail is damaged, or if they contradict each other.
    public static func footer(
        header: UnsafeRawBufferPointer, end: UnsafeRawBufferPointer, footerOffset: Int, pack: String,
        id: ID128
    ) throws(CorruptionError) -> (kind: ObjectKind, blobs: [BlobRecord]) {
        var reader = ByteReader(end, object: pack, baseOffset: footerOffset)
        let start = reader
        guard end.count >= tailBytes, (end.count - tailBytes) % footerEntryBytes == 0 else {
            throw start.corruption("a footer table of \(end.count) bytes with its tail")
        }
        let checked = UnsafeRawBufferPointer(rebasing: end[..<(end.count - 16)])
        let checksum = ID128(loading: end.baseAddress! + checked.count)
        try ObjectHeader.refuseNewer(header, object: pack) { endChecksum($0, checked) == checksum }
        guard endChecksum(header, checked) == checksum else {
            throw start.corruption("its footer table does not match its checksum")
        }
        var headerReader = ByteReader(header, object: pack)
        let kind = try ObjectHeader(&headerReader, expecting: [.chunkPack, .manifestPack], id: id).kind
        let count = (end.count - tailBytes) / footerEntryBytes
        let (blobs, blobsEnd) = try rows(&reader, count: count, footerOffset: footerOffset)
        guard blobsEnd == footerOffset else {
            throw start.corruption(
                "blobs end at byte \(blobsEnd), the footer table begins at \(footerOffset)")
        }
        guard try reader.integer(UInt32.self) == tailMagic, try reader.integer(UInt32.self) == count,
            try reader.integer(UInt64.self) == footerOffset, try reader.take(16).allSatisfy({ $0 == 0 })
        else { throw start.corruption("the tail does not fit its footer table") }
        return (kind, blobs)
    }

    /// Reads the rows of a footer table. Returns the blobs and the end of the last one.
    static func rows(
        _ reader: inout ByteReader, count: Int, footerOffset: Int
    ) throws(CorruptionError) -> (blobs: [BlobRecord], end: Int) {
        var blobs: [BlobRecord] = []
        blobs.reserveCapacity(count)
        var expectedOffset = ObjectHeader.byteCount
        for _ in 0..<count {
            let row = reader
            let id = try reader.id()
            let offset = try reader.integer(UInt32.self)
            let rawLength = try reader.integer(UInt32.self)
            let storedLength = try reader.integer(UInt32.self)
            let codec = try codec(&reader)
            let blob = BlobRecord(
                id: id, offset: offset, rawLength: rawLength, storedLength: storedLength, codec: codec,
                storedChecksum: try reader.integer(UInt64.self))
            try blob.validate(row)
            guard blob.offset == expectedOffset, blob.endOffset <= footerOffset else {
                throw row.corruption("a blob at byte \(offset) where one at \(expectedOffset) was expected")
            }
            expectedOffset = blob.endOffset
            blobs.append(blob)
        }
        return (blobs, expectedOffset)
    }

    private static func codec(_ reader: inout ByteReader) throws(CorruptionError) -> Codec {
        let start = reader
        let value = try reader.integer(UInt32.self)
        guard value <= 255, let codec = Codec(rawValue: UInt8(value)) else {
            throw start.corruption("unknown codec \(value)")
        }
        return codec
    }
}
