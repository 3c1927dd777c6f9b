// Inputs for the chunking tests, made from seeds. A failure names its seed, so that it can be repeated.

import SeededNumbers

@testable import BakChunking

/// The shapes of test data.
enum InputKind: CaseIterable {
    case random, zeros, text, repeatedPattern, lowEntropy

    func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        switch self {
        case .random: return generator.bytes(count)
        case .zeros: return [UInt8](repeating: 0, count: count)
        case .text: return Self.text(count, &generator)
        case .repeatedPattern:
            let pattern = generator.bytes(1 + Int(generator.next() % 300))
            return (0..<count).map { pattern[$0 % pattern.count] }
        case .lowEntropy: return generator.bytes(count).map { $0 < 240 ? 0 : $0 & 3 }
        }
    }

    private static func text(_ count: Int, _ generator: inout SplitMix64) -> [UInt8] {
        let words = (0..<200).map { _ in
            generator.bytes(Int.random(in: 1...9, using: &generator)).map { $0 % 26 + 97 }
        }
        var text: [UInt8] = []
        while text.count < count {
            text += words.randomElement(using: &generator)!
            text.append(UInt8.random(in: 0..<12, using: &generator) == 0 ? 10 : 32)
        }
        return Array(text.prefix(count))
    }
}

extension ChunkerKey {
    /// Makes a key from a seed.
    init(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        self.init(secret: generator.bytes(Self.secretByteCount))
    }
}

extension ChunkerParameters {
    /// Sizes small enough for a debug build: 256, 512 and 768 bytes.
    static let small = ChunkerParameters(minimum: 256, maximum: 768)!
}

extension Chunker {
    /// Returns the cuts of a whole input, as offsets from its start. The last cut is the input's end.
    func cuts(of input: [UInt8]) -> [Int] {
        input.withUnsafeBytes { input in
            var cuts: [Int] = []
            var rest = input
            while let length = firstCut(in: rest, isLast: true) {
                cuts.append((cuts.last ?? 0) + length)
                rest = UnsafeRawBufferPointer(rebasing: rest[length...])
            }
            return cuts
        }
    }

    /// Returns the chunks of a whole input.
    func chunks(of input: [UInt8]) -> [ArraySlice<UInt8>] {
        let cuts = cuts(of: input)
        return zip([0] + cuts, cuts).map { input[$0..<$1] }
    }
}
