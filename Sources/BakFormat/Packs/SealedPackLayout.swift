// The byte layout of a sealed pack: `header | sealed blob* | padding | sealed footer | block checksums | salt | tail`.
//
// A sealed string is ciphertext with its tag of 16 bytes. Its nonce is made from a number, the entry. Here, the entry
// of each sealed string is its offset in the pack.
//
//   sealed blob   one sealed string of the first 32 bytes of the plain blob header and the stored bytes. The header's
//                 last 16 bytes are left out, so with its tag a sealed blob is as long as a plain one
//   padding       random-looking bytes, so that the pack's length tells little about its content (Padmé)
//   sealed footer one sealed string of the plain footer table's rows
//   block checksums   8 bytes for each block of 1 MiB, the last one shorter: the XXH3-64 of the pack's bytes up to
//                 here. In a pack of P bytes there are ceil((P - 80) / (1 MiB + 8)) of them
//   salt, 32      a copy of the header's salt, in case the header is damaged
//   tail, 48      one sealed string of magic "tail" 4, number of blobs 4, offset of the footer 8. Then the XXH3-128 of
//                 the header, block checksums, salt and bytes 0 to 31 of the tail
//
// The checksums of stored bytes in the rows are 0, because the seal authenticates these bytes. Always holds: a reader
// without the key cannot tell where a blob begins or how many blobs there are, but it can verify every byte against a
// checksum.

import BakCodec
import BakCore

/// Encodes and decodes the parts of a sealed pack.
public enum SealedPackLayout {
    private static let blobFieldBytes = 32
    private static let tagBytes = 16
    /// The number of bytes that one block checksum covers.
    public static let blockBytes = 1 << 20
    private static let fixedEndBytes = 32 + PackLayout.tailBytes
    /// The fewest bytes that a sealed pack can have.
    public static let minimumBytes = ObjectHeader.byteCount + tagBytes + 8 + fixedEndBytes

    // MARK: Blobs

    /// Seals a blob and writes it to `pointer`: 48 bytes more than its stored bytes.
    public static func storeBlob(
        _ blob: BlobRecord, stored: UnsafeRawBufferPointer, seal: ObjectSeal,
        to pointer: UnsafeMutableRawPointer
    ) {
        withUnsafeTemporaryAllocation(byteCount: blobFieldBytes, alignment: 8) { fields in
            PackLayout.storeBlobFields(blob, to: fields.baseAddress!)
            seal.seal(UnsafeRawBufferPointer(fields), stored, entry: UInt64(blob.offset), into: pointer)
        }
    }

    /// Opens a sealed blob. `bytes` is exactly that blob, and `offset` is its offset in the pack. The returned stored
    /// bytes are memory of `scratch`.
    ///
    /// - Throws: `CorruptionError` if the blob does not open or has another length.
    public static func openBlob(
        _ bytes: UnsafeRawBufferPointer, seal: ObjectSeal, pack: String, offset: UInt32,
        scratch: ScratchBuffer
    ) throws(CorruptionError) -> (blob: BlobRecord, stored: UnsafeRawBufferPointer) {
        let length = bytes.count - PackLayout.blobHeaderBytes
        guard length > 0 else {
            throw CorruptionError(object: pack, offset: Int(offset), reason: "no blob begins here")
        }
        let opened = scratch.bytes(blobFieldBytes + length)
        do {
            try seal.open(bytes, entry: UInt64(offset), into: opened.baseAddress!)
        } catch {
            throw CorruptionError(object: pack, offset: Int(offset), reason: error.description)
        }
        let plain = UnsafeRawBufferPointer(opened)
        let blob = try fields(plain, pack: pack, offset: offset)
        guard blob.storedLength == length else {
            throw CorruptionError(
                object: pack, offset: Int(offset), reason: "a blob of \(blob.storedLength) bytes in \(length)"
            )
        }
        return (blob, UnsafeRawBufferPointer(rebasing: plain[blobFieldBytes...]))
    }

    private static func fields(
        _ bytes: UnsafeRawBufferPointer, pack: String, offset: UInt32
    ) throws(CorruptionError) -> BlobRecord {
        var reader = ByteReader(bytes, object: pack, baseOffset: Int(offset))
        let start = reader
        guard try reader.integer(UInt32.self) == PackLayout.blobMagic else {
            throw start.corruption("no blob begins here")
        }
        let blob = try PackLayout.blobFields(&reader, offset: offset)
        try blob.validate(start)
        return blob
    }

    /// Returns the record of the blob that seems to begin at `offset`; nil if none does. It serves to search a damaged
    /// pack for blobs. The record is not authenticated until the blob is opened.
    public static func likelyBlob(
        _ bytes: UnsafeRawBufferPointer, seal: ObjectSeal, offset: UInt32
    ) -> BlobRecord? {
        guard bytes.count > PackLayout.blobHeaderBytes else { return nil }
        return withUnsafeTemporaryAllocation(byteCount: blobFieldBytes, alignment: 8) { opened in
            seal.peek(
                UnsafeRawBufferPointer(rebasing: bytes[..<blobFieldBytes]), entry: UInt64(offset),
                into: opened.baseAddress!)
            guard opened.loadUnaligned(as: UInt32.self).littleEndian == PackLayout.blobMagic else {
                return nil
            }
            return try? fields(UnsafeRawBufferPointer(opened), pack: "", offset: offset)
        }
    }

    // MARK: The end

    /// Returns the number of blocks of a pack of `packBytes` bytes.
    public static func blockCount(packBytes: Int) -> Int {
        (packBytes - fixedEndBytes + blockBytes + 7) / (blockBytes + 8)
    }

    /// Returns the number of bytes that follow the footer in a pack of `packBytes` bytes.
    public static func endBytes(packBytes: Int) -> Int {
        fixedEndBytes + 8 * blockCount(packBytes: packBytes)
    }

    /// Returns the length of a pack whose blobs end at `blobsEnd`: the necessary length, rounded up by Padmé (Nikitin
    /// et al., "Reducing metadata leakage from encrypted files and communication with PURBs", 2019).
    public static func packBytes(blobsEnd: Int, blobCount: Int) -> Int {
        let needed = blobsEnd + blobCount * PackLayout.footerEntryBytes + tagBytes
        var size = padded(needed + fixedEndBytes + 8)
        while size - endBytes(packBytes: size) < needed { size = padded(size + 1) }
        return size
    }

    /// Rounds a length up so that only its first bits may be set. Let the highest bit have the position E, counted from
    /// 0, and let S be the number of binary digits of E. The result has only zeros after the highest bit and the S bits
    /// that follow it.
    static func padded(_ count: Int) -> Int {
        let exponent = Int.bitWidth - 1 - count.leadingZeroBitCount
        let significant = Int.bitWidth - exponent.leadingZeroBitCount
        let mask = (1 << (exponent - significant)) - 1
        return (count + mask) & ~mask
    }

    /// Writes everything that follows the blobs of a pack. `pack` is the whole pack, as long as `packBytes` returns,
    /// with its header and blobs already in place.
    public static func finish(
        _ pack: UnsafeMutableRawBufferPointer, header: ObjectHeader, blobs: [BlobRecord], blobsEnd: Int,
        seal: ObjectSeal
    ) {
        let start = pack.baseAddress!
        let checksumsOffset = pack.count - endBytes(packBytes: pack.count)
        var footer = ByteWriter(reservingCapacity: blobs.count * PackLayout.footerEntryBytes)
        PackLayout.write(blobs, to: &footer)
        let footerOffset = checksumsOffset - footer.count - tagBytes
        let padding = UnsafeMutableRawBufferPointer(rebasing: pack[blobsEnd..<footerOffset])
        padding.initializeMemory(as: UInt8.self, repeating: 0)
        seal.cover(padding, entry: UInt64(blobsEnd))
        footer.bytes.withUnsafeBytes {
            seal.seal($0, entry: UInt64(footerOffset), into: start + footerOffset)
        }
        let covered = UnsafeRawBufferPointer(rebasing: pack[..<checksumsOffset])
        var end = ByteWriter(reservingCapacity: pack.count - checksumsOffset)
        for block in 0..<blockCount(packBytes: pack.count) { end.integer(blockChecksum(block, covered)) }
        end.raw(header.salt)
        var tail = ByteWriter()
        tail.integer(PackLayout.tailMagic)
        tail.integer(UInt32(blobs.count))
        tail.integer(UInt64(footerOffset))
        let tailOffset = checksumsOffset + end.count
        (start + checksumsOffset).copyMemory(from: end.bytes, byteCount: end.count)
        tail.bytes.withUnsafeBytes { seal.seal($0, entry: UInt64(tailOffset), into: start + tailOffset) }
        let checked = UnsafeRawBufferPointer(rebasing: pack[checksumsOffset..<(pack.count - 16)])
        header.bytes.withUnsafeBytes { PackLayout.endChecksum($0, checked) }.store(
            to: start + pack.count - 16)
    }

    private static func blockChecksum(_ block: Int, _ covered: UnsafeRawBufferPointer) -> UInt64 {
        Checksum.xxh3_64(.init(rebasing: covered[blockRange(block, upTo: covered.count)]))
    }

    private static func blockRange(_ block: Int, upTo end: Int) -> Range<Int> {
        min(block * blockBytes, end)..<min((block + 1) * blockBytes, end)
    }
}

/// The end of a sealed pack, after all checks that need no key.
public struct SealedPackEnd {
    /// The pack's header.
    public let header: ObjectHeader
    private let pack: String
    private let packBytes: Int
    private let checksums: [UInt64]
    private let tail: [UInt8]

    /// Checks the end of a pack of `packBytes` bytes, which must be at least `SealedPackLayout.minimumBytes`. `header`
    /// is the pack's first 64 bytes. `end` is its last bytes, as many as `SealedPackLayout.endBytes` returns.
    ///
    /// - Throws: `CorruptionError` if the header or the end is damaged, if they contradict each other, or if the pack
    ///   needs a newer program.
    public init(
        header: UnsafeRawBufferPointer, end: UnsafeRawBufferPointer, pack: String, packBytes: Int, id: ID128
    ) throws(CorruptionError) {
        self.pack = pack
        self.packBytes = packBytes
        let count = SealedPackLayout.blockCount(packBytes: packBytes)
        precondition(end.count == SealedPackLayout.endBytes(packBytes: packBytes))
        var reader = ByteReader(end, object: pack, baseOffset: packBytes - end.count)
        let start = reader
        let checked = UnsafeRawBufferPointer(rebasing: end[..<(end.count - 16)])
        let checksum = ID128(loading: end.baseAddress! + checked.count)
        try ObjectHeader.refuseNewer(header, object: pack) {
            PackLayout.endChecksum($0, checked) == checksum
        }
        guard PackLayout.endChecksum(header, checked) == checksum else {
            throw start.corruption("its end and its header do not match their checksum")
        }
        var headerReader = ByteReader(header, object: pack)
        self.header = try ObjectHeader(&headerReader, expecting: [.chunkPack, .manifestPack], id: id)
        guard self.header.seal != .none else {
            throw CorruptionError(object: pack, offset: 9, reason: "its seal does not match its repository")
        }
        var checksums: [UInt64] = []
        for _ in 0..<count { checksums.append(try reader.integer(UInt64.self)) }
        self.checksums = checksums
        guard try reader.take(32).elementsEqual(self.header.salt) else {
            throw start.corruption("the salt at its end is another than in its header")
        }
        tail = Array(try reader.take(32))
    }

    /// The total length of the blocks, which is also the offset of the block checksums.
    public var coveredBytes: Int { packBytes - SealedPackLayout.endBytes(packBytes: packBytes) }

    /// Returns the blocks that overlap a range of the pack.
    public func blocks(in range: Range<Int>) -> Range<Int> {
        let blockBytes = SealedPackLayout.blockBytes
        let end = min(range.upperBound, coveredBytes)
        return range.lowerBound
            / blockBytes..<max(
                range.lowerBound / blockBytes, (end + blockBytes - 1) / blockBytes)
    }

    /// Returns the range of a block in the pack.
    public func range(ofBlock block: Int) -> Range<Int> {
        let blockBytes = SealedPackLayout.blockBytes
        return min(block * blockBytes, coveredBytes)..<min((block + 1) * blockBytes, coveredBytes)
    }

    /// Verifies a block's bytes against its checksum.
    ///
    /// - Throws: `CorruptionError` if they do not match.
    public func verify(_ bytes: UnsafeRawBufferPointer, block: Int) throws(CorruptionError) {
        guard Checksum.xxh3_64(bytes) == checksums[block] else {
            throw CorruptionError(
                object: pack, offset: range(ofBlock: block).lowerBound,
                reason: "\(bytes.count) bytes do not match their checksum")
        }
    }

    /// Opens the tail. Returns the range of the footer and the number of its blobs. This needs the key.
    ///
    /// - Throws: `CorruptionError` if the tail does not open or names an impossible footer.
    public func footer(_ seal: ObjectSeal) throws(CorruptionError) -> (range: Range<Int>, count: Int) {
        let offset = packBytes - PackLayout.tailBytes
        func damage(_ reason: String) -> CorruptionError {
            CorruptionError(object: pack, offset: offset, reason: reason)
        }
        var opened = [UInt8](repeating: 0, count: 16)
        let isOpen = tail.withUnsafeBytes { tail in
            opened.withUnsafeMutableBytes { opened in
                do throws(SealError) {
                    try seal.open(tail, entry: UInt64(offset), into: opened.baseAddress!)
                    return true
                } catch { return false }
            }
        }
        guard isOpen else { throw damage(SealError().description) }
        let (magic, count, footerOffset) = opened.withUnsafeBytes {
            (
                $0.loadUnaligned(as: UInt32.self).littleEndian,
                Int($0.loadUnaligned(fromByteOffset: 4, as: UInt32.self).littleEndian),
                $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self).littleEndian
            )
        }
        guard magic == PackLayout.tailMagic, count <= FormatLimits.packBlobs,
            footerOffset >= ObjectHeader.byteCount,
            footerOffset <= coveredBytes,
            Int(footerOffset) + count * PackLayout.footerEntryBytes + 16 == coveredBytes
        else { throw damage("a footer of \(count) blobs at byte \(footerOffset) of \(packBytes)") }
        return (Int(footerOffset)..<coveredBytes, count)
    }

    /// Opens and checks the footer, whose range and count `footer` returned. Returns the blobs and the offset at which
    /// the last one ends.
    ///
    /// - Throws: `CorruptionError` if the footer does not open or a row is damaged.
    public func blobs(
        _ footer: UnsafeRawBufferPointer, at offset: Int, count: Int, seal: ObjectSeal
    ) throws(CorruptionError) -> (blobs: [BlobRecord], end: Int) {
        let opened = Memory.block(footer.count)
        defer { Memory.release(opened) }
        do {
            try seal.open(footer, entry: UInt64(offset), into: opened.baseAddress!)
        } catch {
            throw CorruptionError(object: pack, offset: offset, reason: error.description)
        }
        let rows = UnsafeRawBufferPointer(rebasing: opened[..<(count * PackLayout.footerEntryBytes)])
        var reader = ByteReader(rows, object: pack, baseOffset: offset)
        return try PackLayout.rows(&reader, count: count, footerOffset: offset)
    }
}
