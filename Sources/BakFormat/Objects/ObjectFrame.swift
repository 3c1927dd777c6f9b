// The frame around every object of a repository.
//
//   offset  bytes  header
//        0      8  magic "bakstore"
//        8      1  kind
//        9      1  seal method
//       10      2  format version
//       12      4  zero
//       16     16  object id, the same as in the object's name, so that a swapped object is found
//       32     32  salt of the seal, zero when not sealed
//
// A pack ends with its own tail (PackLayout). Every other object is `header | body | checksum`, where the
// checksum is the XXH3-128 of all bytes before it. All integers are little-endian.

import BakCodec
import BakCore

/// The kind of an object. The raw values are stored.
public enum ObjectKind: UInt8, Sendable, CaseIterable {
    case config = 1
    case chunkPack = 2
    case manifestPack = 3
    case indexSegment = 4
    case commitRecord = 5
    case session = 6
    case tombstone = 7
    case collectionPlan = 8
    case collectionDecision = 9
    case forgetMarker = 10
    case keySlot = 11
    case vouch = 12

    /// The name of the kind in messages.
    public var noun: String {
        switch self {
        case .config: "configuration"
        case .chunkPack: "chunk pack"
        case .manifestPack: "manifest pack"
        case .indexSegment: "index segment"
        case .commitRecord: "commit record"
        case .session: "session record"
        case .tombstone: "tombstone"
        case .collectionPlan: "collection plan"
        case .collectionDecision: "collection decision"
        case .forgetMarker: "forget marker"
        case .keySlot: "key slot"
        case .vouch: "vouch"
        }
    }
}

/// The 64 bytes at the start of every object.
public struct ObjectHeader: Equatable, Sendable {
    /// The header's length in bytes.
    public static let byteCount = 64
    static let magic: UInt64 = 0x6572_6f74_736b_6162  // "bakstore"

    /// True if `bytes` begin with the magic number of every object.
    public static func isOurs(_ bytes: [UInt8]) -> Bool {
        bytes.starts(with: withUnsafeBytes(of: magic.littleEndian, Array.init))
    }

    /// The kind of the object.
    public var kind: ObjectKind
    /// The id, which the object's name also contains.
    public var id: ID128
    /// How the object's contents are sealed.
    public var seal: SealMethod
    /// The salt from which the object's key is derived; empty if the object is not sealed.
    public var salt: [UInt8]
    /// The offset of the salt in the header.
    public static let saltOffset = 32

    /// Makes a header.
    public init(kind: ObjectKind, id: ID128, seal: SealMethod = .none, salt: [UInt8] = []) {
        precondition(salt.count == seal.saltBytes)
        self.kind = kind
        self.id = id
        self.seal = seal
        self.salt = salt
    }

    /// Writes the header's 64 bytes.
    public func store(to pointer: UnsafeMutableRawPointer) {
        pointer.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
        pointer.storeBytes(of: Self.magic.littleEndian, as: UInt64.self)
        pointer.storeBytes(of: kind.rawValue, toByteOffset: 8, as: UInt8.self)
        pointer.storeBytes(of: seal.rawValue, toByteOffset: 9, as: UInt8.self)
        pointer.storeBytes(of: FormatLimits.version.littleEndian, toByteOffset: 10, as: UInt16.self)
        id.store(to: pointer + 16)
        (pointer + Self.saltOffset).copyMemory(from: salt, byteCount: salt.count)
    }

    /// The header's 64 bytes.
    var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
            store(to: buffer.baseAddress!)
            count = Self.byteCount
        }
    }

    /// Reads a header, and checks it against the kind and id that the object's name promises. A checksum must have
    /// verified the header's bytes before. If `id` is nil, any id is accepted.
    ///
    /// - Throws: `CorruptionError` if the header is not the expected one or needs a newer program.
    public init(
        _ reader: inout ByteReader, expecting kinds: Set<ObjectKind>, id expectedID: ID128?
    ) throws(CorruptionError) {
        let start = reader
        guard try reader.integer(UInt64.self) == Self.magic else {
            throw start.corruption("it does not begin as a bakstore object does")
        }
        let rawKind = try reader.byte()
        let rawSeal = try reader.byte()
        let version = try reader.integer(UInt16.self)
        guard version <= FormatLimits.version else { throw Self.unsupported(version, reader.object) }
        guard version == FormatLimits.version else {
            throw start.corruption("it has format version \(version)")
        }
        guard let seal = SealMethod(rawValue: rawSeal) else {
            throw .unsupported(object: reader.object, "it is sealed by method \(rawSeal)")
        }
        guard let kind = ObjectKind(rawValue: rawKind), kinds.contains(kind) else {
            let wanted = kinds.map(\.noun).sorted().joined(separator: " or ")
            throw start.corruption("its kind is \(rawKind), not that of a \(wanted)")
        }
        guard try reader.integer(UInt32.self) == 0 else { throw start.corruption("reserved bytes are set") }
        let id = try reader.id()
        guard expectedID == nil || id == expectedID else {
            throw start.corruption("it is the \(kind.noun) \(id), not the one its name says")
        }
        let salt = try reader.take(32)
        guard seal != .none || salt.allSatisfy({ $0 == 0 }) else {
            throw start.corruption("a salt in an unsealed object")
        }
        self.init(kind: kind, id: id, seal: seal, salt: Array(salt.prefix(seal.saltBytes)))
    }
}

extension ObjectHeader {
    private static func unsupported(_ version: UInt16, _ object: String) -> CorruptionError {
        .unsupported(
            object: object,
            "it has format version \(version); this program reads version \(FormatLimits.version)")
    }

    /// Throws if a program of a later format wrote the object that begins with `bytes`. Call it before verifying a
    /// checksum, because a later format may compute the checksum differently. `isWhole` is called with the same header,
    /// but with this program's version in it, and says if the checksum then matches. If it does, only the version
    /// number is damaged, and nothing is thrown.
    static func refuseNewer(
        _ bytes: UnsafeRawBufferPointer, object: String, isWhole: (_ header: UnsafeRawBufferPointer) -> Bool
    ) throws(CorruptionError) {
        guard bytes.count >= byteCount, bytes.loadUnaligned(as: UInt64.self) == magic.littleEndian else {
            return
        }
        let version = bytes.loadUnaligned(fromByteOffset: 10, as: UInt16.self).littleEndian
        guard version > FormatLimits.version else { return }
        var header = Array(bytes[..<byteCount])
        header.withUnsafeMutableBytes {
            $0.storeBytes(of: FormatLimits.version.littleEndian, toByteOffset: 10, as: UInt16.self)
        }
        if header.withUnsafeBytes(isWhole) { return }
        throw unsupported(version, object)
    }
}

/// The parameters that the frames of all objects of one repository share.
public struct FrameContext: Sendable {
    /// The repository's id, which the body of every object contains.
    public var repository: ID128
    /// Seals and opens the stored bytes.
    public var sealer: Sealer

    /// Makes a context.
    public init(repository: ID128, sealer: Sealer) {
        self.repository = repository
        self.sealer = sealer
    }
}

extension Sealer {
    /// Returns the header of a new object, with a fresh salt.
    public func newHeader(kind: ObjectKind, id: ID128) -> ObjectHeader {
        ObjectHeader(kind: kind, id: id, seal: method, salt: freshSalt())
    }

    /// Returns the seal of the object with this header; nil in a plain repository.
    public func seal(of header: ObjectHeader) -> ObjectSeal? {
        header.bytes.withUnsafeBytes {
            object(kind: header.kind.rawValue, id: header.id, salt: header.salt, header: $0)
        }
    }
}

/// The frame of objects with one body: all objects except packs.
public enum ObjectFrame {
    /// The length of the checksum at the end.
    public static let checksumBytes = 16
    /// The bytes that header and checksum add to a body. A seal adds its own overhead.
    public static let overheadBytes = ObjectHeader.byteCount + checksumBytes

    /// Seals `body` and frames it.
    public static func encode(kind: ObjectKind, id: ID128, body: [UInt8], sealer: Sealer) -> [UInt8] {
        let header = sealer.newHeader(kind: kind, id: id)
        let end = ObjectHeader.byteCount + body.count + sealer.method.overhead
        return [UInt8](unsafeUninitializedCapacity: end + checksumBytes) { buffer, count in
            let object = UnsafeMutableRawBufferPointer(buffer).baseAddress!
            header.store(to: object)
            body.withUnsafeBytes { body in
                let place = object + ObjectHeader.byteCount
                if let seal = sealer.seal(of: header) {
                    seal.seal(body, entry: 0, into: place)
                } else if let bytes = body.baseAddress {
                    place.copyMemory(from: bytes, byteCount: body.count)
                }
            }
            Checksum.xxh3_128(UnsafeRawBufferPointer(start: object, count: end)).store(to: object + end)
            count = end + checksumBytes
        }
    }

    /// Checks the parts of an object that need no key: its checksum and its header. Returns the header, and the body in
    /// its stored form.
    ///
    /// - Throws: `CorruptionError` if the bytes are damaged, are not the expected object, or need a newer program.
    public static func frame(
        _ bytes: UnsafeRawBufferPointer, object: String, expecting kinds: Set<ObjectKind>, id: ID128?
    ) throws(CorruptionError) -> (header: ObjectHeader, body: UnsafeRawBufferPointer) {
        try ObjectHeader.refuseNewer(bytes, object: object) { header in
            guard bytes.count >= overheadBytes else { return false }
            var stream = ChecksumStream()
            stream.update(header)
            stream.update(.init(rebasing: bytes[ObjectHeader.byteCount..<(bytes.count - checksumBytes)]))
            return stream.finish() == ID128(loading: bytes.baseAddress! + bytes.count - checksumBytes)
        }
        guard bytes.count >= overheadBytes else {
            throw CorruptionError(
                object: object, offset: bytes.count,
                reason: "it ends after \(bytes.count) bytes, before its header and checksum are whole")
        }
        let checked = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - checksumBytes)])
        guard Checksum.xxh3_128(checked) == ID128(loading: bytes.baseAddress! + checked.count) else {
            throw CorruptionError(
                object: object, offset: checked.count, reason: "its bytes do not match its checksum")
        }
        var reader = ByteReader(checked, object: object)
        let header = try ObjectHeader(&reader, expecting: kinds, id: id)
        return (header, UnsafeRawBufferPointer(rebasing: checked[ObjectHeader.byteCount...]))
    }

    /// Verifies the checksum of an object of `size` bytes piece by piece. So a damaged or sparse object that only
    /// claims to be large takes no memory. `read` fills a buffer with the bytes from an offset on. An object that is
    /// too short for a header and a checksum passes; decoding it finds this fault.
    ///
    /// - Throws: `CorruptionError` if the checksum does not match or the object needs a newer program, and what `read`
    ///   throws.
    public static func checkPieces(
        size: Int, object: String, read: (Int, UnsafeMutableRawBufferPointer) throws -> Void
    ) throws {
        let piece = Memory.block(1 << 20)
        defer { Memory.release(piece) }
        var firstError: (any Error)?
        func matches(_ header: UnsafeRawBufferPointer) -> Bool {
            do {
                var stream = ChecksumStream()
                stream.update(header)
                for start in stride(from: header.count, to: size - checksumBytes, by: piece.count) {
                    let count = min(piece.count, size - checksumBytes - start)
                    let part = UnsafeMutableRawBufferPointer(rebasing: piece[..<count])
                    try read(start, part)
                    stream.update(UnsafeRawBufferPointer(part))
                }
                try read(
                    size - checksumBytes, UnsafeMutableRawBufferPointer(rebasing: piece[..<checksumBytes]))
                return stream.finish() == ID128(loading: UnsafeRawPointer(piece.baseAddress!))
            } catch {
                firstError = firstError ?? error
                return false
            }
        }
        guard size >= overheadBytes else { return }
        var header = [UInt8](repeating: 0, count: ObjectHeader.byteCount)
        try header.withUnsafeMutableBytes { try read(0, $0) }
        if header.withUnsafeBytes(matches) { return }
        if let firstError { throw firstError }
        try header.withUnsafeBytes { try ObjectHeader.refuseNewer($0, object: object, isWhole: matches) }
        throw firstError
            ?? CorruptionError(
                object: object, offset: size - checksumBytes, reason: "its bytes do not match its checksum")
    }

    /// Checks the frame, opens the body and passes the header and a reader of the body to `read`.
    ///
    /// - Throws: `CorruptionError` if the object is damaged or does not open, and what `read` throws.
    public static func decode<R>(
        _ bytes: UnsafeRawBufferPointer, object: String, expecting kind: ObjectKind, id: ID128?,
        sealer: Sealer,
        _ read: (ObjectHeader, inout ByteReader) throws(CorruptionError) -> R
    ) throws(CorruptionError) -> R {
        let (header, body) = try frame(bytes, object: object, expecting: [kind], id: id)
        return try open(body, of: header, at: ObjectHeader.byteCount, object: object, sealer: sealer) {
            reader throws(CorruptionError) in try read(header, &reader)
        }
    }

    /// Opens a sealed body that begins at `offset` of its object, and passes a reader of the plaintext to `read`.
    static func open<R>(
        _ sealed: UnsafeRawBufferPointer, of header: ObjectHeader, at offset: Int, object: String,
        sealer: Sealer, _ read: (inout ByteReader) throws(CorruptionError) -> R
    ) throws(CorruptionError) -> R {
        guard header.seal == sealer.method else {
            throw CorruptionError(object: object, offset: 9, reason: "its seal does not match its repository")
        }
        guard let seal = sealer.seal(of: header) else {
            var reader = ByteReader(sealed, object: object, baseOffset: offset)
            return try read(&reader)
        }
        let opened = Memory.block(max(0, sealed.count - seal.overhead))
        defer { Memory.release(opened) }
        do {
            try seal.open(sealed, entry: 0, into: opened.baseAddress!)
        } catch {
            throw CorruptionError(object: object, offset: offset, reason: error.description)
        }
        var reader = ByteReader(UnsafeRawBufferPointer(opened), object: object, baseOffset: offset)
        return try read(&reader)
    }
}
