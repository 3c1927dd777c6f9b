// Interruption: a person's wish to stop, seen by the engine as a flag. The handler does nothing but what
// is safe in one: it adds to an atomic counter and, the second time, ends the process.

import CLinux
import Glibc
import Synchronization

/// SIGHUP, SIGINT and SIGTERM as a flag, and the signals that must not end the process.
public enum Interruption {
    /// 1 for any SIGHUP, and 2 for each other wish.
    private static let wishes = Atomic<Int>(0)

    /// Whether the process was asked to stop.
    public static var isRequested: Bool { wishes.load(ordering: .relaxed) > 0 }

    /// Installs the handlers: SIGHUP, SIGINT and SIGTERM set the flag, and a second SIGINT or SIGTERM exits with 130 at
    /// once. A SIGHUP is never the second one: a terminal that is closed sends it twice, by the kernel and by the
    /// shell, and with a SIGTERM where the session ends. One that is ignored already, as under `nohup`, stays ignored.
    /// SIGPIPE and SIGXFSZ are ignored, so that a closed pipe and a size limit are errors of a write.
    public static func install() {
        // The counter exists before the first signal can ask for it.
        _ = wishes.load(ordering: .relaxed)
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { Interruption.note($0) }
        // Calls under way go on where they can; the flag is looked at between them.
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
