// SecretBytes: bytes that must stay secret. They lie in OpenSSL's secure heap, which is locked into memory if the
// system allows it, and left out of core dumps. They are wiped when the last reference is released.

import BakCore
import COpenSSL

/// A secret of fixed length. It is Sendable because it never changes once made.
public final class SecretBytes: Sendable {
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer
    /// The number of bytes.
    public let count: Int

    /// The size of the secure heap: enough for about a thousand keys. If it is full, further secrets lie in ordinary
    /// memory, and are wiped, too.
    private static let heapBytes = 64 << 10
    private static let isHeapReady = CRYPTO_secure_malloc_init(heapBytes, 32) != 0

    /// Makes a secret of `count` bytes, which are zero until `fill` writes them. Throws what `fill` throws.
    public init<Failure>(
        count: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        self.count = count
        let size = max(count, 1)
        let secure = Self.isHeapReady ? CRYPTO_secure_zalloc(size, #fileID, Int32(#line)) : nil
        guard let memory = secure ?? CRYPTO_zalloc(size, #fileID, Int32(#line)) else {
            Memory.exhausted("keys")
        }
        self.memory = memory
        try fill(UnsafeMutableRawBufferPointer(start: memory, count: count))
    }

    /// Copies bytes.
    public convenience init(copying bytes: some Collection<UInt8>) {
        self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    deinit { CRYPTO_secure_clear_free(memory, max(count, 1), #fileID, Int32(#line)) }

    /// Passes the bytes to `body`, which must not copy them to memory that is not wiped. Throws what `body` throws.
    public func withBytes<Result, Failure>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: memory, count: count))
    }

    /// Returns the first `length` bytes as a separate secret.
    public func prefix(_ length: Int) -> SecretBytes { part(0..<length) }

    /// Returns a range of the bytes as a separate secret.
    public func part(_ range: Range<Int>) -> SecretBytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return SecretBytes(count: range.count) { buffer in
            buffer.copyMemory(from: .init(start: memory + range.lowerBound, count: range.count))
        }
    }
}

extension SecretBytes: Equatable {
    /// Compares two secrets in a time that depends only on their lengths.
    public static func == (left: SecretBytes, right: SecretBytes) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left.memory, right.memory, left.count) == 0
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Overwrites memory that held a secret. The compiler cannot optimise this away.
    func wipe() { OPENSSL_cleanse(baseAddress, count) }
}
