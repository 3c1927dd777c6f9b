// KeyDerivation: derives independent keys from one secret. Each key has a label. The labels are part of the repository
// format, because another label gives another key.

import COpenSSL

/// HKDF with HMAC-SHA-256 (RFC 5869).
public enum KeyDerivation {
    /// The least length of a secret in bytes: that of a SHA-256 digest.
    public static let minimumSecretBytes = 32
    /// The largest number of bytes that one call returns: 255 digests.
    public static let maximumBytes = 255 * digestBytes
    private static let digestBytes = 32

    /// Derives `count` bytes from a uniformly random `secret` for the purpose that `label` names.
    public static func expand(secret: [UInt8], label: String, count: Int) -> [UInt8] {
        expand(secret: secret, info: Array(label.utf8), count: count)
    }

    /// Derives `count` bytes from a uniformly random `secret`; `info` is the RFC's context string.
    ///
    /// A secret under `minimumSecretBytes` or a count over `maximumBytes` is a programming error.
    public static func expand(secret: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let output = UnsafeMutableRawBufferPointer(
                rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count])
            secret.withUnsafeBytes { expand($0, info: info, into: output) }
            filled = count
        }
    }

    /// Derives `count` bytes for `label` (RFC 5869, 2.3). The memory of the secret and that of the result are wiped
    /// when they are released.
    public static func expand(secret: SecretBytes, label: String, count: Int) -> SecretBytes {
        SecretBytes(count: count) { output in
            secret.withBytes { expand($0, info: Array(label.utf8), into: output) }
        }
    }

    /// Extracts and expands in one call (RFC 5869, 2.2 and 2.3): derives `count` bytes from a secret, a salt that may
    /// be public, and the context string.
    public static func derive(
        from secret: SecretBytes, salt: [UInt8], info: [UInt8], count: Int
    ) -> SecretBytes {
        SecretBytes(count: count) { output in
            secret.withBytes { secret in
                withUnsafeTemporaryAllocation(byteCount: digestBytes, alignment: 8) { key in
                    defer { key.wipe() }
                    salt.withUnsafeBytes { hmacSHA256(key: $0, message: secret, into: key) }
                    expand(UnsafeRawBufferPointer(key), info: info, into: output)
                }
            }
        }
    }

    private static func expand(
        _ secret: UnsafeRawBufferPointer, info: [UInt8], into output: UnsafeMutableRawBufferPointer
    ) {
        precondition(
            secret.count >= minimumSecretBytes, "HKDF-Expand takes a secret of 32 bytes or more")
        precondition(output.count <= maximumBytes, "HKDF-Expand gives at most 255 digests")
        // The message of each round: the digest of the round before, the context, the number of the round.
        withUnsafeTemporaryAllocation(byteCount: digestBytes + info.count + 1, alignment: 8) { message in
            withUnsafeTemporaryAllocation(byteCount: digestBytes, alignment: 8) { digest in
                defer {
                    message.wipe()
                    digest.wipe()
                }
                UnsafeMutableRawBufferPointer(rebasing: message[digestBytes...]).copyBytes(from: info)
                var (done, number) = (0, 0)
                while done < output.count {
                    number += 1
                    message[message.count - 1] = UInt8(number)
                    let start = number == 1 ? digestBytes : 0
                    let round = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(message)[start...])
                    hmacSHA256(key: secret, message: round, into: digest)
                    let count = min(digestBytes, output.count - done)
                    (output.baseAddress! + done).copyMemory(from: digest.baseAddress!, byteCount: count)
                    message.baseAddress!.copyMemory(from: digest.baseAddress!, byteCount: digestBytes)
                    done += count
                }
            }
        }
    }

    /// Computes the HMAC-SHA-256 of a short message under a key that is used once (RFC 2104).
    private static func hmacSHA256(
        key: UnsafeRawBufferPointer, message: UnsafeRawBufferPointer,
        into digest: UnsafeMutableRawBufferPointer
    ) {
        precondition(Libcrypto.isStarted, "libcrypto does not start")
        // RFC 2104 treats an empty key as zeros. To libcrypto a null pointer would mean "the same key as before".
        let none: [UInt8] = [0]
        let result = none.withUnsafeBytes { none in
            HMAC(
                EVP_sha256(), key.count > 0 ? key.baseAddress : none.baseAddress, Int32(key.count),
                message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count,
                digest.baseAddress!.assumingMemoryBound(to: UInt8.self), nil)
        }
        precondition(result != nil, "libcrypto could not compute an HMAC-SHA-256")
    }
}
