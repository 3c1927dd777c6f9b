// KeyDerivation: one secret in, independent keys out, each named by a label. Labels are part of the
// repository format: a changed label is a changed key.

import COpenSSL

/// HKDF-Expand with HMAC-SHA-256 (RFC 5869, section 2.3).
public enum KeyDerivation {
    /// The least bytes a secret may have: the length of a SHA-256 digest.
    public static let minimumSecretBytes = 32
    /// The most bytes one call gives: 255 digests.
    public static let maximumBytes = 255 * 32

    /// Derives `count` bytes from a uniformly random `secret` for the purpose that `label` names.
    public static func expand(secret: [UInt8], label: String, count: Int) -> [UInt8] {
        expand(secret: secret, info: Array(label.utf8), count: count)
    }

    /// Derives `count` bytes from a uniformly random `secret`; `info` is the RFC's context string.
    ///
    /// A secret under `minimumSecretBytes` or a count over `maximumBytes` is a programming error.
    public static func expand(secret: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
        precondition(secret.count >= minimumSecretBytes, "HKDF-Expand takes a secret of 32 bytes or more")
        precondition((0...maximumBytes).contains(count), "HKDF-Expand gives at most 255 digests")
        var output: [UInt8] = []
        var block: [UInt8] = []
        var number: UInt8 = 0
        while output.count < count {
            number += 1
            block = hmacSHA256(key: secret, message: block + info + [number])
            output.append(contentsOf: block.prefix(count - output.count))
        }
        return output
    }

    /// HMAC-SHA-256 of a short message under a key that is used once (RFC 2104).
    private static func hmacSHA256(key: [UInt8], message: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        let result = HMAC(
            EVP_sha256(), key, Int32(key.count), message, message.count, &digest, nil)
        precondition(result != nil, "libcrypto could not compute an HMAC-SHA-256")
        return digest
    }
}
