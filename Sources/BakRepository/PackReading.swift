// PackReading: ranges and footers of packs, with the medium's answers told apart from damage.

import BakCore
import BakFormat
import BakStorage

extension StoreError {
    /// The same as an error of that object alone, when the medium has lost its bytes and may well have others.
    func unreadable(_ key: ObjectKey, at offset: Int) -> (any Error)? {
        isLostData
            ? CorruptionError.unreadable(object: key.description, offset: offset, reason: message) : nil
    }
}

extension Repository {
    /// Fills `buffer` with a range of a pack. Bytes that are not there, or that the medium cannot give, are
    /// damage of the pack.
    func readPack(_ pack: ID128, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        let key = Layout.pack(pack)
        func damage(_ offset: Int, _ reason: String) -> CorruptionError {
            CorruptionError(object: key.description, offset: offset, reason: reason)
        }
        do {
            try store.read(key, at: range.lowerBound, into: buffer)
        } catch {
            switch error.kind {
            case .notFound: throw damage(0, "the pack is missing")
            case .shortRead(let size):
                throw damage(size, "the pack ends here, before byte \(range.upperBound)")
            default:
                throw error.unreadable(key, at: range.lowerBound) ?? error
            }
        }
    }

    /// Reads and verifies a pack's footer table.
    public func packFooter(_ pack: ID128) throws -> (kind: ObjectKind, blobs: [BlobRecord]) {
        try packFooter(pack, size: try store.size(of: Layout.pack(pack))) { range in
            try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
                try readPack(pack, range, into: UnsafeMutableRawBufferPointer(buffer))
                count = range.count
            }
        }
    }

    /// Verifies a pack's footer table, whose bytes `read` gives.
    func packFooter(
        _ pack: ID128, size: Int, read: (Range<Int>) throws -> [UInt8]
    ) throws -> (kind: ObjectKind, blobs: [BlobRecord]) {
        let name = Layout.pack(pack).description
        guard size >= PackLayout.minimumBytes, size <= FormatLimits.packBytes else {
            throw CorruptionError(object: name, offset: size, reason: "a pack of \(size) bytes")
        }
        let header = try read(0..<ObjectHeader.byteCount)
        let tail = try read((size - PackLayout.tailBytes)..<size)
        let footerOffset = try header.withUnsafeBytes { header in
            try tail.withUnsafeBytes { tail in
                try PackLayout.footerOffset(header: header, tail: tail, pack: name, packBytes: size).offset
            }
        }
        let end = try read(footerOffset..<size)
        return try header.withUnsafeBytes { header in
            try end.withUnsafeBytes { end in
                try PackLayout.footer(
                    header: header, end: end, footerOffset: footerOffset, pack: name, id: pack)
            }
        }
    }

    /// Reads the record of a begun session.
    public func sessionRecord(_ session: ID128) throws -> SessionRecord {
        let key = Layout.session(session)
        let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
        return try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try SessionRecord(decoding: bytes, object: key.description, id: session, context: context)
        }
    }
}
