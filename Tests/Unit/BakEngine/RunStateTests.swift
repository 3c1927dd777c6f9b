// The state that the threads of one run share: the first failure, the request to stop, the queues and the counters.

import BakCore
import Synchronization
import Testing

@testable import BakEngine

@Suite struct RunStateTests {
    private struct Failure: Error, Equatable { var number: Int }

    private static func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let threads = (0..<count).map { number in Thread { body(number) } }
        threads.forEach { $0.join() }
    }

    @Test func theFirstFailureEndsTheRunAndStays() {
        let state = RunState(stop: .never)
        #expect(state.guarding {} && !state.shouldStop() && state.failure == nil)
        #expect(!state.guarding { throw Failure(number: 1) })
        #expect(!state.guarding { throw Failure(number: 2) })
        #expect(state.shouldStop() && !state.wasCancelled)
        #expect(state.failure as? Failure == Failure(number: 1))
    }

    @Test func aFailureIsSeenWholeByEveryThread() {
        for _ in 0..<100 {
            let state = RunState(stop: .never)
            let unseen = Atomic<Int>(0)
            Self.onThreads(6) { number in
                state.guarding { if number % 2 == 0 { throw Failure(number: number) } }
                if number % 2 == 1 { while !state.shouldStop() {} }
                if state.failure as? Failure == nil { unseen.add(1, ordering: .relaxed) }
            }
            #expect(unseen.load(ordering: .relaxed) == 0)
        }
    }

    @Test func theWishToStopIsKept() {
        let wishes = Atomic<Bool>(false)
        let state = RunState(stop: StopSignal { wishes.load(ordering: .relaxed) })
        #expect(!state.shouldStop())
        wishes.store(true, ordering: .relaxed)
        #expect(state.shouldStop())
        wishes.store(false, ordering: .relaxed)
        #expect(state.shouldStop() && state.wasCancelled && state.failure == nil)
        let stopped = RunState(stop: .never)
        stopped.stop()
        #expect(stopped.shouldStop() && stopped.wasCancelled && stopped.failure == nil)
    }

    @Test func resultsReachTheThreadThatWaitsForThem() {
        let flow = BackupFlow(RunState(stop: .never))
        let jobs = (0..<400).map { FileJob(path: Array("f\($0)".utf8), inode: UInt64($0), recorded: nil) }
        let worker = Thread {
            for start in stride(from: 0, to: jobs.count, by: 8) {
                // A job without a result counts as dropped.
                flow.complete(Array(jobs[start..<start + 8]), Array(repeating: .dropped, count: 7))
            }
        }
        var dropped = 0
        for job in jobs {
            while true {
                guard let result = flow.awaitResult(of: job) else { continue }
                if case .dropped = result { dropped += 1 }
                break
            }
        }
        worker.join()
        #expect(dropped == jobs.count)
    }

    @Test func aFailureLetsNoThreadOfABackupWait() {
        let flow = BackupFlow(RunState(stop: .never))
        let job = FileJob(path: [], inode: 1, recorded: nil)
        let ended = Atomic<Int>(0)
        let waiting: [@Sendable () -> Void] = [
            { while flow.found.pop() != nil {} }, { while flow.steps.pop() != nil {} },
            { while flow.jobs.pop() != nil {} }, { while flow.jobs.push([]) {} },
            { while flow.awaitResult(of: job) == nil {} },
        ]
        let threads = waiting.map { wait in
            Thread {
                wait()
                ended.add(1, ordering: .relaxed)
            }
        }
        flow.guarding { throw Failure(number: 7) }
        threads.forEach { $0.join() }
        #expect(ended.load(ordering: .relaxed) == waiting.count)
        #expect(flow.state.failure as? Failure == Failure(number: 7))
    }

    @Test func countersLoseNoUpdate() {
        let (backup, restore) = (ProgressCounters(), RestoreCounters())
        Self.onThreads(8) { _ in
            for _ in 0..<1000 {
                backup.update { $0.files += 1 }
                restore.update { $0.processedBytes.add(3) }
                // The thread that shows the progress reads the counters at the same time.
                _ = (backup.current.files, restore.report.processedBytes)
            }
        }
        #expect(backup.current.files == 8000 && restore.report.processedBytes == 24_000)
    }
}
