// EarlySync: makes what a restore has written so far durable while it writes on, so that little is left to wait for
// at the end. It is no promise: only the sync at the end is, which finds what an early one did not.

import BakCore
import BakStorage
import Synchronization

/// One sync of a target on a thread of its own. `finish` must be called.
final class EarlySync: Sendable {
    private let state = RunState(stop: .never)
    private let done: Done
    private let thread: Thread

    private final class Done: Sendable { let flag = Atomic<Bool>(false) }

    /// Begins.
    init(_ target: any RestoreTarget) {
        let (state, done) = (state, Done())
        self.done = done
        thread = Thread {
            state.guarding { try target.synchronize() }
            done.flag.store(true, ordering: .releasing)
        }
    }

    /// Whether `finish` would not wait.
    var isDone: Bool { done.flag.load(ordering: .acquiring) }

    /// Waits for the end. An error is the target's last word on what was written: the system tells of it once.
    func finish() throws {
        thread.join()
        if let failure = state.failure { throw failure }
    }
}
