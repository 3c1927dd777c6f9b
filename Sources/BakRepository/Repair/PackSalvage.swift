// PackSalvage: what is still whole in a damaged pack. A blob is whole when its bytes give its id, wherever what
// describes it was found: in the footer, in the index, or before the blob itself.

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
    /// Packs are searched in windows of so many bytes; the longest blob fits.
    private static let windowBytes = 2 * FormatLimits.blobBytes
    /// What the medium refuses to give is left out in pieces of so many bytes.
    private static let pieceBytes = 64 << 10

    init(_ repository: Repository) {
        self.repository = repository
        reader = BlobReader(repository)
    }

    /// The pack's own list of what it holds; nil when it cannot be relied upon.
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

    /// The blob that the index has at a place, as it is compressed; nil when it is not whole. `row` is what the
    /// footer says of it. Valid until the next call.
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
            // What describes the blob may be damaged, and not the blob; unless both are sealed as one.
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

    /// Searches a pack for whole blobs, where nothing says what it holds. They do not overlap, and are in order.
    func search(_ pack: ID128, size: Int) throws -> (kind: ObjectKind, blobs: [BlobRecord])? {
        var blobs: [BlobRecord] = []
        var kind: ObjectKind?
        var offset = ObjectHeader.byteCount
        let size = min(size, FormatLimits.packBytes)
        let seals = try seals(of: pack)
        while offset + PackLayout.blobHeaderBytes < size {
            let bytes = try load(pack, offset..<min(size, offset + Self.windowBytes))
            let isLast = offset + bytes.count == size
            // A blob that begins in the first half of a window ends in it.
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

    /// The blob whose header `bytes` begin with; nil when it is not whole. The first one tells the pack's kind.
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
            // No header of a blob: none begins here.
            return nil
        }
    }

    /// The seals that a pack's blobs may have; none in a plain repository.
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

    /// The sealed blob that `bytes` begin with; nil when there is none.
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

    /// Where a sealed blob may begin. Nothing looks like one until it is opened, but what is sealed has no 32 zeros.
    private static func nextSealed(in bytes: UnsafeRawBufferPointer, from start: Int, upTo end: Int) -> Int? {
        let position = max(start, nextByte(in: bytes, from: start) - 31)
        return position < end ? position : nil
    }

    /// Where the next byte is that is not zero: holes are passed over as fast as they are read.
    private static func nextByte(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var position = start
        while position + 8 <= bytes.count,
            bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) == 0
        { position += 8 }
        while position < bytes.count, bytes[position] == 0 { position += 1 }
        return position
    }

    /// A range of a pack, with zeros for what the medium does not give.
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
