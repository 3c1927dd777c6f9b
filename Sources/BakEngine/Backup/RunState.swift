// RunState: what the threads of one run share, of whatever kind it is: the first failure and the wish to stop.

import BakCore
import Synchronization

/// What ends a run early: the first failure of any of its threads, or the user's wish.
package final class RunState: Sendable {
    private let wish: StopSignal
    private let cancelled = Atomic<Bool>(false)
    private let hasFailed = Atomic<Bool>(false)
    private let firstFailure = Mutex<(any Error)?>(nil)

    package init(stop: StopSignal) { wish = stop }

    /// The failure that ended the run.
    package var failure: (any Error)? {
        hasFailed.load(ordering: .acquiring) ? firstFailure.withLock { $0 } : nil
    }

    /// Whether the user wants the run to end.
    package var wasCancelled: Bool { cancelled.load(ordering: .acquiring) }

    /// Whether to begin nothing new.
    package func shouldStop() -> Bool {
        if wish.isRequested { cancelled.store(true, ordering: .releasing) }
        return wasCancelled || hasFailed.load(ordering: .acquiring)
    }

    /// Ends the run without a failure of its own.
    func stop() { cancelled.store(true, ordering: .releasing) }

    /// Runs a thread's work; its error ends the run. False when it threw.
    @discardableResult
    package func guarding(_ body: () throws -> Void) -> Bool {
        do {
            try body()
            return true
        } catch {
            firstFailure.withLock { if $0 == nil { $0 = error } }
            hasFailed.store(true, ordering: .releasing)
            return false
        }
    }
}
