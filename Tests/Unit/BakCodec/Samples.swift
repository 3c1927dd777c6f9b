// Samples: content of many types, made from seeds so that a failure can be repeated.

import SeededNumbers

enum Samples {
    /// The bytes for the known answers, which were computed with other implementations.
    static func numbered(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: ($0 * $0 * 7 + $0 * 31 + 11) >> ($0 % 3)) }
    }

    static func random(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        return generator.bytes(count)
    }

    /// Random blocks, each changed by `transform`, one after another.
    static func blocks(
        _ count: Int, of blockBytes: Int, seed: UInt64, _ transform: ([UInt8]) -> [UInt8]
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            bytes += transform(random(blockBytes, seed: seed == 0 ? 0 : seed << 32 + UInt64(bytes.count)))
        }
        return Array(bytes.prefix(count))
    }

    /// Words with a skewed distribution, in lines of varying length.
    static func text(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        let words = (0..<2000).map { _ in
            (0..<Int.random(in: 2...9, using: &generator)).map { _ in
                UInt8.random(in: UInt8(ascii: "a")...UInt8(ascii: "z"), using: &generator)
            }
        }
        var bytes: [UInt8] = []
        while bytes.count < count {
            let random = generator.next()
            let rank = Double(random >> 40) / Double(1 << 24)
            bytes += words[Int(rank * rank * rank * 2000)]
            bytes.append(UInt8(ascii: random % 9 == 0 ? "\n" : " "))
        }
        return Array(bytes.prefix(count))
    }

    /// The same text with two bytes for each character, little-endian.
    static func utf16(_ count: Int, seed: UInt64) -> [UInt8] {
        Array(text(count / 2 + 1, seed: seed).flatMap { [$0, 0] }.prefix(count))
    }

    /// Random bytes in base64's alphabet: 6 bits for each byte, and no repeats.
    static func base64(_ count: Int, seed: UInt64) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        return random(count, seed: seed).map { alphabet[Int($0 & 63)] }
    }

    /// Pages like a database's: a header, zeros, and at the end records with counters and text.
    static func databasePages(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        let story = text(20_000, seed: seed)
        var bytes: [UInt8] = []
        var row: UInt32 = 0
        while bytes.count < count {
            var page: [UInt8] = [13, 0, 0, 0, UInt8.random(in: 20...40, using: &generator)]
            page += [UInt8](repeating: 0, count: Int.random(in: 100...1500, using: &generator))
            while page.count < 4096 {
                row += 1
                withUnsafeBytes(of: row.bigEndian) { page += $0 }
                page += random(8, seed: generator.next())
                let start = Int.random(in: 0..<story.count - 120, using: &generator)
                page += story[start..<start + Int.random(in: 20...120, using: &generator)]
            }
            bytes += page.prefix(4096)
        }
        return Array(bytes.prefix(count))
    }

    /// A gradient with noise in the lowest bits, and three bytes for each pixel.
    static func bitmap(_ count: Int, seed: UInt64) -> [UInt8] {
        let noise = random(count, seed: seed)
        return (0..<count).map {
            UInt8(truncatingIfNeeded: $0 / 3 % 1920 / 12 + $0 / 5760 / 4 + $0 % 3 * 20) &+ (noise[$0] & 3)
        }
    }

    /// 16-bit sound: a slow wave and noise of `noiseBits` bits.
    static func pcm(_ count: Int, noiseBits: Int, seed: UInt64) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        var level = 0.0
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 2)
        while bytes.count < count {
            // A bounded random walk is similar to the sum of many tones.
            let random = generator.next()
            level = level * 0.999 + Double(random >> 40) / Double(1 << 24) * 800 - 400
            let sample = Int16(clamping: Int(level) + Int(random % (1 << UInt64(noiseBits))))
            withUnsafeBytes(of: sample.littleEndian) { bytes += $0 }
        }
        return Array(bytes.prefix(count))
    }
}
