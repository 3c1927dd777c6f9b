// ChunkerKey: the secret that decides where chunks end, so that the sizes of stored chunks are no
// fingerprint of a public file. It hinders and does not prove: neither the candidate test, which is
// linear, nor XXH3 is a cryptographic function, and who knows a file and its chunks' sizes can work on both.
//
// The secret's layout: [0, 192) the XXH3 secret of priorities, [192, 196) the multiplier K (its lowest
// bit is then set, which makes it odd), [196, 200) the addend A; both little-endian.

import CXXHash

/// The keyed part of chunking.
public struct ChunkerKey: Sendable {
    /// How many secret bytes make a key.
    public static let secretByteCount = prioritySecretByteCount + 8

    /// How many bytes before a cut decide its priority.
    static let priorityWindow = 64
    private static let prioritySecretByteCount = 192

    /// K, odd, so that the product is a permutation of the words.
    let multiplier: UInt32
    /// A, which moves zero and other fixed points of the product to secret places.
    let addend: UInt32
    private let prioritySecret: [UInt8]

    /// Makes a key from `secretByteCount` bytes, which must be random or derived from what is.
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

    /// The priority of a cut at `end`; the smallest wins. `priorityWindow` bytes before it must be readable.
    func priority(endingAt end: UnsafeRawPointer) -> UInt64 {
        prioritySecret.withUnsafeBytes {
            XXH3_64bits_withSecret(end - Self.priorityWindow, Self.priorityWindow, $0.baseAddress, $0.count)
        }
    }
}
