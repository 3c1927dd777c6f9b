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
                #expect(row.scan.samples.values.count == KernelScale.tiny.roundCount)
            }
        }
    }

    @Test func whatTheMachineCanDoIsMeasuredToo() {
        let limits = KernelSpeed(scale: .tiny).limits()
        #expect(limits.map(\.name) == ["read", "ids"] + ScanKernel.available.map { "scan, \($0.name)" })
        #expect(Set(limits.dropFirst(2).map(\.digest)).count == 1)
    }
}
