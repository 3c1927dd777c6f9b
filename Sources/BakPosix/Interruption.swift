// Interruption: a person's wish to stop, seen by the engine as a flag. The handler does nothing but what
// is safe in one: it adds to an atomic counter and, the second time, ends the process.

import CLinux
import Glibc
import Synchronization

/// SIGHUP, SIGINT and SIGTERM as a flag, and the signals that must not end the process.
public enum Interruption {
    private static let count = Atomic<Int>(0)

    /// Whether the process was asked to stop.
    public static var isRequested: Bool { count.load(ordering: .relaxed) > 0 }

    /// Installs the handlers: the first SIGHUP, SIGINT or SIGTERM sets the flag, the second one exits with 130 at
    /// once. A SIGHUP that is ignored already, as under `nohup`, stays ignored. SIGPIPE and SIGXFSZ are ignored, so that
    /// a closed pipe and a size limit are errors of a write.
    public static func install() {
        // The counter exists before the first signal can ask for it.
        _ = count.load(ordering: .relaxed)
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in Interruption.note() }
        // Calls under way go on where they can; the flag is looked at between them.
        action.sa_flags = SA_RESTART
        if linux_is_ignored(SIGHUP) == 0 { sigaction(SIGHUP, &action, nil) }
        sigaction(SIGINT, &action, nil)
        sigaction(SIGTERM, &action, nil)
    }

    private static func note() {
        if count.add(1, ordering: .relaxed).oldValue > 0 { _exit(130) }
    }
}
