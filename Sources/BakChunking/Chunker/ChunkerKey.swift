// ChunkerKey: the secret that decides where chunks end. Because the cuts are secret, the sizes of stored chunks do not
// identify a public file. This hinders attackers, but it is no proof of security: the candidate test is linear, and
// neither this test nor XXH3 is a cryptographic function. An attacker who knows a file and the sizes of its chunks can
// try to find the secret of both.
//
// The secret's layout: [0, 192) is the XXH3 secret for priorities, [192, 196) the multiplier K (made odd by setting its
// lowest bit), and [196, 200) the addend A. K and A are little-endian.

import CXXHash

/// The secret of a chunker.
public struct ChunkerKey: Sendable {
    /// The number of secret bytes in a key.
    public static let secretByteCount = prioritySecretByteCount + 8

    /// The number of bytes before a cut that decide its priority.
    static let priorityWindow = 64
    private static let prioritySecretByteCount = 192

    /// K. It is odd, so the product is a permutation of the words.
    let multiplier: UInt32
    /// A. It moves zero and other fixed points of the product to secret places.
    let addend: UInt32
    private let prioritySecret: [UInt8]

    /// Makes a key from `secretByteCount` bytes, which must be random or derived from random bytes.
    public init(secret: [UInt8]) {
        precondition(secret.count == Self.secretByteCount, "a chunker key has \(Self.secretByteCount) bytes")
        let word = { (offset: Int) in
            secret.withUnsafeBytes {
                UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            }
        }
        prioritySecret = Array(secret.prefix(Self.prioritySecretByteCount))
        multiplier = word(Self.prioritySecretByteCount) | 1
        addend = word(Self.prioritySecretByteCount + 4)
    }

    /// Returns the priority of a cut at `end`; the smallest wins. `priorityWindow` bytes before it must be readable.
    func priority(endingAt end: UnsafeRawPointer) -> UInt64 {
        prioritySecret.withUnsafeBytes {
            XXH3_64bits_withSecret(end - Self.priorityWindow, Self.priorityWindow, $0.baseAddress, $0.count)
        }
    }
}
