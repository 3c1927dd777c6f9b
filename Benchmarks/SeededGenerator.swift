// SeededGenerator: the randomness of every generated input.

/// SplitMix64 (Steele, Lea and Flood, 2014): the same sequence from the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// Uniformly random bytes.
    mutating func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            for index in buffer.indices where index & 7 == 0 {
                let word = next()
                for offset in index..<min(index + 8, count) {
                    buffer[offset] = UInt8(truncatingIfNeeded: word >> (8 * UInt64(offset - index)))
                }
            }
            initialized = count
        }
    }

    /// A number in `range`, small ones more likely: `u` cubed, as the sizes of files and ranks of words go.
    mutating func skewed(in range: Range<Int>) -> Int {
        let unit = Double(next() >> 11) / Double(1 << 53)
        return range.lowerBound + Int(unit * unit * unit * Double(range.count))
    }

    /// True once in `period` calls on average.
    mutating func once(in period: Int) -> Bool { Int.random(in: 0..<period, using: &self) == 0 }
}

/// A vocabulary to write text with, its words used as unevenly as those of real text.
struct Vocabulary {
    private let words: [[UInt8]]

    init(count: Int, _ generator: inout SeededGenerator) {
        words = (0..<count).map { _ in
            let length = 2 + generator.skewed(in: 0..<14)
            return (0..<length).map { _ in UInt8.random(in: 97...122, using: &generator) }
        }
    }

    /// Appends `count` words, separated by `separator`.
    func append(
        _ count: Int, to text: inout [UInt8], separator: UInt8 = 32, _ generator: inout SeededGenerator
    ) {
        for index in 0..<count {
            if index > 0 { text.append(separator) }
            text += words[generator.skewed(in: 0..<words.count)]
        }
    }
}
