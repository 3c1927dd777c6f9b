// Console: the streams that a person or a program reads.
//
// Always holds: what a person watches is written at once, and everything else in blocks; what was printed before
// a message on standard error is written before it.

import BakCodec
import BakCore
import BakPosix
import BakStorage

/// Why output could not be written.
enum OutputError: Error, Equatable {
    /// Nobody reads it any more, as behind `| head`. No failure: the reader has what it wanted.
    case closed
    /// The system's words.
    case failed(String)
}

/// The streams that a person or a program reads. Every call may come from any thread.
protocol Console: Sendable {
    /// Writes to standard output, perhaps not before `flushOutput`. Failures may show later than the write that
    /// they concern, and show again in every later call.
    func writeOutput(_ bytes: [UInt8]) throws(OutputError)
    /// Writes what waits to be written.
    func flushOutput() throws(OutputError)
    /// Writes to standard error at once. Where even that fails there is no one to tell.
    func writeError(_ bytes: [UInt8])
    /// Whether it is known that nobody reads standard output any more.
    var outputIsClosed: Bool { get }
    var outputIsTerminal: Bool { get }
    var errorIsTerminal: Bool { get }
    /// The columns of the terminal that standard error leads to.
    var width: Int { get }
    /// The columns of the terminal that standard output leads to; nil where lines may be as long as they like.
    var outputWidth: Int? { get }
    /// Whether nothing but ASCII is printed.
    var isASCII: Bool { get }
    /// Asks the person a question and returns the line that is typed; nil when there is nobody to ask or the person
    /// gives up.
    func ask(_ question: String, stop: StopSignal) -> String?
    /// Asks the person for a password without showing it; nil when there is nobody to ask.
    func askPassword(_ question: String, stop: StopSignal) throws(SourceError) -> SecretBytes?
}

extension Console {
    var outputWidth: Int? { nil }
    var isASCII: Bool { false }
}

/// Another console for people who have chosen a locale that knows nothing but ASCII.
struct ASCIIConsole: Console {
    let base: any Console
    /// Whether lines are JSON.
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

    /// What the terminal says, or COLUMNS where that is less or it says nothing.
    private static func columns(of stream: Terminal) -> Int {
        let named = Machine.variable("COLUMNS").flatMap { Int(String(decoding: $0, as: UTF8.self)) }
        let wanted = named.flatMap { $0 > 0 ? $0 : nil }
        return max(minimumColumns, [stream.columns, wanted].compactMap { $0 }.min() ?? 80)
    }

    /// Nobody reads what is narrower.
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

    /// Writes what waits; the lock must be held.
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
