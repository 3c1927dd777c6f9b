// The test doubles of stores, and all decorators, do what every store must do.

import BakCore
import BakStorage
import TestSupport
import Testing

@Suite struct ConformanceTests {
    @Test func doublesConform() throws {
        #expect(try StoreConformance.faults { SimulatedStore() } == [])
        #expect(try StoreConformance.faults { MemoryStore() } == [])
        #expect(try StoreConformance.faults { FaultyStore(MemoryStore()) } == [])
        #expect(try StoreConformance.faults { ForwardingStore(SimulatedStore()) } == [])
    }

    @Test func decoratorsConform() throws {
        #expect(try StoreConformance.faults { StoreDecorator(SimulatedStore()) } == [])
        #expect(try StoreConformance.faults { RecordingStore(SimulatedStore()) } == [])
        #expect(
            try StoreConformance.faults {
                RateLimitedStore(
                    SimulatedStore(), writeBytesPerSecond: 1000, readBytesPerSecond: 1000,
                    time: SimulatedTime(), pause: { _ in })
            } == [])
        #expect(
            try StoreConformance.faults {
                RetryingStore(SimulatedStore(), random: SeededRandom(seed: 1)) { _ in true }
            } == [])
        #expect(
            try StoreConformance.faults {
                CachingStore(SimulatedStore(), in: MemoryCache(), keeping: { _ in true }) { _, _ in true }
            } == [])
    }

    /// Each call of a store may fail for a while. With repeated calls, the store conforms.
    @Test func whatFailsForAWhileIsNotNoticed() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            let faults = try StoreConformance.faults {
                let store = SimulatedStore()
                store.setFault(.failSometimes(SeededRandom(seed: seed), kind: .transient(retryAfterMs: nil)))
                return RetryingStore(store, random: SeededRandom(seed: seed)) { _ in true }
            }
            #expect(faults == [], "seed \(seed)")
        }
    }
}
