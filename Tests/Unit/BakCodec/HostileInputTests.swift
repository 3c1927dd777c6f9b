// Stored bytes are untrusted. Decoding any bytes either fills the destination exactly or throws. It never changes bytes
// outside of the destination.

import CZstd
import SeededNumbers
import Testing

@testable import BakCodec

/// A decompressor and a destination with guard bytes around it.
private final class Target {
    private static let intact = ArraySlice(repeating: UInt8(0xc3), count: 64)
    private let decompressor = Decompressor()
    private var memory: [UInt8] = []

    /// Decodes into `count` bytes. Returns nil if that throws. Records an issue if a guard byte has changed, or if a
    /// byte of the destination was not written.
    func decode(_ stored: [UInt8], _ codec: Codec, count: Int, seed: UInt64? = nil) -> [UInt8]? {
        let overZeros = decode(stored, codec, count: count, over: 0, seed: seed)
        let overOnes = decode(stored, codec, count: count, over: 0xff, seed: seed)
        #expect(overZeros == overOnes, "not filled, seed \(String(describing: seed))")
        return overZeros
    }

    private func decode(
        _ stored: [UInt8], _ codec: Codec, count: Int, over filler: UInt8, seed: UInt64?
    ) -> [UInt8]? {
        memory = Self.intact + [UInt8](repeating: filler, count: count) + Self.intact
        let inside = Self.intact.count..<Self.intact.count + count
        let isDecoded = stored.withUnsafeBytes { stored in
            memory.withUnsafeMutableBytes { memory in
                let target = UnsafeMutableRawBufferPointer(rebasing: memory[inside])
                return (try? decompressor.decompress(stored, codec: codec, into: target)) != nil
            }
        }
        let isOutsideIntact =
            memory[..<inside.lowerBound] == Self.intact && memory[inside.upperBound...] == Self.intact
        #expect(isOutsideIntact, "written outside of the destination, seed \(String(describing: seed))")
        return isDecoded ? Array(memory[inside]) : nil
    }
}

private func zstdFrame(_ content: [UInt8], checksum: Bool = false) -> [UInt8] {
    let context = ZSTD_createCCtx()
    defer { ZSTD_freeCCtx(context) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum ? 1 : 0)
    var frame = [UInt8](repeating: 0, count: ZSTD_compressBound(content.count))
    let count = ZSTD_compress2(context, &frame, frame.count, content, content.count)
    return Array(frame.prefix(count))
}

private func stored(_ content: [UInt8], _ mode: CompressionMode) -> [UInt8] {
    let compressor = Compressor(mode)
    return content.withUnsafeBytes { Array(compressor.compress($0, isCompressedContent: false).stored) }
}

@Suite struct HostileInputTests {
    private let content = Samples.text(5000, seed: 9)

    /// 10,000 mutations for each codec: bytes changed, removed, doubled and joined.
    @Test(arguments: [(Codec.zstd, CompressionMode.auto), (.lz4, .lz4)])
    func mutations(codec: Codec, mode: CompressionMode) {
        let target = Target()
        let original = stored(content, mode)
        #expect(target.decode(original, codec, count: content.count) == content)
        for seed in 0..<UInt64(10_000) {
            var generator = SplitMix64(seed: seed)
            var bytes = original
            for _ in 0...Int.random(in: 0...3, using: &generator) where !bytes.isEmpty {
                // Headers control the decoder, so half of the changes go there.
                let reach = Bool.random(using: &generator) ? bytes.count : min(bytes.count, 16)
                let place = Int.random(in: 0..<reach, using: &generator)
                switch Int.random(in: 0..<6, using: &generator) {
                case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 2: bytes.removeSubrange(place...)
                case 3: bytes.removeSubrange(place..<min(place + 5, bytes.count))
                case 4: bytes.insert(contentsOf: bytes[place...].prefix(20), at: place)
                default: bytes += original.prefix(place)
                }
            }
            let count = seed % 3 == 0 ? Int.random(in: 0...6000, using: &generator) : content.count
            _ = target.decode(bytes, codec, count: count, seed: seed)
        }
    }

    @Test(arguments: [Codec.zstd, .lz4])
    func randomBytes(codec: Codec) {
        let target = Target()
        for seed in 0..<UInt64(2000) {
            let bytes = Samples.random(Int(seed % 300), seed: seed)
            _ = target.decode(bytes, codec, count: Int(seed % 1000))
        }
    }

    @Test func everyWrongLengthIsRefused() {
        let target = Target()
        for (codec, mode) in [(Codec.raw, CompressionMode.off), (.zstd, .auto), (.lz4, .lz4)] {
            let bytes = stored(content, mode)
            for count in [0, 1, content.count - 1, content.count + 1, content.count * 2] {
                #expect(target.decode(bytes, codec, count: count) == nil)
            }
            for count in [0, 1, 4, 5, 6, bytes.count - 1] {
                #expect(target.decode(Array(bytes.prefix(count)), codec, count: content.count) == nil)
            }
            #expect(target.decode(bytes + [0], codec, count: content.count) == nil)
        }
    }

    /// 64 MiB of zeros in a few kilobytes. They are declared with their true length or a shorter one.
    @Test func bombsAreRefused() {
        let target = Target()
        let bomb = zstdFrame([UInt8](repeating: 0, count: 64 << 20))
        #expect(bomb.count < 10_000)
        #expect(target.decode(bomb, .zstd, count: 1000) == nil)
        var lying = zstdFrame([UInt8](repeating: 0, count: 70_000))
        // The frame has a single segment and a four-byte size after magic and descriptor. Set this size to 1000 bytes.
        #expect(lying[4] & 0xe0 == 0xa0)
        lying.replaceSubrange(5..<9, with: [0xe8, 3, 0, 0])
        #expect(target.decode(lying, .zstd, count: 1000) == nil)
        // A match with a very large length: token, one literal, offset 1, bytes of the length.
        let lz4Bomb = [0x1f, 0, 1, 0] + [UInt8](repeating: 255, count: 10_000) + [0]
        #expect(target.decode(lz4Bomb, .lz4, count: 1000) == nil)
    }

    /// A frame with one raw block, a window descriptor, and an eight-byte content size.
    @Test func windowsAreBounded() {
        func frame(windowLog: Int) -> [UInt8] {
            [0x28, 0xb5, 0x2f, 0xfd, 0xc0, UInt8(windowLog - 10) << 3] + [3, 0, 0, 0, 0, 0, 0, 0]
                + [3 << 3 | 1, 0, 0] + [1, 2, 3]
        }
        let target = Target()
        #expect(target.decode(frame(windowLog: 20), .zstd, count: 3) == [1, 2, 3])
        #expect(target.decode(frame(windowLog: 27), .zstd, count: 3) == [1, 2, 3])
        for windowLog in 28...41 {
            #expect(target.decode(frame(windowLog: windowLog), .zstd, count: 3) == nil)
        }
    }

    @Test func onlyOnePlainFrameIsAccepted() {
        let target = Target()
        let frame = zstdFrame(content)
        #expect(target.decode(frame, .zstd, count: content.count) == content)
        let half = content.count / 2
        let two = zstdFrame(Array(content[..<half])) + zstdFrame(Array(content[half...]))
        #expect(target.decode(two, .zstd, count: content.count) == nil)
        let skippable: [UInt8] = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2]
        #expect(target.decode(skippable + frame, .zstd, count: content.count) == nil)
        #expect(target.decode(frame + skippable, .zstd, count: content.count) == nil)
        #expect(target.decode(skippable, .zstd, count: 0) == nil)
        #expect(target.decode(zstdFrame([]), .zstd, count: 0) == nil)
    }

    @Test func dictionaryIdsAreRefused() {
        var frame = zstdFrame(content)
        frame[4] |= 1
        frame.insert(42, at: 5)
        #expect(Target().decode(frame, .zstd, count: content.count) == nil)
    }

    /// A frame need not have a checksum. If it has one, the checksum must be correct.
    @Test func frameChecksumsHold() {
        let target = Target()
        var frame = zstdFrame(content, checksum: true)
        #expect(target.decode(frame, .zstd, count: content.count) == content)
        frame[frame.count - 1] ^= 1
        #expect(target.decode(frame, .zstd, count: content.count) == nil)
    }
}
