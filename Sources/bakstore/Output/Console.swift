// Console: the streams that a person or a program reads.
//
// Always holds: output to a terminal is written at once, and other output in blocks. Output that was printed before a
// message on standard error is also written before it.

import BakCodec
import BakCore
import BakPosix
import BakStorage

/// Why output could not be written.
enum OutputError: Error, Equatable {
    /// The reader has closed the output, as `| head` does. This is not a failure: the reader has what it wanted.
    case closed
    /// The system refused, with this message.
    case failed(String)
}

/// The streams that a person or a program reads. Every call may come from any thread.
protocol Console: Sendable {
    /// Writes to standard output, perhaps only at the next `flushOutput`. A failure of one write may be thrown by a
    /// later call, and every call after that throws it again.
    func writeOutput(_ bytes: [UInt8]) throws(OutputError)
    /// Writes the output that is still buffered.
    func flushOutput() throws(OutputError)
    /// Writes to standard error at once. A failure cannot be reported anywhere.
    func writeError(_ bytes: [UInt8])
    /// True if the reader of standard output is known to have gone.
    var outputIsClosed: Bool { get }
    var outputIsTerminal: Bool { get }
    var errorIsTerminal: Bool { get }
    /// The columns of the terminal that standard error goes to.
    var width: Int { get }
    /// The columns of the terminal that standard output goes to; nil if lines may have any length.
    var outputWidth: Int? { get }
    /// True if only ASCII is printed.
    var isASCII: Bool { get }
    /// Asks the user a question and returns the line that the user types. Returns nil if there is no terminal or the
    /// user gives up.
    func ask(_ question: String, stop: StopSignal) -> String?
    /// Asks the user for a password without showing it. Returns nil if there is no terminal.
    func askPassword(_ question: String, stop: StopSignal) throws(SourceError) -> SecretBytes?
}

extension Console {
    var outputWidth: Int? { nil }
    var isASCII: Bool { false }
}

/// A console for a locale that has only ASCII: it converts what goes to `base`.
struct ASCIIConsole: Console {
    let base: any Console
    /// True if lines are JSON.
    let isJSON: Bool

    var isASCII: Bool { true }
    var outputIsClosed: Bool { base.outputIsClosed }
    var outputIsTerminal: Bool { base.outputIsTerminal }
    var errorIsTerminal: Bool { base.errorIsTerminal }
    var width: Int { base.width }
    var outputWidth: Int? { base.outputWidth }

    func writeOutput(_ bytes: [UInt8]) throws(OutputError) { try base.writeOutput(converted(bytes)) }
    func flushOutput() throws(OutputError) { try base.flushOutput() }
    func writeError(_ bytes: [UInt8]) { base.writeError(converted(bytes)) }
    func askPassword(_ question: String, stop: StopSignal) throws(SourceError) -> SecretBytes? {
        try base.askPassword(Formatting.ascii(question), stop: stop)
    }
    func ask(_ question: String, stop: StopSignal) -> String? {
        base.ask(Formatting.ascii(question), stop: stop)
    }

    private func converted(_ bytes: [UInt8]) -> [UInt8] {
        isJSON
            ? Formatting.asciiJSON(bytes)
            : Array(Formatting.ascii(String(decoding: bytes, as: UTF8.self)).utf8)
    }
}

/// The streams of this process.
final class SystemConsole: Console, @unchecked Sendable {
    let outputIsTerminal = Terminal.output.isInteractive
    let errorIsTerminal = Terminal.messages.isInteractive
    private let monitor = Monitor()
    private var waiting: [UInt8] = []
    private var failure: OutputError?
    private static let blockBytes = 64 << 10

    var width: Int { Self.columns(of: .messages) }
    var outputWidth: Int? { outputIsTerminal ? Self.columns(of: .output) : nil }

    /// Returns the terminal's width, or COLUMNS if that is less or the terminal does not say.
    private static func columns(of stream: Terminal) -> Int {
        let named = Machine.variable("COLUMNS").flatMap { Int(String(decoding: $0, as: UTF8.self)) }
        let wanted = named.flatMap { $0 > 0 ? $0 : nil }
        return max(minimumColumns, [stream.columns, wanted].compactMap { $0 }.min() ?? 80)
    }

    /// The fewest columns that are used, because narrower output would be unreadable.
    private static let minimumColumns = 20

    var outputIsClosed: Bool { monitor.locked { failure == .closed } }

    func askPassword(_ question: String, stop: StopSignal) throws(SourceError) -> SecretBytes? {
        try? flushOutput()
        return try PasswordSource.ask(question, stop: stop)
    }

    func ask(_ question: String, stop: StopSignal) -> String? {
        guard Terminal.inputIsInteractive, errorIsTerminal else { return nil }
        writeError(Array(question.utf8))
        return Terminal.readLine(stop: stop)
    }

    func writeOutput(_ bytes: [UInt8]) throws(OutputError) {
        try monitor.locked { () throws(OutputError) in
            waiting += bytes
            if outputIsTerminal || waiting.count >= Self.blockBytes { try flush() }
        }
    }

    func flushOutput() throws(OutputError) {
        try monitor.locked { () throws(OutputError) in try flush() }
    }

    func writeError(_ bytes: [UInt8]) {
        monitor.locked {
            try? flush()
            try? Terminal.messages.write(bytes)
        }
    }

    /// Writes the output that is buffered. The lock must be held.
    private func flush() throws(OutputError) {
        defer { waiting.removeAll(keepingCapacity: true) }
        if failure == nil {
            do throws(StreamError) {
                try Terminal.output.write(waiting)
            } catch {
                failure = error.isClosed ? .closed : .failed(error.message)
            }
        }
        if let failure { throw failure }
    }
}
