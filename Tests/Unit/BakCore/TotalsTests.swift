// A total stops at the largest number.

import BakCore
import Testing

@Suite struct TotalsTests {
    @Test func aTotalStopsAtTheLargestNumber() {
        #expect([UInt64]().total { $0 } == 0)
        #expect([UInt64(1), 2, 3].total { $0 } == 6)
        #expect([UInt64.max - 1, 1].total { $0 } == .max)
        #expect([1 << 63, 1 << 63, UInt64(5)].total { $0 } == .max)
        #expect([Int.max, Int.max, Int.max].total { UInt64($0) } == .max)
    }
}
