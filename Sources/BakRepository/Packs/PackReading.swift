// PackReading: reads ranges and footers of packs. A footer is the table of blobs at a pack's end. A failure that
// concerns one pack only, such as a bad sector, becomes a `CorruptionError`. Any other failure concerns the whole store
// and stays a `StoreError`.

import BakCodec
import BakCore
import BakFormat
import BakStorage

extension StoreError {
    /// Returns a `CorruptionError` for this object if the medium has lost the object's bytes or the user may not read
    /// it. The caller can then go on to other objects, which may well be readable. Returns nil for any other failure.
    func unreadable(_ key: ObjectKey, at offset: Int) -> (any Error)? {
        kind == .lostData || kind == .denied
            ? CorruptionError.unreadable(
                object: key.description, offset: offset, reason: message, isRefused: kind == .denied) : nil
    }
}

extension Repository {
    /// Fills `buffer` with a range of a pack. Throws `CorruptionError` if the pack is missing or ends before the range
    /// does, or if the medium cannot read the range.
    func readPack(_ pack: ID128, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        let key = ObjectNames.pack(pack)
        func damage(_ offset: Int, _ reason: String) -> CorruptionError {
            CorruptionError(object: key.description, offset: offset, reason: reason)
        }
        do {
            try store.read(key, at: range.lowerBound, into: buffer)
        } catch {
            switch error.kind {
            case .notFound: throw CorruptionError.missing(object: key.description, "the pack is missing")
            case .shortRead(let size):
                throw damage(size, "the pack ends here, before byte \(range.upperBound)")
            default:
                throw error.unreadable(key, at: range.lowerBound) ?? error
            }
        }
    }

    /// Reads and verifies a pack's footer table.
    ///
    /// - Throws: `CorruptionError` if the pack is damaged, and `StoreError`.
    public func packFooter(_ pack: ID128) throws -> (kind: ObjectKind, blobs: [BlobRecord]) {
        try packFooter(pack, size: try store.size(of: ObjectNames.pack(pack))) { range in
            try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
                try readPack(pack, range, into: UnsafeMutableRawBufferPointer(buffer))
                count = range.count
            }
        }
    }

    /// Reads and verifies a pack's footer table. `read` returns the bytes in a range of the pack.
    func packFooter(
        _ pack: ID128, size: Int, read: (Range<Int>) throws -> [UInt8]
    ) throws -> (kind: ObjectKind, blobs: [BlobRecord]) {
        let name = ObjectNames.pack(pack).description
        let isSealed = isEncrypted
        let least = isSealed ? SealedPackLayout.minimumBytes : PackLayout.minimumBytes
        guard size >= least, size <= FormatLimits.packBytes else {
            throw CorruptionError(object: name, offset: size, reason: "a pack of \(size) bytes")
        }
        let header = try read(0..<ObjectHeader.byteCount)
        if isSealed {
            let end = try sealedPackEnd(pack, size: size, header: header, read: read)
            let opened = try sealedBlobs(of: end, pack, read: read)
            return (end.header.kind, opened.blobs)
        }
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

    /// Reads and checks the end of a sealed pack. This needs no key.
    func sealedPackEnd(
        _ pack: ID128, size: Int, header: [UInt8], read: (Range<Int>) throws -> [UInt8]
    ) throws -> SealedPackEnd {
        let end = try read((size - SealedPackLayout.endBytes(packBytes: size))..<size)
        return try header.withUnsafeBytes { header in
            try end.withUnsafeBytes { end in
                try SealedPackEnd(
                    header: header, end: end, pack: ObjectNames.pack(pack).description, packBytes: size,
                    id: pack)
            }
        }
    }

    /// Opens the footer of a sealed pack. Returns its blobs, and the range between the blobs and the footer.
    func sealedBlobs(
        of end: SealedPackEnd, _ pack: ID128, read: (Range<Int>) throws -> [UInt8]
    ) throws -> (blobs: [BlobRecord], padding: Range<Int>) {
        guard end.header.seal == context.sealer.method, let seal = context.sealer.seal(of: end.header) else {
            throw CorruptionError(
                object: ObjectNames.pack(pack).description, offset: 9,
                reason: "its seal does not match its repository")
        }
        let (range, count) = try end.footer(seal)
        let (blobs, blobsEnd) = try read(range).withUnsafeBytes {
            try end.blobs($0, at: range.lowerBound, count: count, seal: seal)
        }
        return (blobs, blobsEnd..<range.lowerBound)
    }

    /// Returns the seal of a pack's blobs; nil in a plain repository. The salt comes from the pack's header, or from
    /// its copy at the pack's end if the header cannot be read.
    func packSeal(_ pack: ID128, kind: ObjectKind) throws -> ObjectSeal? {
        let method = context.sealer.method
        guard method != .none else { return nil }
        var salt = packSalts.salt(of: pack)
        if salt == nil {
            do {
                salt = try readPack(pack, at: ObjectHeader.saltOffset, count: method.saltBytes)
                packSalts.note(salt!, of: pack)
            } catch let error as CorruptionError {
                guard let seal = try? packSealFromEnd(pack, kind: kind) else { throw error }
                return seal
            }
        }
        return context.sealer.seal(of: ObjectHeader(kind: kind, id: pack, seal: method, salt: salt!))
    }

    /// Returns the seal that results from the copy of the salt at the pack's end. It serves if the pack's header is
    /// damaged.
    func packSealFromEnd(_ pack: ID128, kind: ObjectKind) throws -> ObjectSeal? {
        let method = context.sealer.method
        let size = try store.size(of: ObjectNames.pack(pack))
        guard method != .none, size >= SealedPackLayout.minimumBytes else { return nil }
        let offset = size - PackLayout.tailBytes - method.saltBytes
        let salt = try readPack(pack, at: offset, count: method.saltBytes)
        return context.sealer.seal(of: ObjectHeader(kind: kind, id: pack, seal: method, salt: salt))
    }

    private func readPack(_ pack: ID128, at offset: Int, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try bytes.withUnsafeMutableBytes { try readPack(pack, offset..<offset + count, into: $0) }
        return bytes
    }

    /// Reads the record of a registered session.
    ///
    /// - Throws: `CorruptionError` if the record is damaged, and `StoreError`, whose kind is `.notFound` if there is no
    ///   record.
    public func sessionRecord(_ session: ID128) throws -> SessionRecord {
        let key = ObjectNames.session(session)
        let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
        return try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try SessionRecord(decoding: bytes, object: key.description, id: session, context: context)
        }
    }
}

/// The salts of packs that have been read. Thanks to them, a pack's header is read once and not again for each blob.
final class PackSalts: @unchecked Sendable {
    private let monitor = Monitor()
    private var salts: [ID128: [UInt8]] = [:]
    private static let most = 1 << 16

    func salt(of pack: ID128) -> [UInt8]? { monitor.locked { salts[pack] } }

    func note(_ salt: [UInt8], of pack: ID128) {
        monitor.locked {
            if salts.count >= Self.most { salts.removeAll(keepingCapacity: true) }
            salts[pack] = salt
        }
    }
}
