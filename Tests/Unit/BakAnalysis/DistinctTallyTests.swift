// The counts of a tally of names, and its estimates of the names that it forgot.

import BakCore
import TestSupport
import Testing

@testable import BakAnalysis

@Suite struct DistinctTallyTests {
    @Test func countsEachNameOnce() {
        let tally = DistinctTally(kinds: 2, slotLimit: 1 << 12)
        let random = SeededRandom(seed: 1)
        let ids = (0..<1000).map { _ in ID128(high: 0, low: random.next()) }
        var new = 0
        for kind in [0, 1] {
            let pieces = ids.prefix(kind == 0 ? 600 : 1000).map { NamedPiece($0, byteCount: 10) }
            tally.insert(pieces, kind: kind) { _ in new += 1 }
        }
        #expect(new == 1000 && !tally.isEstimate)
        #expect(
            tally.estimate(kind: 0).distinct.count == 600 && tally.estimate(kind: 1).distinct.count == 400)
        #expect(tally.estimate.all.bytes == 16_000 && tally.estimate.distinct.bytes == 10_000)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func estimatesWhatItForgot(seed: UInt64) {
        let tally = DistinctTally(kinds: 1, slotLimit: 1 << 12)
        let random = SeededRandom(seed: seed)
        var different: [UInt64] = []
        for _ in 0..<100 {
            let names = (0..<1000).map { _ -> UInt64 in
                // One name in five was there before, and one in ten is always the same.
                switch random.next() % 10 {
                case 0: return 1
                case 1, 2:
                    return different.isEmpty ? 1 : different[Int(random.next() % UInt64(different.count))]
                default:
                    different.append(random.next())
                    return different[different.count - 1]
                }
            }
            tally.insert(names.map { NamedPiece(ID128(high: 0, low: $0), byteCount: 8) }, kind: 0)
        }
        let estimate = tally.estimate
        #expect(tally.isEstimate && estimate.all.count == 100_000 && estimate.all.bytes == 800_000)
        let ratio = Double(estimate.distinct.count) / Double(different.count + 1)
        #expect(abs(ratio - 1) < 0.08, "\(ratio)")
        #expect(estimate.distinct.bytes == 8 * estimate.distinct.count)
    }
}
