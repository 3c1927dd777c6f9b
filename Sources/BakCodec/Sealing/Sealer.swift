// Sealer: the one seam through which every stored byte string of an encrypted repository passes on its way to the
// store and back.
//
// Always holds: no key and nonce meet twice. Every object has a key of its own, from the repository's key, a salt
// that is drawn when the object is made, and what the object is:
//
//     HKDF-SHA-256(secret: the repository's key, salt: the object's, 32 bytes,
//                  info: "bakstore seal" | repository id | method | kind | object id)
//
// The nonce is the entry's number in the object, which is never sealed twice: four zero bytes and the number as a
// little-endian u64. What is authenticated beside a string is the object's header. So a string opens only in
// the repository, the kind of object, the object and the place that it was sealed for.

import BakCore
import CKernels

/// How an object's byte strings are sealed. The raw values are stored in every object's header.
public enum SealMethod: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    /// Not at all.
    case none = 0
    /// AES-256 in Galois/Counter mode (NIST SP 800-38D).
    case aes256GCM = 1
    /// ChaCha20-Poly1305 (RFC 8439).
    case chaCha20Poly1305 = 2

    /// Parses a name as the command line and `description` spell it.
    public init?(_ name: some StringProtocol) {
        guard let match = Self.allCases.first(where: { $0.description == name }) else { return nil }
        self = match
    }

    /// "none", "aes256-gcm" or "chacha20-poly1305".
    public var description: String {
        switch self {
        case .none: "none"
        case .aes256GCM: "aes256-gcm"
        case .chaCha20Poly1305: "chacha20-poly1305"
        }
    }

    /// AES-256-GCM where the processor has instructions for it, ChaCha20-Poly1305 where it has none: there AES is
    /// slow, and its tables can leak the key to whoever shares the processor's cache.
    public static var fastest: SealMethod { ck_has_aes() ? .aes256GCM : .chaCha20Poly1305 }

    /// The bytes of fresh randomness in the header of an object.
    public var saltBytes: Int { self == .none ? 0 : 32 }

    /// How many bytes a sealed string is longer than its plaintext.
    public var overhead: Int { self == .none ? 0 : CipherContext.tagBytes }
}

/// Seals and opens a repository's objects. Any number of threads may use it at once.
public struct Sealer: Sendable {
    /// Stores bytes as they are.
    public static let plain = Sealer()

    /// What an object's header says.
    public let method: SealMethod
    private let keyed: Keyed?

    private struct Keyed: Sendable {
        let key: SecretBytes
        let repository: ID128
        let random: any RandomSource
    }

    private init() { (method, keyed) = (.none, nil) }

    /// The bytes of a repository's key.
    public static let keyBytes = 32

    /// Seals with a repository's key. `random` draws each new object's salt.
    public init(_ method: SealMethod, key: SecretBytes, repository: ID128, random: any RandomSource) {
        precondition(method != .none && key.count == Self.keyBytes)
        self.method = method
        keyed = Keyed(key: key, repository: repository, random: random)
    }

    /// The salt of a new object; none in a plain repository.
    public func freshSalt() -> [UInt8] {
        var salt = [UInt8](repeating: 0, count: method.saltBytes)
        if let keyed { salt.withUnsafeMutableBytes { keyed.random.fill($0) } }
        return salt
    }

    /// The seal of one object: of what kind it is, the id in its name, the salt in its header, and the header as it
    /// is stored, which is authenticated with each string. Nil in a plain repository.
    public func object(
        kind: UInt8, id: ID128, salt: [UInt8], header: UnsafeRawBufferPointer
    ) -> ObjectSeal? {
        precondition(
            salt.count == method.saltBytes, "a salt of \(salt.count) bytes, \(method.saltBytes) expected")
        guard let keyed else { return nil }
        var info = ByteWriter()
        info.raw("bakstore seal".utf8)
        info.id(keyed.repository)
        info.byte(method.rawValue)
        info.byte(kind)
        info.id(id)
        let key = KeyDerivation.derive(
            from: keyed.key, salt: salt, info: info.bytes, count: CipherContext.keyBytes)
        return ObjectSeal(method, key: key, header: Array(header))
    }
}

/// Seals and opens the byte strings of one object. For one thread at a time.
public final class ObjectSeal {
    private let method: SealMethod
    private let key: SecretBytes
    private let header: [UInt8]
    /// No number up to this one may be sealed any more.
    private var lastSealed: UInt64?
    private lazy var sealing = key.withBytes { CipherContext(method, key: $0, isSealing: true) }
    private lazy var opening = key.withBytes { CipherContext(method, key: $0, isSealing: false) }

    /// A seal under a key that is used for nothing else. `header` is authenticated with each string.
    public init(_ method: SealMethod, key: SecretBytes, header: [UInt8]) {
        self.method = method
        self.key = key
        self.header = header
    }

    /// How many bytes a sealed string is longer than its plaintext.
    public var overhead: Int { method.overhead }

    /// Seals two byte strings as one, and writes so many bytes and `overhead` more to `output`.
    ///
    /// - Parameter entry: the string's number within the object, higher than that of any string sealed before.
    public func seal(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .init(start: nil, count: 0),
        entry: UInt64, into output: UnsafeMutableRawPointer
    ) {
        beginSealing(entry)
        sealing.update(first, into: output)
        sealing.update(second, into: output + first.count)
        sealing.finish(tag: output + first.count + second.count)
    }

    /// Covers bytes that nobody will open, such as padding, so that they look like sealed ones. They are numbered as
    /// sealed strings are, unless there are none.
    public func cover(_ bytes: UnsafeMutableRawBufferPointer, entry: UInt64) {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
        beginSealing(entry)
        sealing.update(UnsafeRawBufferPointer(bytes), into: start)
    }

    /// Opens what `seal` wrote for the same entry: the plaintext is written to `output`, which has room for
    /// `overhead` bytes less.
    ///
    /// Throws when the bytes are not what was sealed; what stands in `output` then must not be used.
    public func open(
        _ stored: UnsafeRawBufferPointer, entry: UInt64, into output: UnsafeMutableRawPointer
    ) throws(SealError) {
        guard stored.count >= overhead else { throw SealError() }
        let text = UnsafeRawBufferPointer(rebasing: stored[..<(stored.count - overhead)])
        begin(opening, entry)
        opening.update(text, into: output)
        guard opening.matches(tag: stored.baseAddress! + text.count) else { throw SealError() }
    }

    /// Decrypts the first bytes of a string, for who searches where one begins. Nothing vouches for them.
    public func peek(
        _ stored: UnsafeRawBufferPointer, entry: UInt64, into output: UnsafeMutableRawPointer
    ) {
        begin(opening, entry)
        opening.update(stored, into: output)
    }

    /// A nonce that came twice under one key would give both texts away: there is no going on.
    private func beginSealing(_ entry: UInt64) {
        precondition(lastSealed.map { $0 < entry } ?? true, "entry \(entry) would be sealed a second time")
        lastSealed = entry
        begin(sealing, entry)
    }

    private func begin(_ context: CipherContext, _ entry: UInt64) {
        // Four zero bytes, then the number.
        withUnsafeTemporaryAllocation(byteCount: CipherContext.nonceBytes, alignment: 8) { nonce in
            nonce.storeBytes(of: 0, as: UInt32.self)
            nonce.storeBytes(of: entry.littleEndian, toByteOffset: 4, as: UInt64.self)
            header.withUnsafeBytes { context.begin(nonce: UnsafeRawBufferPointer(nonce), authenticating: $0) }
        }
    }
}

/// A stored byte string is not what was sealed for its place.
public struct SealError: Error, Equatable, CustomStringConvertible {
    /// Makes the error.
    public init() {}

    /// One line for people.
    public var description: String { "the bytes are not what was sealed here" }
}
