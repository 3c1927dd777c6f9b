import Testing

@testable import bakstore_benchmark

/// A benchmark that nobody runs stops working. This test runs it on small data, and checks what does not depend on the
/// machine.
@Suite struct DedupQualityTests {
    @Test func runsSmallAndComparesFairly() {
        var rows: [ComparisonRow] = []
        DedupQuality(scale: .tiny, corpusFolder: nil).run { rows.append($0) }
        #expect(rows.count == 7)
        for row in rows {
            #expect(row.ours.uniqueFraction < 1, "\(row.name): nothing was found twice")
            #expect(abs(row.ours.averageSize / row.rival.averageSize - 1) < 0.05, "\(row.name)")
            #expect(row.description.split(separator: "|", omittingEmptySubsequences: false).count == 10 + 2)
        }
    }
}
