// bakstore: a deduplicating backup. The program's entry point: it passes the arguments to `Commands` and exits with the
// code that they return.

import BakCore
import BakPosix
import Glibc

Terminal.reserveNumbers()
Interruption.install()
Machine.explainAborts()
Machine.raiseOpenFileLimit()
Machine.keepOwnersRights()
let arguments = Machine.arguments
if arguments.isEmpty {
    // Swift reads the arguments from /proc.
    let text =
        "bakstore: cannot see the command, because /proc is not mounted. Run: mount -t proc proc /proc\n"
    _ = write(STDERR_FILENO, text, text.utf8.count)
    exit(ExitCode.failed.rawValue)
}
let code = Commands.main(
    Array(arguments.dropFirst()), terminal: SystemConsole(), clock: SystemTime(),
    variable: Machine.variable, localOffset: Machine.utcOffsetSeconds,
    keyCache: KernelKeyCache(), stop: StopSignal { Interruption.isRequested })
exit(code.rawValue)
