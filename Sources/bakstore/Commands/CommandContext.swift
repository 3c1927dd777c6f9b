// CommandContext: what a command may use of the world besides its invocation. Tests pass their own.

import BakCodec
import BakCore

/// The world as a command sees it.
struct CommandContext: Sendable {
    var terminal: any Console
    /// For content that goes out as it is.
    var plainTerminal: any Console
    var environment: Environment
    var clock: any TimeSource
    /// Seconds east of UTC at a moment.
    var localOffset: @Sendable (Timestamp) -> Int
    /// Whether the user wants the command to end.
    var stop: StopSignal = .never
    /// Whether the user wants nothing but errors.
    var isQuiet = false
    /// Whether a program reads what is printed.
    var isJSON = false
    /// What completes the commands that messages suggest.
    var suggestions = SuggestedCommands()

    /// Prints a line on standard output. When nobody reads it any more, nothing happens.
    func print(_ line: String) throws { try write(Array("\(line)\n".utf8), to: terminal) }

    /// Prints a table on standard output, no wider than the terminal.
    func print(_ table: TextTable) throws {
        for line in table.lines(width: terminal.outputWidth, isASCII: terminal.isASCII) { try print(line) }
    }

    /// Prints a line that ends with a path and what is never cut, no wider than the terminal. `starts` are the columns
    /// before it, from all of them down to none.
    func print(_ path: String, ending: String, behind starts: [String]) throws {
        for line in TextWidth.lines(
            path, ending: ending, behind: starts, width: terminal.outputWidth, isASCII: terminal.isASCII)
        { try print(line) }
    }

    /// Tells a message on standard output: its lines, or as JSON its object.
    func tell(_ message: Message) throws {
        if isJSON { return try write(message.json, to: terminal) }
        for line in message.lines { try print(Formatting.line(line)) }
    }

    /// Tells what was done, which nobody asked for: with --quiet only to programs.
    func confirm(_ message: Message) throws { if isJSON || !isQuiet { try tell(message) } }

    /// Prints the object of a message that people are told as a table, or otherwise.
    func tell(_ kind: Message.Kind, _ members: (inout JSONWriter) -> Void) throws {
        try write(Message.json(kind, members), to: terminal)
    }

    /// Prints a part of the repository as a JSON object, which is no message.
    func printPart(_ build: (inout JSONWriter) -> Void) throws {
        try write(JSONWriter.line(build), to: terminal)
    }

    /// Writes bytes to standard output as they are; throws when they cannot be written.
    func write(_ bytes: [UInt8]) throws(OutputError) { try write(bytes, to: plainTerminal) }

    private func write(_ bytes: [UInt8], to terminal: any Console) throws(OutputError) {
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

    /// A command line for the same repository, to copy.
    func command(_ words: String) -> String { suggestions.completed("bakstore \(words)") }

    /// Prints what is good to know on standard error, where it does not disturb what a program reads.
    func remark(_ line: String) {
        if !isQuiet { tellAside(.note(suggestions.completed(line))) }
    }

    /// Prints what is wrong on standard error.
    func complain(_ line: String) { tellAside(.error(suggestions.completed(line))) }

    /// Prints what is wrong with an item that is worked on.
    func complain(_ line: String, reason: String, during: String, item: [UInt8]) {
        tellAside(
            .error(
                suggestions.completed(line), reason: suggestions.completed(reason), during: during, item: item
            ))
    }

    /// Tells a message on standard error.
    private func tellAside(_ message: Message) {
        terminal.writeError(
            isJSON
                ? message.json : message.lines.flatMap { Array("\(Formatting.line($0))\n".utf8) })
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

// MARK: - Questions

extension CommandContext {
    /// Whether the user agrees; nil when there is no terminal to ask at. Throws when the user interrupts instead of
    /// answering.
    func agrees(to question: String) throws -> Bool? {
        let answer = terminal.ask("\(question) [y/N] ", stop: stop)
        try expectNoInterruption()
        return answer.map { ["y", "yes"].contains($0.lowercased()) }
    }

    /// Asks for a password as `agrees` does.
    func askPassword(_ question: String) throws -> SecretBytes? {
        do {
            return try terminal.askPassword(question, stop: stop)
        } catch {
            try expectNoInterruption()
            throw error
        }
    }

    func expectNoInterruption() throws {
        guard stop.isRequested else { return }
        throw CommandFailure(code: .interrupted, message: "interrupted; nothing was changed")
    }
}
