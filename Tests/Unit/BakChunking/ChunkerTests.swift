import Glibc
import SeededNumbers
import Testing

@testable import BakChunking

/// An input for a test. Its description is enough to repeat a failure.
struct InputCase: CustomTestStringConvertible {
    var kind: InputKind
    var seed: UInt64

    static let all = InputKind.allCases.flatMap { kind in
        (1...3).map { InputCase(kind: kind, seed: $0) }
    }
    var testDescription: String { "\(kind), seed \(seed)" }

    func bytes(_ count: Int) -> [UInt8] { kind.bytes(count, seed: seed) }
}

@Suite struct ChunkerTests {
    private static let chunker = Chunker(parameters: .small, key: ChunkerKey(seed: 7))
    private static let inputSize = 20_000

    @Test(arguments: InputCase.all)
    func cutsCoverTheInputWithinBounds(input: InputCase) {
        let bytes = input.bytes(Self.inputSize)
        let cuts = Self.chunker.cuts(of: bytes)
        #expect(cuts.last == bytes.count)
        let sizes = zip([0] + cuts, cuts).map { $1 - $0 }
        #expect(sizes.allSatisfy { $0 > 0 && $0 <= ChunkerParameters.small.maximum })
        #expect(sizes.dropLast().allSatisfy { $0 >= ChunkerParameters.small.minimum })
    }

    @Test(arguments: InputCase.all)
    func productionEqualsTheReference(input: InputCase) throws {
        var generator = SplitMix64(seed: input.seed)
        // Windows with lengths around a block's length, and with the lowest and highest density of candidates.
        for (minimum, maximum) in [(64, 65), (64, 127), (100, 164), (255, 321), (64, 1000), (256, 768)] {
            let parameters = try #require(ChunkerParameters(minimum: minimum, maximum: maximum))
            let secret = generator.bytes(ChunkerKey.secretByteCount)
            let chunker = Chunker(parameters: parameters, key: ChunkerKey(secret: secret))
            let reference = ReferenceChunker(parameters: parameters, secret: secret)
            let bytes = input.bytes(4000 + Int(generator.next() % 500))
            #expect(chunker.cuts(of: bytes) == reference.cuts(of: bytes), "\(minimum)...\(maximum)")
        }
    }

    @Test func shortInputsEqualTheReference() throws {
        var generator = SplitMix64(seed: 1)
        let parameters = try #require(ChunkerParameters(minimum: 64, maximum: 150))
        let secret = generator.bytes(ChunkerKey.secretByteCount)
        let chunker = Chunker(parameters: parameters, key: ChunkerKey(secret: secret))
        let reference = ReferenceChunker(parameters: parameters, secret: secret)
        for count in 0...320 {
            let bytes = generator.bytes(count)
            #expect(chunker.cuts(of: bytes) == reference.cuts(of: bytes), "\(count) bytes")
        }
    }

    @Test func shortInputsAreNotSliced() {
        for count in 1...ChunkerParameters.small.maximum - 1 {
            let cuts = Self.chunker.cuts(of: InputKind.random.bytes(count, seed: UInt64(count)))
            let sizes = zip([0] + cuts, cuts).map { $1 - $0 }
            #expect(sizes.last! >= min(count, ChunkerParameters.small.minimum / 2), "\(count) bytes")
        }
    }

    @Test(arguments: InputCase.all)
    func cutsDoNotDependOnReadSizes(input: InputCase) {
        let bytes = input.bytes(Self.inputSize)
        let expected = Self.chunker.cuts(of: bytes)
        var generator = SplitMix64(seed: input.seed)
        for largestRead in [1, 100, 700, 5000] {
            let cuts = Self.cutsWhileReading(bytes, upTo: largestRead, &generator)
            #expect(cuts == expected, "reads of up to \(largestRead) bytes")
        }
    }

    /// Returns the cuts if the chunker gets 1 to `largestRead` bytes at a time, as from a reader.
    private static func cutsWhileReading(
        _ input: [UInt8], upTo largestRead: Int, _ generator: inout SplitMix64
    ) -> [Int] {
        var cuts: [Int] = []
        var start = 0
        var filled = 0
        while start < input.count {
            let length = input.withUnsafeBytes {
                chunker.firstCut(
                    in: UnsafeRawBufferPointer(rebasing: $0[start..<filled]), isLast: filled == input.count)
            }
            if let length {
                start += length
                cuts.append(start)
            } else {
                filled = min(input.count, filled + Int.random(in: 1...largestRead, using: &generator))
            }
        }
        return cuts
    }

    /// The chunker cuts at the minimum in a window, so the effect of an edit ends within a few chunks. Two sequences of
    /// cuts over the same bytes meet as soon as one candidate is the minimum in both windows.
    @Test(arguments: [InputKind.random, .text], ["insert", "delete", "overwrite"])
    func editsChangeOnlyChunksNearby(kind: InputKind, edit: String) {
        var newChunks: [Int] = []
        for seed in UInt64(1)...12 {
            let original = kind.bytes(Self.inputSize, seed: seed)
            var generator = SplitMix64(seed: seed)
            let place = Int.random(in: 0..<original.count - 50, using: &generator)
            let length = Int.random(in: 1...50, using: &generator)
            var edited = original
            let inserted = edit == "delete" ? [] : generator.bytes(length)
            edited.replaceSubrange(place..<place + (edit == "insert" ? 0 : length), with: inserted)

            let known = Set(Self.chunker.chunks(of: original))
            newChunks.append(Self.chunker.chunks(of: edited).count { !known.contains($0) })
        }
        #expect(newChunks.allSatisfy { $0 <= 12 }, "new chunks by seed, from 1: \(newChunks)")
        #expect(newChunks.reduce(0, +) <= 4 * newChunks.count, "new chunks by seed, from 1: \(newChunks)")
    }

    /// The input ends where readable memory ends, for every alignment of the last block.
    @Test func nothingIsReadPastTheEnd() throws {
        let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        let memory = try #require(mmap(nil, 2 * pageSize, PROT_READ | PROT_WRITE, flags, -1, 0))
        defer { munmap(memory, 2 * pageSize) }
        #expect(mprotect(memory + pageSize, pageSize, PROT_NONE) == 0)
        for maximum in 200...330 {
            let parameters = try #require(ChunkerParameters(minimum: 64, maximum: maximum))
            let chunker = Chunker(parameters: parameters, key: ChunkerKey(seed: 1))
            for count in [maximum, maximum - 1, 100] {
                let input = UnsafeRawBufferPointer(start: memory + pageSize - count, count: count)
                #expect(chunker.firstCut(in: input, isLast: true) == count, "zeros have no candidates")
            }
        }
    }

    @Test func keysDecideTheCuts() {
        let bytes = InputKind.random.bytes(Self.inputSize, seed: 1)
        let cuts = (UInt64(1)...8).map {
            Chunker(parameters: .small, key: ChunkerKey(seed: $0)).cuts(of: bytes)
        }
        #expect(Set(cuts).count == cuts.count)
        let first = Set(cuts[0]).subtracting([bytes.count])
        for others in cuts.dropFirst() { #expect(first.intersection(others).count < first.count / 4) }
    }

    @Test func everyPartOfTheSecretCounts() {
        let bytes = InputKind.random.bytes(Self.inputSize, seed: 1)
        var generator = SplitMix64(seed: 2)
        let secret = generator.bytes(ChunkerKey.secretByteCount)
        let original = Chunker(parameters: .small, key: ChunkerKey(secret: secret)).cuts(of: bytes)
        for changed in [16, 193, 199] {  // the hash secret, K, A
            var other = secret
            other[changed] ^= 0x40
            let cuts = Chunker(parameters: .small, key: ChunkerKey(secret: other)).cuts(of: bytes)
            #expect(cuts != original, "secret byte \(changed)")
        }
    }

    @Test func averageSizesAreAsPromised() {
        let cuts = Self.chunker.cuts(of: InputKind.random.bytes(400_000, seed: 1))
        let average = Double(cuts.last!) / Double(cuts.count)
        #expect(abs(average / Double(ChunkerParameters.small.average) - 1) < 0.05, "average \(average)")
    }

    /// These numbers may never change: every repository's deduplication depends on them.
    @Test func knownAnswers() throws {
        var generator = SplitMix64(seed: 1)
        let key = ChunkerKey(secret: Array(0..<200))
        let small = Chunker(parameters: .small, key: key)
        #expect(
            small.cuts(of: generator.bytes(6000))
                == [382, 936, 1654, 2373, 3101, 3561, 4154, 4901, 5581, 5872, 6000])
        let general = Chunker(parameters: .general, key: key)
        #expect(
            general.cuts(of: generator.bytes(1 << 20))
                == [85_808, 249_458, 341_664, 514_061, 626_854, 780_006, 849_133, 1_021_373, 1_048_576])
        let media = Chunker(parameters: .media, key: key)
        #expect(
            media.cuts(of: generator.bytes(3 << 20))
                == [1_161_471, 1_709_193, 2_448_966, 3_145_728])
    }

    @Test func parametersAreValidated() throws {
        #expect(ChunkerParameters(minimum: 63, maximum: 1000) == nil)
        #expect(ChunkerParameters(minimum: 64, maximum: 64) == nil)
        #expect(ChunkerParameters(minimum: 64, maximum: 8 << 20 | 1) == nil)
        #expect(ChunkerParameters(minimum: -1, maximum: 0) == nil)
        let extremes = try #require(ChunkerParameters(minimum: 64, maximum: 8 << 20))
        #expect(extremes.densityExponent == 17)
        #expect(ChunkerParameters.general.densityExponent == 12)
        #expect(ChunkerParameters.media.densityExponent == 15)
        #expect(ChunkerParameters.general.average == 128 << 10)
        #expect(ChunkerParameters.media.average == 1 << 20)
    }
}
