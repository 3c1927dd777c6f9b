// CommandContext: what a command may use of the world besides its invocation. Tests pass their own.

import BakCore

/// The world as a command sees it.
struct CommandContext: Sendable {
    var terminal: any Console
    var environment: Environment
    var clock: any TimeSource
    /// Seconds east of UTC at a moment.
    var localOffset: @Sendable (Timestamp) -> Int
    /// Whether the user wants the command to end.
    var isInterrupted: @Sendable () -> Bool = { false }
    /// Whether the user wants nothing but errors.
    var isQuiet = false
    /// Whether a program reads what is printed.
    var isJSON = false

    /// Prints a line on standard output. When nobody reads it any more, nothing happens.
    func print(_ line: String) throws { try write(Array("\(line)\n".utf8)) }

    /// Prints a JSON object on standard output.
    func printJSON(_ build: (inout JSONWriter) -> Void) throws { try write(JSONWriter.line(build)) }

    /// Writes bytes to standard output as they are; throws when they cannot be written.
    func write(_ bytes: [UInt8]) throws(OutputError) {
        do {
            try terminal.writeOutput(bytes)
        } catch .closed {
            // What a command does beside printing goes on without a reader.
        }
    }

    /// Throws when nobody reads standard output any more: for commands that do nothing but print.
    func expectReader() throws(OutputError) {
        if terminal.outputIsClosed { throw .closed }
    }

    /// Prints what is good to know on standard error, where it does not disturb what a program reads.
    func remark(_ line: String) {
        if isQuiet { return }
        complain(line) { json in
            json.member("message_type", "note")
            json.member("message", line)
        }
    }

    /// Prints what is wrong on standard error.
    func complain(_ line: String) {
        complain(line) { json in
            json.member("message_type", "error")
            json.object("error") { $0.member("message", line) }
        }
    }

    /// Prints what is wrong with an item that is worked on.
    func complain(_ line: String, reason: String, during: String, item: [UInt8]) {
        complain(line) { json in
            json.member("message_type", "error")
            json.object("error") { $0.member("message", reason) }
            json.member("during", during)
            json.member("item", bytes: item)
        }
    }

    private func complain(_ line: String, orJSON build: (inout JSONWriter) -> Void) {
        terminal.writeError(isJSON ? JSONWriter.line(build) : Array("\(Formatting.line(line))\n".utf8))
    }

    /// A reporter in the form that the invocation and the terminal ask for.
    func progress(for invocation: Invocation) -> ProgressReporter {
        let style: ProgressReporter.Style =
            if invocation.has(.quiet) {
                .silent
            } else if invocation.has(.json) {
                .json
            } else { terminal.errorIsTerminal ? .line : .silent }
        return ProgressReporter(style: style, terminal: terminal, clock: clock, fps: environment.progressFPS)
    }
}
