// The lock, the queue and the threads on which everything else is built. The tests count events and never measure
// times. `tools/thread-sanitizer` runs these tests with a check of every memory access.

import BakCore
import Synchronization
import Testing

/// Runs `body` on `count` threads at the same time, each with its number. Waits for all threads.
private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let threads = (0..<count).map { number in Thread { body(number) } }
    threads.forEach { $0.join() }
}

@Suite struct MonitorTests {
    private struct Refused: Error {}

    /// A number that only the lock protects.
    private final class Guarded: @unchecked Sendable {
        let monitor = Monitor()
        var number = 0
        var isOpen = false
        var waiting = 0
    }

    @Test func oneThreadAtATimeIsInside() {
        let guarded = Guarded()
        onThreads(8) { number in
            for _ in 0..<2000 {
                if number % 2 == 0 {
                    guarded.monitor.locked { guarded.number += 1 }
                } else {
                    guarded.monitor.lock()
                    guarded.number += 1
                    guarded.monitor.unlock()
                }
            }
        }
        #expect(guarded.number == 16_000)
    }

    @Test func aResultComesOutAndAnErrorGivesTheLockBack() {
        let monitor = Monitor()
        #expect(monitor.locked { 7 } == 7)
        #expect(throws: Refused.self) { try monitor.locked { throw Refused() } }
        #expect(monitor.locked { 8 } == 8)
    }

    @Test func aSignalWakesEveryThreadThatWaits() {
        let guarded = Guarded()
        let waiters = (0..<6).map { _ in
            Thread {
                guarded.monitor.locked {
                    guarded.waiting += 1
                    guarded.monitor.signalAll()
                    while !guarded.isOpen { guarded.monitor.wait() }
                    guarded.number += 1
                }
            }
        }
        guarded.monitor.locked {
            // A waiting thread releases the lock. Otherwise this thread could never see all six waiting.
            while guarded.waiting < 6 { guarded.monitor.wait() }
            #expect(guarded.number == 0)
            guarded.isOpen = true
            guarded.monitor.signalAll()
        }
        waiters.forEach { $0.join() }
        #expect(guarded.number == 6)
    }

    @Test(arguments: [0, 1, 999])
    func aBoundedWaitEndsWithoutASignal(milliseconds: Int) {
        let guarded = Guarded()
        guarded.monitor.locked {
            guarded.monitor.wait(milliseconds: milliseconds)
            guarded.number += 1
        }
        // The wait took the lock again, and the lock has been released since.
        #expect(guarded.monitor.locked { guarded.number } == 1)
    }

    @Test func aSignalEndsABoundedWait() {
        let guarded = Guarded()
        let opener = Thread {
            guarded.monitor.locked {
                guarded.isOpen = true
                guarded.monitor.signalAll()
            }
        }
        guarded.monitor.locked { while !guarded.isOpen { guarded.monitor.wait(milliseconds: 60_000) } }
        opener.join()
        #expect(guarded.isOpen)
    }
}

@Suite struct BoundedQueueTests {
    /// Counts the elements that were certainly pushed, and those that may have been popped. A push counts after it, and
    /// a pop before it. So the difference is never larger than the number of elements in the queue.
    private final class Count: @unchecked Sendable {
        // This is not a Mutex, because the thread sanitizer does not see into Mutex's library.
        private let monitor = Monitor()
        private var (donePushes, begunPops) = (0, 0)

        func pushed() { monitor.locked { donePushes += 1 } }
        func popping() { monitor.locked { begunPops += 1 } }
        var mostInside: Int { monitor.locked { donePushes - begunPops } }
    }

    @Test func whatComesFirstGoesFirst() {
        let queue = BoundedQueue<Int>(capacity: 400)
        var expected = 0
        // Far more elements than the queue keeps before it drops the front of its array.
        for round in 0..<2000 {
            #expect(queue.push(round))
            guard round % 3 != 0 else { continue }
            #expect(queue.pop() == expected)
            expected += 1
            if round % 6 == 1 {
                #expect(queue.pop() == expected)
                expected += 1
            }
        }
        queue.close()
        while let next = queue.pop() {
            #expect(next == expected)
            expected += 1
        }
        #expect(expected == 2000 && queue.isEmpty)
    }

    @Test(arguments: [1, 2, 7])
    func everyElementComesOutOnceAndInItsProducersOrder(capacity: Int) {
        let queue = BoundedQueue<(producer: Int, number: Int)>(capacity: capacity)
        let count = Count()
        let monitor = Monitor()
        nonisolated(unsafe) var lists: [[(producer: Int, number: Int)]] = []
        let overfull = Atomic<Int>(0)
        let consumers = (0..<3).map { _ in
            Thread {
                var own: [(producer: Int, number: Int)] = []
                while true {
                    count.popping()
                    guard let element = queue.pop() else { break }
                    own.append(element)
                }
                monitor.locked { lists.append(own) }
            }
        }
        onThreads(4) { producer in
            for number in 0..<500 {
                guard queue.push((producer, number)) else { return }
                count.pushed()
                if count.mostInside > capacity { overfull.add(1, ordering: .relaxed) }
            }
        }
        queue.close()
        consumers.forEach { $0.join() }
        #expect(overfull.load(ordering: .relaxed) == 0)
        var seen: Set<Int> = []
        for list in lists {
            for producer in 0..<4 {
                let numbers = list.filter { $0.producer == producer }.map(\.number)
                #expect(numbers == numbers.sorted())
                seen.formUnion(numbers.map { producer * 500 + $0 })
            }
        }
        #expect(lists.reduce(0) { $0 + $1.count } == 2000 && seen.count == 2000)
    }

    @Test func aLargeElementWaitsUntilTheQueueIsEmpty() {
        let queue = BoundedQueue<Int>(capacity: 16)
        let popping = Atomic<Int>(0)
        let consumer = Thread {
            while true {
                popping.add(1, ordering: .sequentiallyConsistent)
                guard queue.pop() != nil else { break }
            }
        }
        for round in 0..<200 {
            for number in 0..<5 { queue.push(number) }
            queue.push(5, isLarge: true)
            #expect(popping.load(ordering: .sequentiallyConsistent) >= 6 * round + 5)
        }
        queue.close()
        consumer.join()
    }

    @Test func closingLetsConsumersFinishAndTurnsProducersAway() {
        let queue = BoundedQueue<Int>(capacity: 2)
        queue.push(1)
        queue.push(2)
        let refused = Atomic<Int>(0)
        let producers = (0..<3).map { _ in
            Thread { if !queue.push(3) { refused.add(1, ordering: .relaxed) } }
        }
        queue.close()
        producers.forEach { $0.join() }
        // A producer that found the queue full was refused when the queue closed, because no element was popped
        // meanwhile.
        #expect(refused.load(ordering: .relaxed) == 3)
        #expect(!queue.push(4))
        #expect(queue.pop() == 1 && queue.pop() == 2 && queue.pop() == nil && queue.pop() == nil)
    }

    @Test func closingWakesConsumersThatWait() {
        let queue = BoundedQueue<Int>(capacity: 1)
        let ended = Atomic<Int>(0)
        let consumers = (0..<4).map { _ in
            Thread { if queue.pop() == nil { ended.add(1, ordering: .relaxed) } }
        }
        queue.close()
        consumers.forEach { $0.join() }
        #expect(ended.load(ordering: .relaxed) == 4)
    }

    @Test func whatWasTakenIsNotKeptAlive() {
        final class Large: Sendable {}
        let queue = BoundedQueue<Large>(capacity: 4)
        weak var remembered: Large?
        do {
            let large = Large()
            remembered = large
            queue.push(large)
        }
        #expect(remembered != nil)
        do { _ = queue.pop() }
        #expect(remembered == nil)
    }
}

@Suite struct ThreadTests {
    @Test func joiningWaitsForTheEndAndShowsWhatWasWritten() {
        for round in 0..<200 {
            nonisolated(unsafe) var written = 0
            let thread = Thread { written = round + 1 }
            thread.join()
            #expect(written == round + 1)
        }
    }

    @Test func threadsRunBesideEachOther() {
        let monitor = Monitor()
        nonisolated(unsafe) var arrived = 0
        // Each thread waits for all others, so threads that ran one after another would never end.
        onThreads(16) { _ in
            monitor.locked {
                arrived += 1
                monitor.signalAll()
                while arrived < 16 { monitor.wait() }
            }
        }
        #expect(arrived == 16)
    }

    @Test func theClosureIsLetGoOf() {
        final class Held: Sendable {}
        weak var remembered: Held?
        do {
            let held = Held()
            remembered = held
            let thread = Thread { withExtendedLifetime(held) {} }
            thread.join()
        }
        #expect(remembered == nil)
    }
}
