// A key slot, `keys/<id>`: the repository's key, wrapped (encrypted) by a key that comes from a password. All slots of
// a repository wrap the same key.
//
//   header 64: kind 11, the repository's seal method, the slot's id, the salt of the note
//   body
//     0  16  repository id                         32  32  salt of the password's hash
//    16   1  how the password is hashed: 1,        64  32  commitment
//            Argon2id, version 0x13                96  48  the wrapped key
//    17   3  zero                                 144 528  the note, sealed as entry 0 of this object:
//    20   4  memory in KiB                                 512 bytes: name, host and program as texts, time;
//    24   4  passes                                        then zeros
//    28   4  lanes
//   checksum 16
//
// PasswordKey defines the hash, the commitment and the wrapping. The wrapped key is encrypted by ChaCha20-Poly1305 with
// a nonce of zeros. The header and bytes 0 to 95 of the body are authenticated together with it. The decoder refuses a
// slot whose password would cost too much to hash, before anything is hashed.

import BakCodec
import BakCore

/// A slot's description, which a program can read with the repository's key.
public struct KeySlotNote: Equatable, Sendable {
    /// The user's name for the slot.
    public var name: String
    /// The machine that made the slot.
    public var host: String
    /// The program that made the slot.
    public var program: String
    /// When the slot was made.
    public var created: Timestamp

    /// The most bytes that a name may have.
    public static let nameBytes = 64
    fileprivate static let byteCount = 512

    /// Makes a note. The names of host and program are cut off after 128 bytes.
    public init(name: String, host: String, program: String, created: Timestamp) {
        precondition(name.utf8.count <= Self.nameBytes)
        func short(_ text: String) -> String {
            var text = text
            while text.utf8.count > 128 { text.removeLast() }
            return text
        }
        (self.name, self.host, self.program) = (name, short(host), short(program))
        self.created = created
    }

    fileprivate func encode() -> [UInt8] {
        var body = ByteWriter(reservingCapacity: Self.byteCount)
        body.text(name)
        body.text(host)
        body.text(program)
        body.timestamp(created)
        body.zeros(Self.byteCount - body.count)
        return body.bytes
    }

    fileprivate init(_ body: inout ByteReader) throws(CorruptionError) {
        name = try body.text(upTo: Self.nameBytes, "a slot's name")
        host = try body.text(upTo: 128, "a host's name")
        program = try body.text(upTo: 128, "a program's name")
        created = try body.timestamp()
        guard try body.take(body.remaining).allSatisfy({ $0 == 0 }) else {
            throw body.corruption("bytes after the note")
        }
    }
}

/// A slot in its stored form.
public struct KeySlot: Equatable, Sendable {
    /// The slot's id.
    public let id: ID128
    /// How the repository is sealed.
    public let method: SealMethod
    /// The repository that the slot belongs to.
    public let repository: ID128
    /// The cost of hashing a password.
    public let cost: PasswordCost
    private let noteSalt: [UInt8]
    private let hashSalt: [UInt8]
    private let commitment: [UInt8]
    private var wrapped: [UInt8]
    private let sealedNote: [UInt8]

    private static let argon2id: UInt8 = 1
    private static let clearBytes = 144
    private static let committedBytes = 96
    /// The length of every slot.
    public static let objectBytes = ObjectFrame.overheadBytes + clearBytes + KeySlotNote.byteCount + 16

    private var header: ObjectHeader { ObjectHeader(kind: .keySlot, id: id, seal: method, salt: noteSalt) }

    private var authenticated: [UInt8] {
        var clear = ByteWriter()
        clear.id(repository)
        clear.byte(Self.argon2id)
        clear.zeros(3)
        clear.integer(cost.memoryKiB)
        clear.integer(cost.passes)
        clear.integer(cost.lanes)
        clear.raw(hashSalt)
        clear.raw(commitment)
        return clear.bytes
    }

    /// Wraps a repository's key under a password.
    ///
    /// - Throws: `PasswordHashError` if the password cannot be hashed.
    public init(
        id: ID128, key: SecretBytes, method: SealMethod, repository: ID128, password: SecretBytes,
        cost: PasswordCost, note: KeySlotNote, random: any RandomSource
    ) throws(PasswordHashError) {
        let sealer = Sealer(method, key: key, repository: repository, random: random)
        let header = sealer.newHeader(kind: .keySlot, id: id)
        var hashSalt = [UInt8](repeating: 0, count: PasswordKey.saltBytes)
        hashSalt.withUnsafeMutableBytes { random.fill($0) }
        let wrapping = try PasswordKey(password: password, salt: hashSalt, cost: cost)
        let text = note.encode()
        let sealedNote = [UInt8](unsafeUninitializedCapacity: text.count + method.overhead) { buffer, count in
            text.withUnsafeBytes { sealer.seal(of: header)!.seal($0, entry: 0, into: buffer.baseAddress!) }
            count = text.count + method.overhead
        }
        self.init(
            id: id, method: method, repository: repository, cost: cost, noteSalt: header.salt,
            hashSalt: hashSalt, commitment: wrapping.commitment.withBytes { Array($0) }, wrapped: [],
            sealedNote: sealedNote)
        wrapped = wrapping.wrap(key, authenticating: header.bytes + authenticated)
    }

    /// Returns the whole object.
    public func encode() -> [UInt8] {
        var object = ByteWriter(reservingCapacity: Self.objectBytes)
        object.raw(header.bytes)
        object.raw(authenticated)
        object.raw(wrapped)
        object.raw(sealedNote)
        object.id(object.bytes.withUnsafeBytes(Checksum.xxh3_128))
        return object.bytes
    }

    private init(
        id: ID128, method: SealMethod, repository: ID128, cost: PasswordCost, noteSalt: [UInt8],
        hashSalt: [UInt8], commitment: [UInt8], wrapped: [UInt8], sealedNote: [UInt8]
    ) {
        (self.id, self.method, self.repository, self.cost) = (id, method, repository, cost)
        (self.noteSalt, self.hashSalt, self.commitment) = (noteSalt, hashSalt, commitment)
        (self.wrapped, self.sealedNote) = (wrapped, sealedNote)
    }

    /// Decodes a slot, and validates the parts that need no password.
    ///
    /// - Throws: `CorruptionError` if the slot is damaged, exceeds the limits, or needs a newer program.
    public init(decoding bytes: UnsafeRawBufferPointer, object: String, id: ID128) throws(CorruptionError) {
        let (header, body) = try ObjectFrame.frame(bytes, object: object, expecting: [.keySlot], id: id)
        var reader = ByteReader(body, object: object, baseOffset: ObjectHeader.byteCount)
        guard header.seal != .none else { throw reader.corruption("a key slot of a plain repository") }
        let repository = try reader.id()
        let algorithm = try reader.byte()
        guard algorithm == Self.argon2id else {
            throw .unsupported(object: object, "it hashes passwords by method \(algorithm)")
        }
        guard try reader.take(3).allSatisfy({ $0 == 0 }) else {
            throw reader.corruption("reserved bytes are set")
        }
        let start = reader
        let cost = PasswordCost(
            memoryKiB: try reader.integer(UInt32.self), passes: try reader.integer(UInt32.self),
            lanes: try reader.integer(UInt32.self))
        guard cost.isAllowed else {
            throw start.corruption(
                "hashing a password would take \(cost.memoryKiB / 1024) MiB, \(cost.passes) passes and "
                    + "\(cost.lanes) threads, over the limits")
        }
        let hashSalt = Array(try reader.take(PasswordKey.saltBytes))
        let commitment = Array(try reader.take(32))
        let wrapped = Array(try reader.take(PasswordKey.wrappedBytes))
        let note = Array(try reader.take(KeySlotNote.byteCount + header.seal.overhead))
        try reader.expectEnd()
        self.init(
            id: id, method: header.seal, repository: repository, cost: cost, noteSalt: header.salt,
            hashSalt: hashSalt, commitment: commitment, wrapped: wrapped, sealedNote: note)
    }

    /// Returns the repository's key; nil if `password` is not this slot's password.
    ///
    /// - Throws: `CorruptionError` if the slot was changed, and `PasswordHashError` if the machine cannot hash.
    public func open(_ password: SecretBytes, object: String) throws -> SecretBytes? {
        let wrapping = try PasswordKey(password: password, salt: hashSalt, cost: cost)
        guard wrapping.commitment == SecretBytes(copying: commitment) else { return nil }
        do {
            return try wrapped.withUnsafeBytes { wrapped in
                try wrapping.unwrap(wrapped, authenticating: header.bytes + authenticated)
            }
        } catch is SealError {
            throw CorruptionError(
                object: object, offset: ObjectHeader.byteCount + Self.committedBytes,
                reason: "the wrapped key was changed")
        }
    }

    /// Opens the slot's note. This needs the repository's key.
    ///
    /// - Throws: `CorruptionError` if the note does not open or is damaged.
    public func note(_ context: FrameContext, object: String) throws(CorruptionError) -> KeySlotNote {
        let result: Result<KeySlotNote, CorruptionError> = sealedNote.withUnsafeBytes { bytes in
            do throws(CorruptionError) {
                return .success(
                    try ObjectFrame.open(
                        bytes, of: header, at: ObjectHeader.byteCount + Self.clearBytes, object: object,
                        sealer: context.sealer
                    ) { reader throws(CorruptionError) in try KeySlotNote(&reader) })
            } catch { return .failure(error) }
        }
        return try result.get()
    }
}
