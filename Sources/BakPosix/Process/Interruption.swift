// Interruption: turns the user's wish to stop into a flag that the engine polls. The signal handler makes only calls
// that are safe in a signal handler: it adds to an atomic counter and, the second time, ends the process.

import CLinux
import Glibc
import Synchronization

/// Turns SIGHUP, SIGINT and SIGTERM into a flag, and ignores signals that must not end the process.
public enum Interruption {
    /// 1 for any number of SIGHUPs, plus 2 for each other signal.
    private static let wishes = Atomic<Int>(0)

    /// True if the process was asked to stop.
    public static var isRequested: Bool { wishes.load(ordering: .relaxed) > 0 }

    /// Installs the handlers. SIGHUP, SIGINT and SIGTERM set the flag, and a second SIGINT or SIGTERM exits with 130 at
    /// once. A SIGHUP never counts as the second signal: when a terminal closes, the kernel and the shell each send
    /// one, and the end of the session sends a SIGTERM as well. If SIGHUP is already ignored, as under `nohup`, it
    /// stays ignored. SIGPIPE and SIGXFSZ are ignored, so a closed pipe or a size limit becomes an error of a write.
    public static func install() {
        // Make the counter exist before the first signal.
        _ = wishes.load(ordering: .relaxed)
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { Interruption.note($0) }
        // The kernel repeats an interrupted call if it can. The engine checks the flag between calls.
        action.sa_flags = SA_RESTART
        if linux_is_ignored(SIGHUP) == 0 { sigaction(SIGHUP, &action, nil) }
        sigaction(SIGINT, &action, nil)
        sigaction(SIGTERM, &action, nil)
    }

    private static func note(_ signal: Int32) {
        if signal == SIGHUP {
            wishes.bitwiseOr(1, ordering: .relaxed)
        } else if wishes.add(2, ordering: .relaxed).oldValue > 1 {
            _exit(130)
        }
    }
}
