// ErrorReport: turns a thrown error into one line on standard error and an exit code. The line says what failed, on
// what, and what to do next.

import BakCore
import BakEngine
import BakRepository
import BakStorage

/// An error that carries its own exit code.
struct CommandFailure: Error, Equatable {
    var code: ExitCode
    var message: String
}

/// What to tell the user about an error.
struct ErrorReport: Equatable {
    var code: ExitCode
    /// One line without a full stop.
    var message: String

    /// Makes the report of `error`. `suggestions` completes the commands in it.
    init(_ error: any Error, _ suggestions: SuggestedCommands = SuggestedCommands()) {
        switch error {
        case let error as UsageError:
            code = .usage
            message = error.message + Self.help(error.command)
        case let error as CommandFailure: (code, message) = (error.code, error.message)
        case OutputError.failed(let reason):
            (code, message) = (.failed, "cannot write to standard output: \(reason)")
        case let error as PatternError: (code, message) = (.usage, error.description)
        case let error as RepositoryError: (code, message) = Self.report(error)
        case let error as CorruptionError:
            code = error.isWhole ? .failed : .damage
            message = error.description + (error.isWhole ? "" : Self.damageAdvice)
        case let error as LatestUnreadableError:
            code = .damage
            message =
                "\(error). \(Self.advice(error.snapshot)). To use the newest readable one, add --skip-damaged"
        case let error as ArchiveEndsError:
            code = .damage
            message =
                "\(error). \(Self.advice(error.snapshot)). To back up without the archive, add --no-archive"
        case let error as MissingBlobError:
            (code, message) = (.damage, error.description + Self.damageAdvice)
        case let error as StoreError: (code, message) = Self.report(error)
        case let error as TargetError:
            code = .failed
            message = error.description
        case let error as SourceError: (code, message) = (.failed, error.description)
        default: (code, message) = (.failed, "\(error)")
        }
        message = suggestions.completed(Formatting.line(message))
    }

    /// The advice at the end of a message about damage.
    static let damageAdvice =
        ". To see what it affects and how to repair it, run: bakstore check --read-data"

    /// Returns advice about a snapshot that cannot be read: what to try before giving it up.
    private static func advice(_ snapshot: UnreadableSnapshot) -> String {
        snapshot.spare == nil ? "To see what can be done, run `bakstore check`" : snapshot.advice
    }

    private static func help(_ command: CommandName?) -> String {
        guard let command, command != .help else { return " (see: bakstore help)" }
        return " (see: bakstore \(command.rawValue) --help)"
    }

    private static func report(_ error: RepositoryError) -> (ExitCode, String) {
        switch error {
        case .noRepository, .notBakstore: (.noRepository, error.description)
        case .cannotCollect, .pruneUnderWay: (.storeUnable, error.description)
        case .wrongPassword, .passwordNeeded, .tooManyKeySlots: (.wrongPassword, error.description)
        case .noKeySlot: (.damage, error.description)
        case .lastKeySlot, .keySlotsBeingRemoved, .notEncrypted, .alreadyExists, .noSuchSnapshot,
            .noCompleteSnapshot, .ambiguousSnapshot, .keepsChanging, .snapshotRemoved, .sessionRevoked,
            .cacheChanged,
            .manifestTooLarge, .sessionFailed, .unpublishedRemoved, .outsideLimits:
            (.failed, error.description)
        }
    }

    private static func report(_ error: StoreError) -> (ExitCode, String) {
        let advice =
            switch error.kind {
            case .full: ". Make room there or use another repository. The data stored so far stays usable"
            case .readOnly: ". Make the repository's folder writable, or use another repository"
            case .notFound, .shortRead: ". Is the disk still connected? If so, run: bakstore check"
            case .alreadyExists: ". Nothing was overwritten. Run the command again"
            case .lostMedium:
                ". Connect its disk or server again and run the same command. The data stored so far stays usable"
            case .transient: ". Try again later. The data stored so far stays usable"
            // The text of these errors says what to do.
            case .obstructed, .obstructedFolder, .denied, .lostData, .unsupported, .cancelled, .failed: ""
            }
        return (error.kind == .readOnly ? .storeUnable : .failed, error.description + advice)
    }

    /// Returns the line for standard error, with its newline.
    func line(asJSON: Bool) -> [UInt8] {
        guard asJSON else { return Array("bakstore: \(message)\n".utf8) }
        return Message.json(.exitError) { json in
            json.member("code", code.rawValue)
            json.member("message", message)
        }
    }
}

extension Error {
    /// True if an object in the repository is damaged or missing. An undamaged object that needs a newer program does
    /// not count.
    var isDamage: Bool {
        if let error = self as? CorruptionError { return !error.isWhole }
        return self is MissingBlobError
    }
}
