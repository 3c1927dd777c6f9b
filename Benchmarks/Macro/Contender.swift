// Contender: a program under measurement, and its commands for each operation.

/// An operation to measure.
enum Operation: String, CaseIterable, Sendable {
    case firstBackup = "first backup"
    case unchanged = "unchanged"
    case reread = "everything re-read"
    case restore = "restore"
    case check = "check, every byte"
    case list = "list the snapshots"
    case week = "after a week"

    /// True if the operation takes only milliseconds, so that it is repeated within a round.
    var isShort: Bool { self == .unchanged || self == .list }
    /// True if the operation moves every byte of the library.
    var isThroughput: Bool { [.firstBackup, .reread, .restore, .check].contains(self) }
}

/// The folders of a contender in one round.
struct Place: Sendable {
    /// The library.
    var source: String
    /// The contender's own folder for this round.
    var folder: String
    /// A number that differs in every call, for commands that need a unique name.
    var serial = 0

    var repository: String { folder + "/repository" }
    var cache: String { folder + "/cache" }
    /// The folder for restored or copied files. The benchmark removes or keeps it afterwards.
    var target: String { folder + "/target" }
}

/// A command, and whether its time counts.
struct Step: Sendable {
    var command: Command
    var isTimed = true
}

/// A program under measurement.
struct Contender: Sendable {
    var name: String
    /// The version that the program reports.
    var version: String
    /// True for another backup program, with which bakstore is compared. It takes part in fewer rounds.
    var isPeer = false
    /// Returns the commands for an operation; nil if the program does not have it.
    var steps: @Sendable (Operation, Place) -> [Step]?
}

extension Contender {
    /// The yardstick: the times that the machine needs at least, to copy and list the same files and to start a
    /// program.
    static let yardstick = Contender(name: "yardstick", version: "cp -a + sync, find -printf, true") {
        operation, place in
        switch operation {
        case .firstBackup:
            [Step(command: Command("cp", "-a", place.source, place.target)), durable(place.target)]
        case .unchanged, .week: [Step(command: Command("find", place.source, "-printf", "%p %s %T@\n"))]
        case .list: [Step(command: Command("true"))]
        // These operations are compared with the yardstick's copy in the same round.
        case .reread, .restore, .check: nil
        }
    }

    /// Returns a `sync` of the file system of `path`. It does not wait for other file systems.
    private static func durable(_ path: String) -> Step { Step(command: Command("sync", "-f", path)) }

    /// Makes bakstore. With `isEncrypted`, its repository is encrypted with the cipher of `--encryption auto`.
    static func bakstore(_ program: String, isEncrypted: Bool = false, log: String) -> Contender? {
        guard let version = Command(program, "version").firstLine(log: log) else { return nil }
        return Contender(name: isEncrypted ? "encrypted" : "bakstore", version: version) { operation, place in
            func call(_ words: String...) -> Step {
                var command = Command(program)
                command.words += words + ["--repo", place.repository, "--quiet"]
                command.variables = ["BAKSTORE_CACHE_DIR": place.cache]
                if isEncrypted { command.variables["BAKSTORE_PASSWORD"] = "benchmark" }
                return Step(command: command)
            }
            switch operation {
            case .firstBackup:
                var make = isEncrypted ? call("init", "--encryption", "auto") : call("init")
                make.isTimed = false
                return [make, call("backup", place.source)]
            case .unchanged, .week: return [call("backup", place.source)]
            case .reread: return [call("backup", "--force", place.source)]
            // A restore is durable when it returns, like a backup.
            case .restore: return [call("restore", "latest", "--target", place.target)]
            case .check: return [call("check", "--read-data")]
            case .list: return [call("snapshots")]
            }
        }
    }

    /// Makes restic, which always encrypts and compresses by default.
    static func restic(log: String) -> Contender? {
        guard let version = Command("restic", "version").firstLine(log: log) else { return nil }
        return Contender(name: "restic", version: version, isPeer: true) { operation, place in
            func call(_ words: String..., isTimed: Bool = true) -> Step {
                var command = Command("restic")
                command.words += ["--quiet"] + words
                command.variables = [
                    "RESTIC_REPOSITORY": place.repository, "RESTIC_PASSWORD": "benchmark",
                    "RESTIC_CACHE_DIR": place.cache,
                ]
                return Step(command: command, isTimed: isTimed)
            }
            switch operation {
            case .firstBackup: return [call("init", isTimed: false), call("backup", place.source)]
            case .unchanged, .week: return [call("backup", place.source)]
            case .reread: return [call("backup", "--force", place.source)]
            case .restore:
                return [call("restore", "latest", "--target", place.target), durable(place.target)]
            case .check: return [call("check", "--read-data")]
            case .list: return [call("snapshots")]
            }
        }
    }

    /// Makes borg, without encryption.
    static func borg(log: String) -> Contender? {
        guard let version = Command("borg", "--version").firstLine(log: log) else { return nil }
        return Contender(name: "borg", version: version, isPeer: true) { operation, place in
            func call(_ words: String..., isTimed: Bool = true, folder: String? = nil) -> Step {
                var command = Command("borg", folder: folder)
                command.words += words
                command.variables = [
                    "BORG_REPO": place.repository, "BORG_BASE_DIR": place.cache,
                    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
                ]
                return Step(command: command, isTimed: isTimed)
            }
            switch operation {
            case .firstBackup:
                return [
                    call("init", "--encryption", "none", isTimed: false),
                    call("create", "::first", place.source),
                ]
            case .unchanged, .week: return [call("create", "::next-\(place.serial)", place.source)]
            case .reread:
                return [call("create", "--files-cache", "disabled", "::reread", place.source)]
            case .restore:
                return [
                    Step(command: Command("mkdir", "-p", place.target), isTimed: false),
                    call("extract", "::first", folder: place.target), durable(place.target),
                ]
            case .check: return [call("check", "--verify-data")]
            case .list: return [call("list")]
            }
        }
    }
}
