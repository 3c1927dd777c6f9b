// Sealer: seals and opens every stored byte string of an encrypted repository.
//
// Always holds: no nonce is used twice with the same key. A sealed byte string is an entry of its object, and each
// entry has a number. Every object has its own key, which is derived from the repository's key, a salt that is drawn
// when the object is made, and the object's identity:
//
//     HKDF-SHA-256(secret: the repository's key, salt: the object's, 32 bytes,
//                  info: "bakstore seal" | repository id | method | kind | object id)
//
// The nonce is the number of the entry in the object: four zero bytes and the number as a little-endian u64. No number
// is used for a second entry of the object. The object's header is authenticated together with each string. So a string
// opens only in its own repository and object, and only under the entry number with which it was sealed.

import BakCore
import CKernels

/// The method that seals an object's byte strings. The raw values are stored in every object's header.
public enum SealMethod: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    /// No sealing.
    case none = 0
    /// AES-256 in Galois/Counter mode (NIST SP 800-38D).
    case aes256GCM = 1
    /// ChaCha20-Poly1305 (RFC 8439).
    case chaCha20Poly1305 = 2

    /// Finds the method of a name, which is spelled as in `description`; nil if there is none.
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

    /// AES-256-GCM if the processor has instructions for it, otherwise ChaCha20-Poly1305. Without the instructions AES
    /// is slow, and its tables can leak the key to other users of the processor's cache.
    public static var fastest: SealMethod { ck_has_aes() ? .aes256GCM : .chaCha20Poly1305 }

    /// The number of random bytes in an object's header.
    public var saltBytes: Int { self == .none ? 0 : 32 }

    /// The number of bytes by which a sealed string is longer than its plaintext.
    public var overhead: Int { self == .none ? 0 : CipherContext.tagBytes }
}

/// Seals and opens a repository's objects. Any number of threads may use it at once.
public struct Sealer: Sendable {
    /// A sealer that stores bytes unsealed.
    public static let plain = Sealer()

    /// The method, as recorded in an object's header.
    public let method: SealMethod
    private let keyed: Keyed?

    private struct Keyed: Sendable {
        let key: SecretBytes
        let repository: ID128
        let random: any RandomSource
    }

    private init() { (method, keyed) = (.none, nil) }

    /// The length of a repository's key in bytes.
    public static let keyBytes = 32

    /// Makes a sealer with a repository's key. `random` draws the salt of each new object.
    public init(_ method: SealMethod, key: SecretBytes, repository: ID128, random: any RandomSource) {
        precondition(method != .none && key.count == Self.keyBytes)
        self.method = method
        keyed = Keyed(key: key, repository: repository, random: random)
    }

    /// Returns the salt of a new object; empty in an unencrypted repository.
    public func freshSalt() -> [UInt8] {
        var salt = [UInt8](repeating: 0, count: method.saltBytes)
        if let keyed { salt.withUnsafeMutableBytes { keyed.random.fill($0) } }
        return salt
    }

    /// Returns the seal of one object; nil in an unencrypted repository. The key depends on the object's kind, the id
    /// in its name, and the salt in its header. The stored header is authenticated with each string.
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
    /// The highest number sealed so far; nil before the first. Only higher numbers may be sealed.
    private var lastSealed: UInt64?
    private lazy var sealing = key.withBytes { CipherContext(method, key: $0, isSealing: true) }
    private lazy var opening = key.withBytes { CipherContext(method, key: $0, isSealing: false) }

    /// Makes a seal with a key that is used for nothing else. `header` is authenticated with each string.
    public init(_ method: SealMethod, key: SecretBytes, header: [UInt8]) {
        self.method = method
        self.key = key
        self.header = header
    }

    /// The number of bytes by which a sealed string is longer than its plaintext.
    public var overhead: Int { method.overhead }

    /// Seals two byte strings as one. Writes the ciphertext and its tag to `output`: the length of both strings, plus
    /// `overhead`.
    ///
    /// - Parameter entry: the string's number within the object. It must be higher than all numbers sealed before.
    public func seal(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .init(start: nil, count: 0),
        entry: UInt64, into output: UnsafeMutableRawPointer
    ) {
        beginSealing(entry)
        sealing.update(first, into: output)
        sealing.update(second, into: output + first.count)
        sealing.finish(tag: output + first.count + second.count)
    }

    /// Encrypts bytes in place without a tag, so that they look sealed. No reader opens them; they serve as padding.
    /// The call uses up the number `entry`, unless there are no bytes.
    public func cover(_ bytes: UnsafeMutableRawBufferPointer, entry: UInt64) {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
        beginSealing(entry)
        sealing.update(UnsafeRawBufferPointer(bytes), into: start)
    }

    /// Opens the bytes that `seal` wrote for the same entry. Writes the plaintext to `output`. The plaintext is
    /// `overhead` bytes shorter than `stored`.
    ///
    /// Throws `SealError` if the bytes are not those that were sealed. `output` must not be used then.
    public func open(
        _ stored: UnsafeRawBufferPointer, entry: UInt64, into output: UnsafeMutableRawPointer
    ) throws(SealError) {
        guard stored.count >= overhead else { throw SealError() }
        let text = UnsafeRawBufferPointer(rebasing: stored[..<(stored.count - overhead)])
        begin(opening, entry)
        opening.update(text, into: output)
        guard opening.matches(tag: stored.baseAddress! + text.count) else { throw SealError() }
    }

    /// Decrypts the first bytes of a string without verifying them. A search for sealed strings in a damaged pack uses
    /// this to see whether one may begin here.
    public func peek(
        _ stored: UnsafeRawBufferPointer, entry: UInt64, into output: UnsafeMutableRawPointer
    ) {
        begin(opening, entry)
        opening.update(stored, into: output)
    }

    /// Begins a string that is sealed. If a nonce were used twice under one key, an attacker would learn the XOR of the
    /// two plaintexts and could forge strings. The program stops instead.
    private func beginSealing(_ entry: UInt64) {
        precondition(lastSealed.map { $0 < entry } ?? true, "entry \(entry) would be sealed a second time")
        lastSealed = entry
        begin(sealing, entry)
    }

    private func begin(_ context: CipherContext, _ entry: UInt64) {
        // The nonce: four zero bytes, then the number.
        withUnsafeTemporaryAllocation(byteCount: CipherContext.nonceBytes, alignment: 8) { nonce in
            nonce.storeBytes(of: 0, as: UInt32.self)
            nonce.storeBytes(of: entry.littleEndian, toByteOffset: 4, as: UInt64.self)
            header.withUnsafeBytes { context.begin(nonce: UnsafeRawBufferPointer(nonce), authenticating: $0) }
        }
    }
}

/// A stored byte string that is not the one sealed for its place.
public struct SealError: Error, Equatable, CustomStringConvertible {
    /// Makes the error.
    public init() {}

    /// The error as one line for the user.
    public var description: String { "the bytes are not what was sealed here" }
}
