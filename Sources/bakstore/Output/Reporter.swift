// Reporter: prints messages while progress is shown. It removes the live line before each message. A command that has
// messages of its own has a subclass beside its code.

import BakCore
import BakFormat

/// Prints messages of a command. Called from any thread.
class Reporter: @unchecked Sendable {
    let invocation: Invocation
    let context: CommandContext
    let reporter: ProgressReporter

    init(_ invocation: Invocation, _ context: CommandContext, _ reporter: ProgressReporter) {
        (self.invocation, self.context, self.reporter) = (invocation, context, reporter)
    }

    /// Prints a message on standard output.
    func say(_ message: Message) { reporter.whileCleared { try? context.tell(message) } }

    /// Prints the next step, with `-v`. With `--json`, the progress objects contain the step.
    func tellStep(_ line: String) {
        if invocation.verbosity >= 1, !invocation.has(.json) { remark(line) }
    }

    /// Prints a note on standard error.
    func remark(_ line: String) { reporter.whileCleared { context.remark(line) } }

    /// Prints an error on standard error.
    func complain(_ line: String) { reporter.whileCleared { context.complain(line) } }

    /// Prints an error about an item on standard error.
    func complain(_ line: String, reason: String, during: String, item: [UInt8]) {
        reporter.whileCleared { context.complain(line, reason: reason, during: during, item: item) }
    }

    /// Prints an error about an item if it is among the first few with this reason. `tellRest` counts the others.
    ///
    /// - Parameter text: the line. `reason` is the part that it has in common with others.
    func complain(_ tally: ReasonTally, _ text: String, reason: String, during: String, item: [UInt8]) {
        let isTold = tally.add(reason, item)
        if isTold || invocation.verbosity >= 1 || invocation.has(.json) {
            complain(text, reason: reason, during: during, item: item)
        }
    }

    /// Prints how many items were not reported by themselves, one line for each reason. `line` makes the line from a
    /// count and an example.
    func tellRest(_ tally: ReasonTally, _ line: (ReasonTally.Line) -> String) {
        if invocation.verbosity >= 1 || invocation.has(.json) { return }
        for rest in tally.untold { complain(line(rest)) }
    }

    /// Returns the line about further items, after some that were named.
    static func more(_ rest: ReasonTally.Line) -> String {
        "... and \(Formatting.count(rest.untold)) more: \(rest.reason) (-v names each)"
    }

    /// Shows that `done` of `total` is done.
    func show(_ done: UInt64, of total: UInt64) {
        reporter.update {
            var progress = Progress()
            (progress.bytes, progress.totalBytes) = (done, total)
            progress.totalsAreFinal = true
            return progress
        }
    }
}

/// The findings of checks and repairs.
extension Reporter {
    /// Prints a finding about an object.
    func say(_ kind: Message.Kind, object: String, _ text: String, reason: String) {
        let completed = context.suggestions.completed
        say(.finding(kind, object: object, completed(text), reason: completed(reason)))
    }

    /// Prints a finding about a snapshot.
    func say(_ kind: Message.Kind, snapshot: ID128, reason: String) {
        say(
            Message(kind, "snapshot \(snapshot.short): \(reason)") { json in
                json.member("snapshot_id", snapshot.description)
                json.member("reason", reason)
            })
    }

    /// Prints a finding about a file of a snapshot. `mark` stands before the path.
    func say(_ kind: Message.Kind, snapshot: ID128, _ mark: String = "", path: [UInt8], reason: String) {
        let text = "snapshot \(snapshot.short): \(mark)\(Formatting.name(path.absolute)): \(reason)"
        say(
            Message(kind, text) { json in
                json.member("snapshot_id", snapshot.description)
                json.member("item", bytes: path.absolute)
                json.member("reason", reason)
            })
    }
}
