import Synchronization
import Testing

@testable import BakCore

@Suite struct StopSignalTests {
    @Test func aSignalIsAskedEachTime() {
        let count = Atomic<Int>(0)
        let stop = StopSignal { count.add(1, ordering: .relaxed).newValue > 2 }
        #expect(!stop.isRequested && !stop.isRequested && stop.isRequested)
        #expect(!StopSignal.never.isRequested && count.load(ordering: .relaxed) == 3)
    }

    @Test func threadsAskTogether() {
        let isOver = Atomic<Bool>(false)
        let stop = StopSignal { isOver.load(ordering: .acquiring) }
        let ended = Atomic<Int>(0)
        let threads = (0..<4).map { _ in
            Thread {
                while !stop.isRequested {}
                ended.add(1, ordering: .relaxed)
            }
        }
        isOver.store(true, ordering: .releasing)
        for thread in threads { thread.join() }
        #expect(ended.load(ordering: .relaxed) == 4)
    }
}
