// Ticker: calls a closure again and again from its own thread while progress is shown.

import BakCore

/// Keeps a live display alive.
final class Ticker: @unchecked Sendable {
    private let monitor = Monitor()
    private var isStopped = false
    private var thread: Thread?

    /// Starts calling `show`, unless the reporter shows nothing.
    init(_ reporter: ProgressReporter, _ show: @escaping @Sendable () -> Void) {
        guard reporter.isShown else { return }
        thread = Thread { [self] in
            while true {
                show()
                let isOver = monitor.locked {
                    if !isStopped { monitor.wait(milliseconds: 50) }
                    return isStopped
                }
                if isOver { return }
            }
        }
    }

    /// Stops the calls. May be called again.
    func stop() {
        let thread = monitor.locked {
            isStopped = true
            monitor.signalAll()
            defer { self.thread = nil }
            return self.thread
        }
        thread?.join()
    }
}
