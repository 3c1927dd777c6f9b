// Vocabulary: random sizes and words that are distributed as unevenly as real ones.

import SeededNumbers

extension SplitMix64 {
    /// Returns a number in `range`. Small numbers are more likely, as with file sizes and the ranks of words: the
    /// number is proportional to the cube of a uniform number.
    mutating func skewed(in range: Range<Int>) -> Int {
        let unit = Double(next() >> 11) / Double(1 << 53)
        return range.lowerBound + Int(unit * unit * unit * Double(range.count))
    }

    /// Returns true once in `period` calls on average.
    mutating func once(in period: Int) -> Bool { Int.random(in: 0..<period, using: &self) == 0 }
}

/// A vocabulary for generating text. Its words are used as unevenly as in real text.
struct Vocabulary {
    private let words: [[UInt8]]

    init(count: Int, _ generator: inout SplitMix64) {
        words = (0..<count).map { _ in
            let length = 2 + generator.skewed(in: 0..<14)
            return (0..<length).map { _ in UInt8.random(in: 97...122, using: &generator) }
        }
    }

    /// Appends `count` words, separated by `separator`.
    func append(
        _ count: Int, to text: inout [UInt8], separator: UInt8 = 32, _ generator: inout SplitMix64
    ) {
        for index in 0..<count {
            if index > 0 { text.append(separator) }
            text += words[generator.skewed(in: 0..<words.count)]
        }
    }
}
