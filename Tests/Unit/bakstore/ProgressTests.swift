import BakCodec
import BakCore
import TestSupport
import Testing

@testable import bakstore

/// A terminal that records its output.
final class RecordingTerminal: Console, @unchecked Sendable {
    var output: [UInt8] = []
    var error: [UInt8] = []
    var outputIsTerminal = false
    var errorIsTerminal = true
    var width = 80
    var outputWidth: Int?
    var failure: OutputError?
    var flushedBytes = 0

    func writeOutput(_ bytes: [UInt8]) throws(OutputError) {
        if let failure { throw failure }
        output += bytes
    }
    func flushOutput() throws(OutputError) {
        flushedBytes = output.count
        if let failure { throw failure }
    }
    var outputIsClosed: Bool { failure == .closed }
    /// The passwords that a user types, one after another; nil if there is no user.
    var typed: [String]?
    var questions: [String] = []
    func askPassword(_ question: String, stop: StopSignal) -> SecretBytes? {
        questions.append(question)
        guard let word = typed?.first else { return nil }
        typed?.removeFirst()
        return SecretBytes(copying: word.utf8)
    }
    func ask(_ question: String, stop: StopSignal) -> String? {
        questions.append(question)
        guard let answer = typed?.first else { return nil }
        typed?.removeFirst()
        return answer
    }
    func writeError(_ bytes: [UInt8]) { error += bytes }
    var outputText: String { String(decoding: output, as: UTF8.self) }
    var errorText: String { String(decoding: error, as: UTF8.self) }
}

@Suite struct ProgressTests {
    var progress: Progress {
        var progress = Progress()
        progress.files = 1204
        progress.bytes = 1 << 30
        progress.totalBytes = 4 << 30
        progress.totalsAreFinal = true
        progress.newBytes = 1 << 20
        progress.errors = 1
        progress.currentFiles = [Array("home/a\u{1b}.jpg".utf8)]
        return progress
    }

    @Test func theLineSaysWhatMattersAndFits() {
        #expect(
            ProgressLine.text(progress, seconds: 10, width: 200)
                == "25.0 %  1.0 GiB of 4.0 GiB  1,204 files  102.4 MiB/s  30.0 s left  1.0 MiB new  1 error  home/a\\x1b.jpg"
        )
        let short = ProgressLine.text(progress, seconds: 10, width: 12)
        #expect(short == "30.0 s left")
        var open = progress
        open.totalsAreFinal = false
        #expect(ProgressLine.text(open, seconds: 0, width: 40).hasPrefix("1.0 GiB  1,204 files  0.0 s"))
        #expect(ProgressLine.text(open, seconds: 0, width: 0) == "")
    }

    @Test func aStepIsNamedAndCountsItsObjects() {
        var step = Progress()
        step.step = "marking"
        step.countsObjects = true
        (step.bytes, step.totalBytes, step.totalsAreFinal) = (1200, 4800, true)
        #expect(
            ProgressLine.text(step, seconds: 10, width: 80) == "marking  25.0 %  1,200 of 4,800  10.0 s")
        let json = String(decoding: ProgressLine.json(step, seconds: 10), as: UTF8.self)
        #expect(
            json.contains(#""step":"marking","percent_done":0.25,"total_objects":4800,"objects_done":1200,"#))
        #expect(!json.contains("remaining"))
    }

    @Test func nothingToDoHasNoShare() {
        var none = Progress(totalBytes: 0, totalsAreFinal: true)
        #expect(ProgressLine.text(none, seconds: 0, width: 80) == "0 B  0.0 s")
        (none.step, none.countsObjects) = ("marking", true)
        #expect(ProgressLine.text(none, seconds: 0, width: 80) == "marking  0  0.0 s")
    }

    @Test func jsonHasResticsNames() {
        let line = String(decoding: ProgressLine.json(progress, seconds: 10.5), as: UTF8.self)
        #expect(
            line
                == #"{"message_type":"status","seconds_elapsed":10,"seconds_remaining":31,"percent_done":0.25,"#
                + #""files_done":1204,"total_bytes":4294967296,"bytes_done":1073741824,"error_count":1,"#
                + #""current_files":["home/a\u001b.jpg"]}"# + "\n")
    }

    @Test func drawsNoMoreOftenThanAskedAndClears() {
        let terminal = RecordingTerminal()
        let clock = SimulatedTime()
        let reporter = ProgressReporter(style: .line, terminal: terminal, clock: clock, fps: 10)
        for _ in 0..<100 {
            reporter.update { progress }
            clock.advance(milliseconds: 10)
        }
        #expect(terminal.errorText.split(separator: "\r").count == 10)
        reporter.finish()
        #expect(terminal.errorText.hasSuffix("\r\u{1b}[K"))
        let length = terminal.error.count
        clock.advance(seconds: 1)
        reporter.update { progress }
        reporter.finish()
        #expect(terminal.error.count == length)
        #expect(terminal.output.isEmpty)
    }

    @Test func jsonComesOnceASecondOnStandardOutput() {
        let terminal = RecordingTerminal()
        let clock = SimulatedTime()
        let reporter = ProgressReporter(style: .json, terminal: terminal, clock: clock, fps: 10)
        for _ in 0..<35 {
            clock.advance(milliseconds: 100)
            reporter.update { progress }
        }
        reporter.finish()
        #expect(terminal.outputText.split(separator: "\n").count == 3 && terminal.error.isEmpty)
    }

    @Test(arguments: [["stats"], ["stats", "-q"]])
    func silentWhereNobodyLooks(words: [String]) throws {
        let terminal = RecordingTerminal()
        terminal.errorIsTerminal = words.count > 1
        let context = CommandContext(
            terminal: terminal, plainTerminal: terminal, environment: try Environment { _ in nil },
            clock: SimulatedTime(), localOffset: { _ in 0 }, keyCache: MemoryKeyCache())
        let line = try ArgumentParser.parse(words.map { Array($0.utf8) })
        let reporter = context.progress(for: line)
        reporter.update { progress }
        reporter.finish()
        #expect(terminal.output.isEmpty && terminal.error.isEmpty)
    }
}

@Suite struct ProgramTests {
    func run(_ words: String..., variables: [String: String] = [:], terminal: RecordingTerminal) -> ExitCode {
        Commands.main(
            words.map { Array($0.utf8) }, terminal: terminal, clock: SimulatedTime(),
            variable: { variables[$0].map { Array($0.utf8) } }, localOffset: { _ in 0 },
            keyCache: MemoryKeyCache(), stop: .never)
    }

    @Test func versionAndHelp() {
        let terminal = RecordingTerminal()
        #expect(run("version", terminal: terminal) == .done)
        #expect(terminal.outputText == "bakstore \(programVersion)\n")
        #expect(run("help", terminal: terminal) == .done)
        for command in CommandName.allCases {
            let page = RecordingTerminal()
            #expect(run("help", command.rawValue, terminal: page) == .done)
            #expect(run(command.rawValue, "--help", terminal: page) == .done)
            #expect(page.outputText.contains("example:\n  bakstore"))
        }
        #expect(run("help", "bakup", terminal: terminal) == .usage)
        #expect(terminal.errorText.hasSuffix("Did you mean backup? (see: bakstore help)\n"))
    }

    @Test func errorsGoToStandardErrorInTheFormAskedFor() {
        let plain = RecordingTerminal()
        #expect(run("nonsense", terminal: plain) == .usage)
        #expect(plain.errorText.hasPrefix("bakstore: unknown command 'nonsense'") && plain.output.isEmpty)
        let json = RecordingTerminal()
        #expect(run("stats", "--json", "--nonsense", terminal: json) == .usage)
        #expect(json.errorText.hasPrefix(#"{"message_type":"exit_error","code":2,"#))
        let variables = ["BAKSTORE_PROGRESS_FPS": "x"]
        #expect(run("version", variables: variables, terminal: RecordingTerminal()) == .usage)
    }

    @Test func aFullOutputIsAFailureAndAReaderThatLeavesIsNone() {
        let full = RecordingTerminal()
        full.failure = .failed("No space left on device")
        #expect(run("version", terminal: full) == .failed)
        #expect(full.errorText == "bakstore: cannot write to standard output: No space left on device\n")
        let closed = RecordingTerminal()
        closed.failure = .closed
        #expect(run("version", terminal: closed) == .done)
        #expect(closed.error.isEmpty)
        let open = RecordingTerminal()
        #expect(run("version", terminal: open) == .done)
        #expect(open.flushedBytes == open.output.count)
    }
}
