// RunState: the state that all threads of one run share: the first failure and the request to stop. Backups, restores
// and other runs use it.

import BakCore
import Synchronization

/// Ends a run early, at the first failure of any thread or at the user's request.
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

    /// True if the user wants the run to end.
    package var wasCancelled: Bool { cancelled.load(ordering: .acquiring) }

    /// True if nothing new should begin.
    package func shouldStop() -> Bool {
        if wish.isRequested { cancelled.store(true, ordering: .releasing) }
        return wasCancelled || hasFailed.load(ordering: .acquiring)
    }

    /// Ends the run without a failure.
    func stop() { cancelled.store(true, ordering: .releasing) }

    /// Runs a thread's work. An error ends the run; the function then returns false.
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
