import Testing

@testable import bakstore

@Suite struct ReasonTallyTests {
    @Test func theFirstFewAreToldAndTheRestCounted() {
        let tally = ReasonTally(toldEach: 2)
        let told = (0..<5).map { tally.add("denied", [UInt8($0)]) } + [tally.add("gone", [9])]
        #expect(told == [true, true, false, false, false, true])
        #expect(
            tally.untold == [ReasonTally.Line(reason: "denied", count: 5, untold: 3, example: [0])])
    }

    @Test func memoryIsBounded() {
        let tally = ReasonTally(toldEach: 0)
        for number in 0..<10_000 { _ = tally.add("reason \(number)", []) }
        #expect(tally.untold.count == ReasonTally.mostReasons + 1)
        #expect(tally.untold.map(\.count).reduce(0, +) == 10_000)
        #expect(tally.untold.last?.reason == ReasonTally.otherReasons)
        #expect(!tally.add("reason 5", []) && tally.untold[5].count == 2)
    }
}
