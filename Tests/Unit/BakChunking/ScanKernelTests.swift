import CKernels
import Glibc
import SeededNumbers
import Testing

@testable import BakChunking

extension ScanKernel: CustomTestStringConvertible {
    /// The name of the kernel.
    public var testDescription: String { name }

    /// Returns the candidates from `first` through `last`. Asks the kernel for at most `capacity` of them at a time.
    func candidates(
        in bytes: UnsafeRawPointer, from first: Int, through last: Int, test: ck_test, capacity: Int
    ) -> [Int] {
        var list = [UInt32](repeating: 0, count: capacity)
        var found: [Int] = []
        var position = first
        while position <= last {
            let before = position
            let count = withUnsafePointer(to: test) {
                scan($0, bytes.assumingMemoryBound(to: UInt8.self), &position, last, &list, capacity)
            }
            #expect(position > before && count <= capacity)
            found += list[..<count].map { Int($0) }
        }
        return found
    }
}

/// The definition of the scan, which looks at one position at a time.
private func reference(_ bytes: UnsafeRawPointer, from first: Int, through last: Int, _ test: ck_test)
    -> [Int]
{
    first > last
        ? []
        : (first...last).filter {
            let word = UInt32(littleEndian: (bytes + $0 - 4).loadUnaligned(as: UInt32.self))
            return word &* test.multiplier &+ test.addend < test.threshold
        }
}

/// A test for candidates, with a name that describes their density.
private struct Density {
    var name: String
    var test: ck_test

    /// Every threshold at which a comparison could go wrong, with ordinary multiplier and addend. Also a test that only
    /// zero words pass, and a test that all other words pass.
    static let all =
        [0, 1, 2, 1 << 17, 1 << 28, 1 << 31 - 1, 1 << 31, 1 << 31 + 1, UInt32.max].map {
            Density(
                name: "below \($0)",
                test: ck_test(multiplier: 0x9e37_79b1, addend: 0x85eb_ca6b, threshold: $0))
        } + [
            Density(name: "zeros pass", test: ck_test(multiplier: 1, addend: 0, threshold: 1)),
            Density(name: "zeros fail", test: ck_test(multiplier: 1, addend: .max, threshold: .max)),
        ]
}

/// Two pages between two pages that trap on access.
private struct GuardedMemory: ~Copyable {
    private let mapping: UnsafeMutableRawPointer
    private static let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let bytes: UnsafeMutableRawBufferPointer

    init() {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        mapping = mmap(nil, 4 * Self.page, PROT_READ | PROT_WRITE, flags, -1, 0)
        bytes = UnsafeMutableRawBufferPointer(start: mapping + Self.page, count: 2 * Self.page)
        mprotect(mapping, Self.page, PROT_NONE)
        mprotect(mapping + 3 * Self.page, Self.page, PROT_NONE)
    }

    deinit { munmap(mapping, 4 * Self.page) }
}

@Suite struct ScanKernelTests {
    /// Lengths near one, two and three blocks, and a long one that fills any list.
    private static let lengths = Array(0...4) + Array(61...69) + Array(125...133) + [191, 192, 193, 700]

    @Test(arguments: ScanKernel.available, InputKind.allCases)
    func everyAlignmentAndLengthEqualsTheDefinition(kernel: ScanKernel, kind: InputKind) {
        let input = kind.bytes(1000, seed: 1)
        input.withUnsafeBytes { input in
            for density in Density.all {
                for alignment in 0...64 {
                    let bytes = input.baseAddress! + alignment
                    let all = reference(bytes, from: 4, through: 4 + Self.lengths.last!, density.test)
                    for length in Self.lengths {
                        let last = 3 + length
                        let found = kernel.candidates(
                            in: bytes, from: 4, through: last, test: density.test, capacity: 256)
                        if found != all.prefix(while: { $0 <= last }) {
                            Issue.record("\(density.name), alignment \(alignment), length \(length)")
                            return
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: ScanKernel.available)
    func shortListsLoseNothing(kernel: ScanKernel) {
        var generator = SplitMix64(seed: 2)
        for density in Density.all {
            let input = generator.bytes(2000)
            input.withUnsafeBytes { input in
                let bytes = input.baseAddress!
                for capacity in [64, 65, 100, 127, 128, 1000] {
                    let first = Int.random(in: 4...200, using: &generator)
                    let last = Int.random(in: first - 1...2000, using: &generator)
                    let found = kernel.candidates(
                        in: bytes, from: first, through: last, test: density.test, capacity: capacity)
                    #expect(found == reference(bytes, from: first, through: last, density.test))
                }
            }
        }
    }

    /// Windows that begin or end at every distance from memory that traps on access.
    @Test(arguments: ScanKernel.available)
    func nothingElseIsRead(kernel: ScanKernel) {
        let memory = GuardedMemory()
        let test = ck_test(multiplier: 0x9e37_79b1, addend: 1, threshold: 1 << 28)
        for length in 1...200 {
            let atStart = UnsafeRawPointer(memory.bytes.baseAddress!)
            #expect(
                kernel.candidates(in: atStart, from: 4, through: 3 + length, test: test, capacity: 64)
                    == reference(atStart, from: 4, through: 3 + length, test))
            let last = length + 3
            let atEnd = atStart + memory.bytes.count - last
            #expect(
                kernel.candidates(in: atEnd, from: 4, through: last, test: test, capacity: 64)
                    == reference(atEnd, from: 4, through: last, test))
        }
    }

    @Test(arguments: ScanKernel.available, InputCase.all)
    func cutsAreTheReferences(kernel: ScanKernel, input: InputCase) throws {
        var generator = SplitMix64(seed: input.seed)
        for (minimum, maximum) in [(64, 65), (64, 127), (100, 164), (255, 321), (64, 1000), (256, 768)] {
            let parameters = try #require(ChunkerParameters(minimum: minimum, maximum: maximum))
            let secret = generator.bytes(ChunkerKey.secretByteCount)
            let chunker = Chunker(parameters: parameters, key: ChunkerKey(secret: secret), kernel: kernel)
            let reference = ReferenceChunker(parameters: parameters, secret: secret)
            let bytes = input.bytes(3000 + Int(generator.next() % 500))
            #expect(chunker.cuts(of: bytes) == reference.cuts(of: bytes), "\(minimum)...\(maximum)")
        }
    }

    /// The sizes that repositories use.
    @Test(arguments: ScanKernel.available, [ChunkerParameters.general, .media])
    func largeCutsAreThoseOfTheScalarKernel(kernel: ScanKernel, parameters: ChunkerParameters) throws {
        let scalar = try #require(ScanKernel.available.last)
        #expect(scalar.name == "scalar")
        let key = ChunkerKey(seed: 3)
        for kind in [InputKind.random, .text] {
            let bytes = kind.bytes(4 << 20, seed: 3)
            #expect(
                Chunker(parameters: parameters, key: key, kernel: kernel).cuts(of: bytes)
                    == Chunker(parameters: parameters, key: key, kernel: scalar).cuts(of: bytes), "\(kind)")
        }
    }

    @Test func anUnknownNameIsRefused() {
        #expect(!ScanKernel.force("mmx"))
        #expect(!ScanKernel.force(""))
    }
}
