// SecretBytes: bytes that nobody else should see. They lie in OpenSSL's secure heap, which is locked into memory
// where the system allows it and left out of core dumps, and are wiped when the last reference goes.

import BakCore
import COpenSSL

/// A secret of fixed length. Immutable once made, hence Sendable.
public final class SecretBytes: Sendable {
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer
    /// How many bytes there are.
    public let count: Int

    /// The secure heap's size: some thousand keys. What does not fit lies in ordinary memory, and is wiped too.
    private static let heapBytes = 64 << 10
    private static let isHeapReady = CRYPTO_secure_malloc_init(heapBytes, 32) != 0

    /// Makes a secret of `count` bytes, which `fill` writes: all are zero before. Throws what `fill` throws.
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

    /// Lends the bytes. They must not be copied to where they are not wiped. Throws what `body` throws.
    public func withBytes<Result, Failure>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: memory, count: count))
    }

    /// The first bytes, as a secret of their own.
    public func prefix(_ length: Int) -> SecretBytes { part(0..<length) }

    /// Some of the bytes, as a secret of their own.
    public func part(_ range: Range<Int>) -> SecretBytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return SecretBytes(count: range.count) { buffer in
            buffer.copyMemory(from: .init(start: memory + range.lowerBound, count: range.count))
        }
    }
}

extension SecretBytes: Equatable {
    /// Compares in a time that depends on the lengths alone.
    public static func == (left: SecretBytes, right: SecretBytes) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left.memory, right.memory, left.count) == 0
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Overwrites memory that held a secret, in a way that the compiler does not leave out.
    func wipe() { OPENSSL_cleanse(baseAddress, count) }
}
