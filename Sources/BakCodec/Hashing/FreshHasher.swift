// FreshHasher: names byte strings under a random key that exists only as long as the hasher.
//
// Always holds: two strings that existed before the key was drawn share a name only by chance, even if an attacker made
// them. The name is the tag of GMAC (NIST SP 800-38D) with a fixed nonce, so two names are equal only if the GHASH
// values of the strings are equal. For strings of n bytes the chance of this is at most (n / 16 + 2) / 2^128. The bound
// holds only for a secret key, and names could reveal the key. So no name is ever shown or stored.

import BakCore

/// Names byte strings during one run. For one thread at a time.
public final class FreshHasher {
    private let cipher: CipherContext

    /// Draws a key.
    public init(_ random: any RandomSource) {
        var key = [UInt8](repeating: 0, count: CipherContext.keyBytes)
        key.withUnsafeMutableBytes { random.fill($0) }
        cipher = key.withUnsafeBytes { CipherContext(.aes256GCM, key: $0, isSealing: true) }
    }

    /// Returns the name of a string.
    public func id(of bytes: UnsafeRawBufferPointer) -> ID128 {
        withUnsafeTemporaryAllocation(byteCount: CipherContext.nonceBytes, alignment: 16) { nonce in
            nonce.initializeMemory(as: UInt8.self, repeating: 0)
            cipher.begin(nonce: UnsafeRawBufferPointer(nonce), authenticating: bytes)
        }
        return withUnsafeTemporaryAllocation(byteCount: CipherContext.tagBytes, alignment: 16) { tag in
            cipher.finish(tag: tag.baseAddress!)
            return tag.loadUnaligned(as: ID128.self)
        }
    }
}
