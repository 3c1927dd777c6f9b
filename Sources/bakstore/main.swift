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
let code = Commands.main(
    Array(Machine.arguments.dropFirst()), terminal: SystemConsole(), clock: SystemTime(),
    variable: Machine.variable, localOffset: Machine.utcOffsetSeconds,
    stop: StopSignal { Interruption.isRequested })
exit(code.rawValue)
