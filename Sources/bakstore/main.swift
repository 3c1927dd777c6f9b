// bakstore: a deduplicating backup. The program's outside: arguments in, exit code out.

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
