// ExitCode: the program's exit codes. They are restic's, and part of the interface because scripts rely on them.

import BakCore
import BakRepository

enum ExitCode: Int32, Sendable, CaseIterable {
    /// The command did everything that was asked for.
    case done = 0
    /// The command failed.
    case failed = 1
    /// The command line or the environment cannot be understood.
    case usage = 2
    /// The command is done, but some items could not be read; they were listed.
    case incomplete = 3
    /// Damage was found in the repository.
    case damage = 4
    /// There is no repository at that place.
    case noRepository = 10
    /// The store cannot do what was asked: it is read-only or lacks an operation.
    case storeUnable = 11
    /// The password is wrong, or there is none.
    case wrongPassword = 12
    /// Interrupted by the user.
    case interrupted = 130

    /// The meaning in one line for people.
    var meaning: String {
        switch self {
        case .done: "everything was done"
        case .failed: "the command failed; the last line says why and what to do"
        case .usage:
            "the command line, the configuration or an environment variable is wrong, or names an address instead of a folder"
        case .incomplete: "done, except for some items, which are listed"
        case .damage:
            "damage was found in the repository; the output names what it affects, and the rest is done; run: bakstore check --read-data"
        case .noRepository:
            "there is no bakstore repository at that place: none, one of another program, or one on a disk that is not connected"
        case .storeUnable: "the repository is read-only, or its disk cannot keep several programs apart"
        case .wrongPassword: "the password is wrong or missing"
        case .interrupted: "interrupted: Ctrl-C, SIGTERM or SIGHUP"
        }
    }

    /// Returns the exit code of a command that could not read some records of snapshots. A record that this user has no
    /// right to read does not count as damage.
    static func of(_ unreadable: [UnreadableSnapshot]) -> ExitCode {
        if unreadable.isEmpty { return .done }
        let areRefused = unreadable.allSatisfy { ($0.error as? CorruptionError)?.isRefused == true }
        return areRefused ? .incomplete : .damage
    }
}
