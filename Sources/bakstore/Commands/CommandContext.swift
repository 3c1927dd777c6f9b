// CommandContext: everything that a command may use besides its invocation. Tests pass their own.

import BakCodec
import BakCore

/// Everything that a command may use besides its invocation.
struct CommandContext: Sendable {
    var terminal: any Console
    /// The console for content that must be printed unchanged, without conversion to ASCII.
    var plainTerminal: any Console
    var environment: Environment
    var clock: any TimeSource
    /// Seconds east of UTC at a moment.
    var localOffset: @Sendable (Timestamp) -> Int
    /// The keys of repositories that this user's commands may open without a password.
    var keyCache: any KeyCache
    /// The signal that the user wants the command to end.
    var stop: StopSignal = .never
    /// True if the user wants nothing but errors.
    var isQuiet = false
    /// True if a program reads the output: messages are JSON.
    var isJSON = false
    /// Completes the commands that messages suggest.
    var suggestions = SuggestedCommands()

    /// Prints a line on standard output. Does nothing once the reader has gone.
    func print(_ line: String) throws { try write(Array("\(line)\n".utf8), to: terminal) }

    /// Prints a table on standard output, no wider than the terminal.
    func print(_ table: TextTable) throws {
        for line in table.lines(width: terminal.outputWidth, isASCII: terminal.isASCII) { try print(line) }
    }

    /// Prints a path with columns before it and an ending after it, no wider than the terminal. Each of `starts` is a
    /// choice of columns: the first has all columns, the last has none. The first choice that leaves enough room for
    /// the path is printed. The ending is never cut.
    func print(_ path: String, ending: String, behind starts: [String]) throws {
        for line in TextWidth.lines(
            path, ending: ending, behind: starts, width: terminal.outputWidth, isASCII: terminal.isASCII)
        { try print(line) }
    }

    /// Prints a message on standard output: its lines, or its JSON object.
    func tell(_ message: Message) throws {
        if isJSON { return try write(message.json, to: terminal) }
        for line in message.lines { try print(Formatting.line(line)) }
    }

    /// Prints a confirmation of what was done. With `--quiet`, only programs get it.
    func confirm(_ message: Message) throws { if isJSON || !isQuiet { try tell(message) } }

    /// Prints the JSON object of a message that people get in another form, such as a table.
    func tell(_ kind: Message.Kind, _ members: (inout JSONWriter) -> Void) throws {
        try write(Message.json(kind, members), to: terminal)
    }

    /// Prints a part of the repository as a JSON object that is not a message.
    func printPart(_ build: (inout JSONWriter) -> Void) throws {
        try write(JSONWriter.line(build), to: terminal)
    }

    /// Writes bytes to standard output as they are. Throws if they cannot be written.
    func write(_ bytes: [UInt8]) throws(OutputError) { try write(bytes, to: plainTerminal) }

    private func write(_ bytes: [UInt8], to terminal: any Console) throws(OutputError) {
        do {
            try terminal.writeOutput(bytes)
        } catch .closed {
            // The command continues its other work without a reader.
        }
    }

    /// Throws if the reader of standard output has gone. Commands that only print call this to stop early.
    func expectReader() throws(OutputError) {
        if terminal.outputIsClosed { throw .closed }
    }

    /// Returns a command line for the same repository, ready to copy.
    func command(_ words: String) -> String { suggestions.completed("bakstore \(words)") }

    /// Prints a note on standard error; standard output stays machine-readable.
    func remark(_ line: String) {
        if !isQuiet { tellAside(.note(suggestions.completed(line))) }
    }

    /// Prints an error on standard error.
    func complain(_ line: String) { tellAside(.error(suggestions.completed(line))) }

    /// Prints an error about an item on standard error.
    func complain(_ line: String, reason: String, during: String, item: [UInt8]) {
        tellAside(
            .error(
                suggestions.completed(line), reason: suggestions.completed(reason), during: during, item: item
            ))
    }

    /// Prints a message on standard error.
    private func tellAside(_ message: Message) {
        terminal.writeError(
            isJSON
                ? message.json : message.lines.flatMap { Array("\(Formatting.line($0))\n".utf8) })
    }

    /// Returns a reporter in the form that the invocation and the terminal ask for.
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
    /// Asks the user a question. Returns true if the user agrees, and nil if there is no terminal. Throws if the user
    /// interrupts instead of answering.
    func agrees(to question: String) throws -> Bool? {
        let answer = terminal.ask("\(question) [y/N] ", stop: stop)
        try expectNoInterruption()
        return answer.map { ["y", "yes"].contains($0.lowercased()) }
    }

    /// Asks for a password. Returns nil and throws as `agrees` does.
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
