import BakCore
import CKernels
import CProcessor
import CXXHash
import Testing

@testable import BakCodec

/// The hashes for wide vectors equal libxxhash's ordinary hashes.
@Suite struct WideHashTests {
    /// Lengths around each length at which XXH3 changes its method, and lengths of many blocks.
    private static let lengths =
        Array(0...20) + [127, 128, 129] + Array(236...260) + Array(1000...1030) + [4096, 65_537, 300_000]

    @Test func equalThePlainHashes() {
        let bytes = (0..<300_064).map { UInt8(truncatingIfNeeded: $0 &* 0x9e37_79b1 >> 13) }
        let secret = Array(bytes[1000..<1192])
        bytes.withUnsafeBytes { bytes in
            for length in Self.lengths {
                for alignment in [0, 1, 15, 63] {
                    let start = bytes.baseAddress! + alignment
                    let plain = XXH3_128bits(start, length)
                    let wide = ck_xxh3_128(start, length)
                    let keyed = XXH3_128bits_withSecret(start, length, secret, secret.count)
                    let wideKeyed = ck_xxh3_128_with_secret(start, length, secret, secret.count)
                    #expect(ck_xxh3_64(start, length) == XXH3_64bits(start, length), "\(length) bytes")
                    #expect(wide.low == plain.low64 && wide.high == plain.high64, "\(length) bytes")
                    #expect(
                        wideKeyed.low == keyed.low64 && wideKeyed.high == keyed.high64, "\(length) bytes")
                }
            }
        }
    }

    /// libxxhash's AVX forms leave the upper halves in use, which would slow down the rest of the program.
    @Test func leaveNoUpperHalvesInUse() {
        let bytes = [UInt8](repeating: 1, count: 100_000)
        let secret = [UInt8](repeating: 2, count: 192)
        // No other code may run between a hash and the question, because it might clear the upper halves.
        let isDirty = bytes.withUnsafeBytes { bytes in
            let start = bytes.baseAddress!
            _ = ck_xxh3_64(start, bytes.count)
            let after64 = processor_has_dirty_upper_halves()
            _ = ck_xxh3_128(start, bytes.count)
            let after128 = processor_has_dirty_upper_halves()
            _ = ck_xxh3_128_with_secret(start, bytes.count, secret, secret.count)
            return after64 || after128 || processor_has_dirty_upper_halves()
        }
        #expect(!isDirty)
    }
}
