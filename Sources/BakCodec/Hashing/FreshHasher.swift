// FreshHasher: names byte strings under a key that is drawn when it is made and dies with it.
//
// Always holds: two strings that were made before share a name by chance alone, whoever made them. The name is the tag
// of GMAC (NIST SP 800-38D) without a nonce of its own, so two differ as GHASH does: for strings of n bytes the chance
// is at most (n / 16 + 2) / 2^128. That needs a key that nobody knows, so no name is ever shown or stored.

import BakCore

/// Names byte strings for one run. For one thread at a time.
public final class FreshHasher {
    private let cipher: CipherContext

    /// Draws a key.
    public init(_ random: any RandomSource) {
        var key = [UInt8](repeating: 0, count: CipherContext.keyBytes)
        key.withUnsafeMutableBytes { random.fill($0) }
        cipher = key.withUnsafeBytes { CipherContext(.aes256GCM, key: $0, isSealing: true) }
    }

    /// The name of a string.
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
