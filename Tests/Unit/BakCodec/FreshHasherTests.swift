import BakCore
import SeededNumbers
import Testing

@testable import BakCodec

@Suite struct FreshHasherTests {
    /// Returns the same key each time.
    private struct FixedRandom: RandomSource {
        var byte: UInt8
        func fill(_ buffer: UnsafeMutableRawBufferPointer) {
            for index in buffer.indices { buffer[index] = byte &+ UInt8(truncatingIfNeeded: index) }
        }
    }

    private func id(_ bytes: [UInt8], _ hasher: FreshHasher) -> ID128 {
        bytes.withUnsafeBytes { hasher.id(of: $0) }
    }

    /// Returns libcrypto's tag of bytes that are authenticated but not encrypted.
    private func tag(_ bytes: [UInt8], _ byte: UInt8) -> ID128 {
        var key = [UInt8](repeating: 0, count: CipherContext.keyBytes)
        key.withUnsafeMutableBytes { FixedRandom(byte: byte).fill($0) }
        let cipher = key.withUnsafeBytes {
            CipherContext(.aes256GCM, key: $0, isSealing: true, usesVectors: false)
        }
        let nonce = [UInt8](repeating: 0, count: CipherContext.nonceBytes)
        nonce.withUnsafeBytes { nonce in
            bytes.withUnsafeBytes { cipher.begin(nonce: nonce, authenticating: $0) }
        }
        var tag = [UInt8](repeating: 0, count: CipherContext.tagBytes)
        tag.withUnsafeMutableBytes { cipher.finish(tag: $0.baseAddress!) }
        return tag.withUnsafeBytes { $0.loadUnaligned(as: ID128.self) }
    }

    /// Every length up to a few blocks of the widest form, and the lengths of chunks.
    private static let lengths = Array(0...1100) + [65_535, 1 << 20, 5 << 20]

    @Test func itIsTheTagOfGMAC() {
        var random = SplitMix64(seed: 9)
        let hasher = FreshHasher(FixedRandom(byte: 7))
        for length in Self.lengths {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(id(bytes, hasher) == tag(bytes, 7), "\(length) bytes")
        }
    }

    /// Different bytes, lengths or keys give different names. Equal bytes give equal names.
    @Test func whatDiffersHasAnotherName() {
        let (hasher, other) = (FreshHasher(FixedRandom(byte: 1)), FreshHasher(FixedRandom(byte: 2)))
        var names: Set<ID128> = []
        var count = 0
        func add(_ bytes: [UInt8]) {
            names.insert(id(bytes, hasher))
            count += 1
        }
        for length in 0..<300 { add([UInt8](repeating: 0, count: length)) }
        for bit in 0..<(8 * 300) {
            var bytes = [UInt8](repeating: 0, count: 300)
            bytes[bit / 8] ^= 1 << (bit % 8)
            add(bytes)
        }
        #expect(names.count == count)
        #expect(
            id([1, 2, 3], hasher) == id([1, 2, 3], hasher) && id([1, 2, 3], hasher) != id([1, 2, 3], other))
    }
}
