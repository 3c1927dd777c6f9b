// PackSalvage: finds the blobs that are still whole in a damaged pack. A blob is whole if the hash of its content is
// its id. The salvage learns a blob's place, length and codec from the header before the blob, from the index, or from
// the table of blobs in the pack's footer.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Finds whole blobs in packs. For one thread.
final class PackSalvage {
    private let repository: Repository
    private let reader: BlobReader
    private let window = ScratchBuffer()
    private let opened = ScratchBuffer()
    /// The number of bytes that are searched at once. The longest blob fits twice.
    private static let windowBytes = 2 * FormatLimits.blobBytes
    /// If the medium cannot read a window, the salvage reads it in pieces of this size and leaves out the unreadable
    /// pieces.
    private static let pieceBytes = 64 << 10

    init(_ repository: Repository) {
        self.repository = repository
        reader = BlobReader(repository)
    }

    /// Reads a pack's own list of its blobs; nil if the list is unreliable.
    func footer(of pack: ID128, size: Int) throws -> (kind: ObjectKind, blobs: [BlobRecord])? {
        do {
            return try repository.packFooter(pack, size: size) { range in
                try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
                    try repository.readPack(pack, range, into: UnsafeMutableRawBufferPointer(buffer))
                    count = range.count
                }
            }
        } catch let error as CorruptionError {
            if error.isWhole { throw error }
            return nil
        }
    }

    /// Returns the compressed bytes of the blob that `entry` describes; nil if the blob is not whole. `row` is the
    /// blob's row in the footer; nil if the footer cannot be read. The result is valid until the next call.
    func blob(_ entry: IndexEntry, _ row: BlobRecord?, of pack: IndexedPack, size: Int) throws -> Compressed?
    {
        let location = BlobLocation(pack: pack.id, offset: entry.offset, storedLength: entry.storedLength)
        guard location.endOffset <= size else { return nil }
        let start = Int(entry.offset)
        let reference = BlobReference(id: entry.id, length: entry.rawLength)
        let bytes: UnsafeRawBufferPointer
        do {
            bytes = try reader.readRange(of: pack.id, start..<location.endOffset)
            return try reader.verify(
                reference, at: location, kind: pack.kind, in: bytes, rangeOffset: start
            ).compressed
        } catch let error as CorruptionError {
            if error.isRefused { throw error }
            // Perhaps only the blob's header is damaged. In an encrypted repository one seal covers header and blob, so
            // the blob is lost then.
            if error.cause != .damage || repository.isEncrypted { return nil }
        }
        let stored = try reader.readRange(
            of: pack.id, (start + PackLayout.blobHeaderBytes)..<location.endOffset)
        for codec in row.map({ [$0.codec] }) ?? Codec.allCases {
            if codec == .raw, entry.rawLength != entry.storedLength { continue }
            let record = BlobRecord(
                id: entry.id, offset: entry.offset, rawLength: entry.rawLength,
                storedLength: entry.storedLength, codec: codec,
                storedChecksum: PackLayout.storedChecksum(stored, codec: codec))
            do throws(CorruptionError) {
                return try reader.verify(record, payload: stored, pack: pack.id, kind: pack.kind).compressed
            } catch { continue }
        }
        return nil
    }

    /// Searches a pack for whole blobs without any list of them. The result is in order and without overlaps.
    func search(_ pack: ID128, size: Int) throws -> (kind: ObjectKind, blobs: [BlobRecord])? {
        var blobs: [BlobRecord] = []
        var kind: ObjectKind?
        var offset = ObjectHeader.byteCount
        let size = min(size, FormatLimits.packBytes)
        let seals = try seals(of: pack)
        while offset + PackLayout.blobHeaderBytes < size {
            let bytes = try load(pack, offset..<min(size, offset + Self.windowBytes))
            let isLast = offset + bytes.count == size
            // A blob that begins in the first half of a window also ends in the window.
            let end = isLast ? bytes.count : bytes.count / 2
            var position = 0
            while position < end {
                guard
                    let found = seals.isEmpty
                        ? Self.nextHeader(in: bytes, from: position, upTo: end)
                        : Self.nextSealed(in: bytes, from: position, upTo: end)
                else {
                    position = end
                    break
                }
                position = found
                let place = UnsafeRawBufferPointer(rebasing: bytes[position...])
                let blob =
                    seals.isEmpty
                    ? whole(place, pack, offset + position, &kind)
                    : whole(place, pack, offset + position, &kind, seals)
                if let blob {
                    blobs.append(blob)
                    position = blob.endOffset - offset
                } else {
                    position += 1
                }
            }
            offset += position
        }
        return kind.map { ($0, blobs) }
    }

    /// Returns the blob whose header is at the start of `bytes`; nil if it is not whole. The first whole blob
    /// determines `kind`, the pack's kind.
    private func whole(
        _ bytes: UnsafeRawBufferPointer, _ pack: ID128, _ offset: Int, _ kind: inout ObjectKind?
    ) -> BlobRecord? {
        do throws(CorruptionError) {
            let blob = try PackLayout.blobHeader(
                bytes, pack: ObjectNames.pack(pack).description, offset: UInt32(offset))
            let end = PackLayout.blobHeaderBytes + Int(blob.storedLength)
            guard end <= bytes.count else { return nil }
            let stored = UnsafeRawBufferPointer(rebasing: bytes[PackLayout.blobHeaderBytes..<end])
            for candidate in kind.map({ [$0] }) ?? [.chunkPack, .manifestPack] {
                do throws(CorruptionError) {
                    _ = try reader.verify(blob, payload: stored, pack: pack, kind: candidate)
                    kind = candidate
                    return blob
                } catch { continue }
            }
            return nil
        } catch {
            // There is no blob header here, so no blob begins here.
            return nil
        }
    }

    /// Returns the seals that a pack's blobs may have; none if the repository is not encrypted.
    private func seals(of pack: ID128) throws -> [(kind: ObjectKind, seal: ObjectSeal)] {
        guard repository.isEncrypted else { return [] }
        var seals: [(ObjectKind, ObjectSeal)] = []
        for kind in [ObjectKind.chunkPack, .manifestPack] {
            for seal in [
                try? repository.packSeal(pack, kind: kind), try? repository.packSealFromEnd(pack, kind: kind),
            ] {
                if let seal { seals.append((kind, seal)) }
            }
        }
        return seals
    }

    /// Returns the sealed blob at the start of `bytes`; nil if there is none.
    private func whole(
        _ bytes: UnsafeRawBufferPointer, _ pack: ID128, _ offset: Int, _ kind: inout ObjectKind?,
        _ seals: [(kind: ObjectKind, seal: ObjectSeal)]
    ) -> BlobRecord? {
        for (candidate, seal) in seals where kind == nil || kind == candidate {
            guard
                let likely = SealedPackLayout.likelyBlob(bytes, seal: seal, offset: UInt32(offset)),
                PackLayout.blobHeaderBytes + Int(likely.storedLength) <= bytes.count
            else { continue }
            let sealed = UnsafeRawBufferPointer(
                rebasing: bytes[..<(PackLayout.blobHeaderBytes + Int(likely.storedLength))])
            do throws(CorruptionError) {
                let (blob, stored) = try SealedPackLayout.openBlob(
                    sealed, seal: seal, pack: ObjectNames.pack(pack).description, offset: UInt32(offset),
                    scratch: opened)
                _ = try reader.verify(blob, payload: stored, pack: pack, kind: candidate)
                kind = candidate
                return blob
            } catch { continue }
        }
        return nil
    }

    private static func nextHeader(in bytes: UnsafeRawBufferPointer, from start: Int, upTo end: Int) -> Int? {
        let magic: [UInt8] = Array("blob".utf8)
        var position = start
        while position < end, position + PackLayout.blobHeaderBytes <= bytes.count {
            if bytes[position] == 0 {
                position = nextByte(in: bytes, from: position)
                continue
            }
            if bytes[position] == magic[0], bytes[position + 1] == magic[1], bytes[position + 2] == magic[2],
                bytes[position + 3] == magic[3]
            {
                return position
            }
            position += 1
        }
        return nil
    }

    /// Returns the next position at which a sealed blob may begin. Only an attempt to open it shows whether a blob
    /// begins there. Runs of 32 zeros are skipped, because sealed bytes never contain one.
    private static func nextSealed(in bytes: UnsafeRawBufferPointer, from start: Int, upTo end: Int) -> Int? {
        let position = max(start, nextByte(in: bytes, from: start) - 31)
        return position < end ? position : nil
    }

    /// Returns the position of the next byte that is not zero. It skips eight zeros at a time, because a sparse file
    /// may have large holes.
    private static func nextByte(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var position = start
        while position + 8 <= bytes.count,
            bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) == 0
        { position += 8 }
        while position < bytes.count, bytes[position] == 0 { position += 1 }
        return position
    }

    /// Reads a range of a pack, with zeros for the pieces that the medium cannot read.
    private func load(_ pack: ID128, _ range: Range<Int>) throws -> UnsafeRawBufferPointer {
        let buffer = window.bytes(range.count)
        do {
            try repository.readPack(pack, range, into: buffer)
        } catch is CorruptionError {
            for start in stride(from: 0, to: range.count, by: Self.pieceBytes) {
                let end = min(start + Self.pieceBytes, range.count)
                let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<end])
                do {
                    try repository.readPack(
                        pack, (range.lowerBound + start)..<(range.lowerBound + end), into: piece)
                } catch is CorruptionError {
                    piece.initializeMemory(as: UInt8.self, repeating: 0)
                }
            }
        }
        return UnsafeRawBufferPointer(buffer)
    }
}
