// CandidateScan: which positions may be cuts at all. It looks at every byte of every file, so it is the
// one loop of chunking whose speed matters, and the seam at which a faster kernel can take its place.

/// A run of 64 positions with at least one candidate among them.
struct CandidateBlock: Equatable {
    /// How many positions a block covers.
    static let width = 64
    /// The first position of the block.
    var start: Int
    /// Bit `i` is set when position `start + i` is a candidate.
    var mask: UInt64
}

/// The candidate test: `w &* multiplier &+ addend < threshold`, where `w` is the little-endian word of the
/// four bytes before a position.
struct CandidateScan: Sendable {
    let multiplier: UInt32
    let addend: UInt32
    let threshold: UInt32

    init(key: ChunkerKey, densityExponent: Int) {
        multiplier = key.multiplier
        addend = key.addend
        threshold = 1 << (32 - UInt32(densityExponent))
    }

    /// Finds the first block with a candidate, going from `first` in steps of the block's width.
    ///
    /// - Parameters:
    ///   - bytes: where position 0 is; at least `last` bytes must be readable there.
    ///   - first: the first position to test, at least 4.
    ///   - last: the last position to test; positions beyond it are never set in the mask.
    /// - Returns: the block, or nil when there is no candidate from `first` through `last`.
    func nextBlock(in bytes: UnsafeRawPointer, from first: Int, through last: Int) -> CandidateBlock? {
        let test = VectorTest(self)
        var position = first
        while position <= last {
            let isVectorInBounds = position + VectorTest.reach <= last
            if !isVectorInBounds || test.anyCandidate(inBlockAt: bytes + position) {
                let count = min(CandidateBlock.width, last + 1 - position)
                let mask = mask(at: bytes + position, count: count)
                if mask != 0 { return CandidateBlock(start: position, mask: mask) }
            }
            position += CandidateBlock.width
        }
        return nil
    }

    /// The mask of the `count` positions from `position` on, one at a time.
    private func mask(at position: UnsafeRawPointer, count: Int) -> UInt64 {
        var mask: UInt64 = 0
        for offset in 0..<count {
            let word = UInt32(littleEndian: (position + offset - 4).loadUnaligned(as: UInt32.self))
            if word &* multiplier &+ addend < threshold { mask |= 1 << UInt64(offset) }
        }
        return mask
    }
}

/// The same test on 64 positions at once, shaped after what every 64-bit x86 has (SSE2).
///
/// SSE2 multiplies 32-bit lanes only in pairs, into 64 bits; so words are loaded eight bytes apart, as the
/// low halves of 64-bit lanes, and the low halves of the products are gathered afterwards. It also compares
/// signed only; adding 2^31 to both sides keeps the order.
private struct VectorTest {
    private let multiplier: SIMD4<UInt64>
    private let addend: SIMD4<UInt32>
    private let threshold: SIMD4<Int32>

    /// How far past a block's first position the test reads: the block, less the byte that its last position
    /// does not look at, and the unused high half of the last lane.
    static let reach = CandidateBlock.width - 1 + 4

    private typealias Mask = SIMDMask<SIMD4<Int32>>

    @inline(__always)
    init(_ scan: CandidateScan) {
        let signBit: UInt32 = 1 << 31
        multiplier = SIMD4(repeating: UInt64(scan.multiplier))
        addend = SIMD4(repeating: scan.addend &+ signBit)
        threshold = SIMD4(repeating: Int32(bitPattern: scan.threshold &+ signBit))
    }

    @inline(__always)
    func anyCandidate(inBlockAt position: UnsafeRawPointer) -> Bool {
        let firstWord = position - 4
        return any(test32(firstWord) .| test32(firstWord + 32))
    }

    /// Tests 32 positions: eight neighbours, each with three more at a distance of 8, 16 and 24.
    @inline(__always)
    private func test32(_ word: UnsafeRawPointer) -> Mask {
        (test4(word) .| test4(word + 1)) .| (test4(word + 2) .| test4(word + 3))
            .| (test4(word + 4) .| test4(word + 5)) .| (test4(word + 6) .| test4(word + 7))
    }

    @inline(__always)
    private func test4(_ word: UnsafeRawPointer) -> Mask {
        let words = word.loadUnaligned(as: SIMD4<UInt64>.self) & 0xffff_ffff
        let products = unsafeBitCast(words &* multiplier, to: SIMD8<UInt32>.self).evenHalf
        return unsafeBitCast(products &+ addend, to: SIMD4<Int32>.self) .< threshold
    }
}
