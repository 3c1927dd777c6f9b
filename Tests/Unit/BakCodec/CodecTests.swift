import BakCore
import Testing

@testable import BakCodec

@Suite struct CompressionModeTests {
    @Test(arguments: ["auto", "off", "fast", "max", "lz4", "zstd:1", "zstd:9", "zstd:19"])
    func parsesWhatItPrints(text: String) { #expect(CompressionMode(text)?.description == text) }

    @Test(arguments: [
        "", "AUTO", "zstd", "zstd:", "zstd:0", "zstd:20", "zstd:-1", "zstd:03", "zstd:3 ", "gzip",
    ])
    func refuses(text: String) { #expect(CompressionMode(text) == nil) }
}

@Suite struct RoundTripTests {
    private static let modes: [CompressionMode] = [.auto, .off, .fast, .max, .lz4, .zstd(level: 9)]
    /// The largest chunk: 2^24 - 1 bytes.
    private static let largest = (16 << 20) - 1
    private static let contents = [0, 1, 2, 3, 31, 32, 33, 34, 100, 255, 256, 4096, 65_537, 300_000].flatMap {
        [Samples.random($0, seed: 1), Samples.text($0, seed: 2), [UInt8](repeating: 0, count: $0)]
    }

    private func roundTrips(_ content: [UInt8], _ compressor: Compressor, isCompressed: Bool = false) -> Codec
    {
        content.withUnsafeBytes { bytes in
            let compressed = compressor.compress(bytes, isCompressedContent: isCompressed)
            #expect(compressed.codec == .raw || compressed.stored.count * 100 <= bytes.count * 97)
            if compressed.codec == .raw { #expect(compressed.stored.baseAddress == bytes.baseAddress) }
            var decoded = [UInt8](repeating: 0xa5, count: bytes.count)
            #expect(throws: Never.self) {
                try decoded.withUnsafeMutableBytes {
                    try Decompressor().decompress(compressed.stored, codec: compressed.codec, into: $0)
                }
            }
            #expect(decoded == content)
            return compressed.codec
        }
    }

    @Test(arguments: modes)
    func everyKindAndSize(mode: CompressionMode) {
        let compressor = Compressor(mode)
        for content in Self.contents {
            for isCompressed in [false, true] {
                _ = roundTrips(content, compressor, isCompressed: isCompressed)
            }
        }
    }

    @Test(arguments: [CompressionMode.auto, .fast, .lz4])
    func theLargestChunk(mode: CompressionMode) {
        let compressor = Compressor(mode)
        let coded: Codec = mode == .lz4 ? .lz4 : .zstd
        #expect(roundTrips([UInt8](repeating: 0, count: Self.largest), compressor) == coded)
        let page = Samples.text(1 << 20, seed: 5)
        var text: [UInt8] = []
        for _ in 0..<16 { text += page }
        text.removeLast()
        #expect(roundTrips(text, compressor) == coded)
        #expect(roundTrips(Samples.random(Self.largest, seed: 6), compressor) == .raw)
    }

    @Test func theLargestChunkAtTheHighestLevel() {
        #expect(roundTrips([UInt8](repeating: 7, count: Self.largest), Compressor(.max)) == .zstd)
    }

    @Test func whatGainsLittleStaysRaw() {
        // 2.5 % zeros among random bytes can be compressed, but the gain is less than 3 %.
        let mostlyRandom = Samples.random(97_500, seed: 3) + [UInt8](repeating: 0, count: 2500)
        #expect(roundTrips(mostlyRandom, Compressor(.zstd(level: 3))) == .raw)
        let lessRandom = Samples.random(96_000, seed: 3) + [UInt8](repeating: 0, count: 4000)
        #expect(roundTrips(lessRandom, Compressor(.zstd(level: 3))) == .zstd)
    }

    @Test func modesChooseTheirCodec() {
        let text = Samples.text(50_000, seed: 4)
        #expect(
            Self.modes.map { roundTrips(text, Compressor($0)) } == [.zstd, .raw, .zstd, .zstd, .lz4, .zstd])
        // The flag for compressed content has an effect in modes that probe. A codec that the user names is always
        // used.
        let flagged = Self.modes.map { roundTrips(text, Compressor($0), isCompressed: true) }
        #expect(flagged == [.raw, .raw, .raw, .zstd, .lz4, .zstd])
    }

    /// The comparison with the original, which protects the store from bugs in codecs, finds a wrong result.
    @Test func aWrongCodeDoesNotReproduce() {
        let text = Samples.text(50_000, seed: 4)
        var other = text
        other[40_000] ^= 1
        let compressor = Compressor(.auto)
        let decompressor = Decompressor()
        text.withUnsafeBytes { bytes in
            let compressed = compressor.compress(bytes, isCompressedContent: false)
            #expect(decompressor.reproduces(bytes, from: compressed.stored, codec: .zstd))
            #expect(!decompressor.reproduces(bytes, from: compressed.stored, codec: .lz4))
            other.withUnsafeBytes {
                #expect(!decompressor.reproduces($0, from: compressed.stored, codec: .zstd))
            }
        }
    }
}
