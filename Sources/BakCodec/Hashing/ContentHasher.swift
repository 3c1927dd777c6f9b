// ContentHasher: names content by a keyed 128-bit hash. Equal content has equal ids under the same secret and domain. A
// domain is "chunk" or "manifest"; ids of one domain do not match ids of the other.
//
// xxh3    XXH3-128 withSecret. Content of 256 bytes or more is hashed as it is, under the domain's long
//         secret. Shorter content is hashed as exactly 256 bytes, under the domain's short secret:
//
//             content | zeros up to offset 255 | length, one byte
//
//         This is injective because a length under 256 fits in its byte. The padding avoids XXH3's paths for inputs up
//         to 240 bytes, whose weaknesses are published. Because of the second secret, a padded input does not have the
//         id of real content with the same 256 bytes.
//
// Secrets are expanded (RFC 5869) with the labels "bakstore id D", "bakstore short id D" (192 bytes each), "bakstore
// leaf id D" and "bakstore root id D" (32 bytes each), where D is the domain.

import BakCore
import CKernels
import COpenSSL

/// The algorithm by which a repository names its content. The raw values are stored.
public enum IDAlgorithm: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    /// Keyed XXH3-128. It is as fast as memory, but an attacker who knows the secret can make two contents with one id.
    case xxh3 = 1
    /// A tree of HMAC-SHA-256 truncated to 128 bits. It resists crafted collisions. (Value 2 was a single HMAC and was
    /// never released.)
    case sha256 = 3

    /// Finds the algorithm of a name, which is spelled as in `description`; nil if there is none.
    public init?(_ name: some StringProtocol) {
        guard let match = Self.allCases.first(where: { $0.description == name }) else { return nil }
        self = match
    }

    /// "xxh3" or "sha256".
    public var description: String {
        switch self {
        case .xxh3: "xxh3"
        case .sha256: "sha256"
        }
    }
}

/// Computes content ids for one domain. Copies share the keys; any number of threads may use one at once.
public struct ContentHasher: Sendable {
    /// The length of a repository's id secret in bytes.
    public static let secretBytes = 32

    private enum Keyed: Sendable {
        case xxh3(XXH3Secrets)
        case sha256(HMACTree)
    }
    private let keyed: Keyed

    /// Derives the keys of `domain` from the repository's 32-byte id secret.
    public init(_ algorithm: IDAlgorithm, secret: [UInt8], domain: String) {
        precondition(secret.count == Self.secretBytes, "an id secret has 32 bytes")
        switch algorithm {
        case .xxh3: keyed = .xxh3(XXH3Secrets(secret: secret, domain: domain))
        case .sha256:
            func key(_ what: String) -> [UInt8] {
                KeyDerivation.expand(secret: secret, label: "bakstore \(what) id \(domain)", count: 32)
            }
            keyed = .sha256(HMACTree(leafKey: key("leaf"), rootKey: key("root")))
        }
    }

    /// Returns the id of `content`. Allocates nothing after the first call of each thread.
    public func id(of content: UnsafeRawBufferPointer) -> ID128 {
        switch keyed {
        case .xxh3(let secrets): secrets.id(of: content)
        case .sha256(let tree): tree.id(of: content)
        }
    }
}

/// Two XXH3 secrets at a fixed address: the long one, then the short one. It is Sendable because it is immutable.
private final class XXH3Secrets: @unchecked Sendable {
    private static let secretBytes = 192
    private static let paddedBytes = 256
    private let long: UnsafeMutableRawPointer
    private var short: UnsafeMutableRawPointer { long + Self.secretBytes }

    init(secret: [UInt8], domain: String) {
        let bytes =
            KeyDerivation.expand(secret: secret, label: "bakstore id \(domain)", count: Self.secretBytes)
            + KeyDerivation.expand(
                secret: secret, label: "bakstore short id \(domain)", count: Self.secretBytes)
        long = .allocate(byteCount: bytes.count, alignment: 64)
        bytes.withUnsafeBytes { long.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    }

    deinit {
        OPENSSL_cleanse(long, 2 * Self.secretBytes)
        long.deallocate()
    }

    func id(of content: UnsafeRawBufferPointer) -> ID128 {
        if content.count >= Self.paddedBytes {
            return ID128(ck_xxh3_128_with_secret(content.baseAddress, content.count, long, Self.secretBytes))
        }
        return withUnsafeTemporaryAllocation(byteCount: Self.paddedBytes, alignment: 16) { padded in
            padded.initializeMemory(as: UInt8.self, repeating: 0)
            padded.copyMemory(from: content)
            padded[Self.paddedBytes - 1] = UInt8(content.count)
            return ID128(
                ck_xxh3_128_with_secret(padded.baseAddress, Self.paddedBytes, short, Self.secretBytes))
        }
    }
}
