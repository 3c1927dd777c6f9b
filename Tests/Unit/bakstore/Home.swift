// A user's home for tests that run whole command lines.

import BakCore
import BakPosix
import Foundation

@testable import bakstore

/// A temporary home with a folder to back up.
final class Home {
    let path: String
    var variables: [String: String] = [:]
    var isInterrupted = false
    var clock: any TimeSource = SystemTime()
    let keyCache = MemoryKeyCache()

    init() throws {
        path = NSTemporaryDirectory() + "bakstore-home-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        variables["HOME"] = path
        try write("photos/a.jpg", "one")
        try write("photos/sub/b.jpg", String(repeating: "two", count: 1000))
        // Wait until the files count as settled. A backup would read a file again that changed within the last clock
        // tick.
        usleep(50_000)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws {
        let file = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path + "/" + name) }

    static let defaultRepository = ".local/share/bakstore/default"

    /// Runs a command line. In its words, `~` is replaced by this home.
    @discardableResult
    func run(_ words: String..., terminal: RecordingTerminal = RecordingTerminal()) -> (
        code: ExitCode, output: String, error: String
    ) { run(words: words, terminal: terminal) }

    /// Runs a command line whose words are in an array.
    @discardableResult
    func run(words: [String], terminal: RecordingTerminal = RecordingTerminal()) -> (
        code: ExitCode, output: String, error: String
    ) {
        terminal.errorIsTerminal = false
        let words = words.map { Array($0.replacingOccurrences(of: "~/", with: path + "/").utf8) }
        let isInterrupted = isInterrupted
        let code = Commands.main(
            words, terminal: terminal, clock: clock,
            variable: { [variables] in variables[$0].map { Array($0.utf8) } }, localOffset: { _ in 0 },
            keyCache: keyCache, stop: StopSignal { isInterrupted })
        return (code, terminal.outputText, terminal.errorText)
    }
}
