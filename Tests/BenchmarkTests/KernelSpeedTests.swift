import BakChunking
import Testing

@testable import bakstore_benchmark

@Suite struct KernelSpeedTests {
    @Test func everyKernelDoesTheSameWork() {
        let measurement = KernelSpeed(scale: .tiny)
        for average in KernelScale.tiny.averages {
            let rows = measurement.rows(average: average)
            #expect(rows.map(\.name) == ScanKernel.available.map(\.name) + ["FastCDC NC2"])
            #expect(Set(rows.dropLast().map(\.cuts)).count == 1)
            #expect(Set(rows.dropLast().map(\.ids)).count == 1)
            for row in rows {
                let real = KernelScale.tiny.byteCount / row.chunkCount
                #expect((average * 3 / 4...average * 5 / 4).contains(real), "\(row.name): \(real)")
                #expect(row.scan.count == KernelScale.tiny.roundCount)
                #expect(row.text.split(separator: "|", omittingEmptySubsequences: false).count == 8 + 2)
            }
        }
    }

    @Test func linesAreTablesOrJSON() {
        for asJSON in [false, true] {
            var lines: [String] = []
            KernelSpeed.run(scale: .tiny, asJSON: asJSON) {
                lines += $0.split(separator: "\n").map(String.init)
            }
            let rowCount = 2 * (ScanKernel.available.count + 1) + 2 + ScanKernel.available.count
            #expect(lines.count == rowCount + (asJSON ? 0 : 4))
            #expect(lines.allSatisfy { $0.first == (asJSON ? "{" : "|") && $0.last == (asJSON ? "}" : "|") })
        }
    }
}
