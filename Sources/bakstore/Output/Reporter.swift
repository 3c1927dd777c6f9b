// Reporter: tells messages, in the form that was asked for, while progress is shown: before each the live line is taken
// away. What a command says of its own is a subclass beside its code.

import BakCore
import BakFormat

/// Tells what a command does. Called from any thread.
class Reporter: @unchecked Sendable {
    let invocation: Invocation
    let context: CommandContext
    let reporter: ProgressReporter

    init(_ invocation: Invocation, _ context: CommandContext, _ reporter: ProgressReporter) {
        (self.invocation, self.context, self.reporter) = (invocation, context, reporter)
    }

    /// Says something on standard output.
    func say(_ message: Message) { reporter.whileCleared { try? context.tell(message) } }

    /// Says what is done next, with `-v`; as JSON the progress does.
    func tellStep(_ line: String) {
        if invocation.verbosity >= 1, !invocation.has(.json) { remark(line) }
    }

    /// Says on standard error what is good to know.
    func remark(_ line: String) { reporter.whileCleared { context.remark(line) } }

    /// Says on standard error what is wrong.
    func complain(_ line: String) { reporter.whileCleared { context.complain(line) } }

    /// Says on standard error what is wrong with an item.
    func complain(_ line: String, reason: String, during: String, item: [UInt8]) {
        reporter.whileCleared { context.complain(line, reason: reason, during: during, item: item) }
    }

    /// Says what is wrong with an item, if it is among the first few with that reason; `tellRest` counts the others.
    ///
    /// - Parameter text: the line, of which `reason` is what it has in common with others.
    func complain(_ tally: ReasonTally, _ text: String, reason: String, during: String, item: [UInt8]) {
        let isTold = tally.add(reason, item)
        if isTold || invocation.verbosity >= 1 || invocation.has(.json) {
            complain(text, reason: reason, during: during, item: item)
        }
    }

    /// Says how many items were not told one by one, a line for each reason. `line` makes it of a count and an example.
    func tellRest(_ tally: ReasonTally, _ line: (ReasonTally.Line) -> String) {
        if invocation.verbosity >= 1 || invocation.has(.json) { return }
        for rest in tally.untold { complain(line(rest)) }
    }

    /// The line for items that were named up to here and others that were not.
    static func more(_ rest: ReasonTally.Line) -> String {
        "... and \(Formatting.count(rest.untold)) more: \(rest.reason) (-v names each)"
    }

    /// Shows that so much of so much is done.
    func show(_ done: UInt64, of total: UInt64) {
        reporter.update {
            var progress = Progress()
            (progress.bytes, progress.totalBytes) = (done, total)
            progress.totalsAreFinal = true
            return progress
        }
    }
}

/// What checks and repairs find.
extension Reporter {
    /// A finding about an object.
    func say(_ kind: Message.Kind, object: String, _ text: String, reason: String) {
        let completed = context.suggestions.completed
        say(.finding(kind, object: object, completed(text), reason: completed(reason)))
    }

    /// A finding about a snapshot.
    func say(_ kind: Message.Kind, snapshot: ID128, reason: String) {
        say(
            Message(kind, "snapshot \(snapshot.short): \(reason)") { json in
                json.member("snapshot_id", snapshot.description)
                json.member("reason", reason)
            })
    }

    /// A finding about a file of a snapshot, which `mark` stands before.
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
