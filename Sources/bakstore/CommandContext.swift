// CommandContext: what a command may use of the world besides its invocation. Tests pass their own.

import BakCore
import BakPosix

/// The streams that a person or a program reads.
protocol Console: Sendable {
    /// Writes to standard output; false when that failed.
    func writeOutput(_ bytes: [UInt8]) -> Bool
    func writeError(_ bytes: [UInt8])
    var outputIsTerminal: Bool { get }
    var errorIsTerminal: Bool { get }
    /// The columns of the terminal.
    var width: Int { get }
}

/// The streams of this process.
struct SystemConsole: Console {
    func writeOutput(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes(Terminal.output.write) }
    func writeError(_ bytes: [UInt8]) { bytes.withUnsafeBytes { _ = Terminal.messages.write($0) } }
    var outputIsTerminal: Bool { Terminal.output.isInteractive }
    var errorIsTerminal: Bool { Terminal.messages.isInteractive }
    var width: Int { Terminal.messages.columns ?? 80 }
}

/// The world as a command sees it.
struct CommandContext: Sendable {
    var terminal: any Console
    var environment: Environment
    var clock: any TimeSource
    /// Seconds east of UTC at a moment.
    var localOffset: @Sendable (Timestamp) -> Int

    /// Prints a line on standard output.
    func print(_ line: String) throws { try write(Array("\(line)\n".utf8)) }

    /// Prints a JSON object on standard output.
    func printJSON(_ build: (inout JSONWriter) -> Void) throws { try write(JSONWriter.line(build)) }

    /// Writes bytes to standard output as they are; throws when they cannot be written.
    func write(_ bytes: [UInt8]) throws {
        guard terminal.writeOutput(bytes) else {
            throw CommandFailure(code: .failed, message: "cannot write to standard output")
        }
    }

    /// Prints a remark on standard error, where it does not disturb what a program reads.
    func remark(_ line: String) { terminal.writeError(Array("\(Formatting.line(line))\n".utf8)) }

    /// Prints a JSON object on standard error.
    func remarkJSON(_ build: (inout JSONWriter) -> Void) { terminal.writeError(JSONWriter.line(build)) }

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
