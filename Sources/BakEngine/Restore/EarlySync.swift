// EarlySync: makes the files that a restore has written so far durable while the restore continues, so that the sync at
// the end is short. An early sync guarantees nothing. Only the sync at the end does: it also covers whatever the early
// syncs missed.

import BakCore
import BakStorage
import Synchronization

/// One sync of a target on a thread of its own. `finish` must be called.
final class EarlySync: Sendable {
    private let state = RunState(stop: .never)
    private let done: Done
    private let thread: Thread

    private final class Done: Sendable { let flag = Atomic<Bool>(false) }

    /// Starts the sync.
    init(_ target: any RestoreTarget) {
        let (state, done) = (state, Done())
        self.done = done
        thread = Thread {
            state.guarding { try target.synchronize() }
            done.flag.store(true, ordering: .releasing)
        }
    }

    /// True if `finish` would not wait.
    var isDone: Bool { done.flag.load(ordering: .acquiring) }

    /// Waits for the sync to end. Its error must not be dropped: the system reports lost writes only once.
    func finish() throws {
        thread.join()
        if let failure = state.failure { throw failure }
    }
}
