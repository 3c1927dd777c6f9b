// Passwords from all their sources: files, commands, the environment, the profile and the user.

import BakCodec
import BakCore
import BakPosix
import Synchronization
import Testing

@testable import bakstore

/// A machine on which everything seems slow. So passwords get the lowest permitted cost.
final class SlowMachine: TimeSource {
    private let seconds = Mutex(UInt64(0))

    func now() -> Timestamp { SystemTime().now() }
    func monotonicNanoseconds() -> UInt64 {
        seconds.withLock { seconds in
            seconds += 1
            return seconds * 1_000_000_000
        }
    }
}

@Suite struct EncryptionCommandTests {
    @Test func aPersonTypesPasswords() throws {
        let home = try Home()
        home.clock = SlowMachine()
        let terminal = RecordingTerminal()
        terminal.typed = ["one", "other"]
        let differ = home.run("init", "--encryption", "auto", terminal: terminal)
        #expect(differ.code == .failed && differ.error.contains("the two passwords differ"))
        #expect(!home.has(Home.defaultRepository + "/config"))
        let maker = RecordingTerminal()
        maker.typed = ["one", "one"]
        let made = home.run("init", "--encryption", "chacha20-poly1305", terminal: maker)
        #expect(made.code == .done && made.output.contains("encrypted with chacha20-poly1305"))
        #expect(made.error.contains("Keep it in a safe place"))
        #expect(maker.questions == ["new password: ", "again: "])
        let reader = RecordingTerminal()
        reader.typed = ["one"]
        #expect(home.run("backup", "~/photos", terminal: reader).code == .done)
        let wrong = RecordingTerminal()
        wrong.typed = ["two"]
        let refused = home.run("snapshots", terminal: wrong)
        #expect(refused.code == .wrongPassword && refused.code.rawValue == 12)
        #expect(refused.error.split(separator: "\n").count == 1 && refused.error.contains("wrong password"))
        let nobody = home.run("snapshots")
        #expect(nobody.code == .wrongPassword && nobody.error.contains("--password-file"))
        #expect(!home.has(Home.defaultRepository + "/cache"))
    }

    @Test func filesCommandsVariablesAndProfiles() throws {
        let home = try Home()
        home.clock = SlowMachine()
        try home.write("word", "one\n")
        try home.write("other", "two\r\n")
        #expect(home.run("init", "--encryption", "aes256-gcm", "--password-file", "~/word").code == .done)
        #expect(home.run("snapshots", "--password-command", "printf one").code == .done)
        home.variables["BAKSTORE_PASSWORD"] = "one"
        #expect(home.run("snapshots").code == .done)
        #expect(home.run("snapshots", "--password-file", "~/other").code == .wrongPassword)
        home.variables["BAKSTORE_PASSWORD_FILE"] = home.path + "/word"
        #expect(home.run("snapshots").code == .usage)
        home.variables["BAKSTORE_PASSWORD"] = nil
        #expect(home.run("snapshots").code == .done)
        home.variables["BAKSTORE_PASSWORD_FILE"] = nil
        home.variables["BAKSTORE_PASSWORD_COMMAND"] = "cat ~/word"
        #expect(home.run("snapshots", "--password-command", "exit 3").error.contains("ended with code 3"))
        home.variables["BAKSTORE_PASSWORD_COMMAND"] = nil
        try home.write(".config/bakstore/config.toml", "[profile.default]\npassword-file = \"~/word\"\n")
        #expect(home.run("snapshots").code == .done)
        // A password on the command line replaces the profile's.
        #expect(home.run("snapshots", "--password-command", "echo two").code == .wrongPassword)
        let both = home.run("snapshots", "--password-command", "true", "--password-file", "~/word")
        #expect(both.code == .usage)
    }

    @Test func whatDoesNotGoTogether() throws {
        let home = try Home()
        home.clock = SlowMachine()
        try home.write("word", "one\n")
        try home.write("empty", "\n")
        let word = ["--password-file", "~/word"]
        #expect(home.run(words: ["init"] + word).code == .usage)
        #expect(home.run(words: ["init", "--encryption", "none"] + word).code == .usage)
        #expect(home.run(words: ["init", "--encryption", "auto", "--id", "xxh3"] + word).code == .usage)
        #expect(home.run("init", "--encryption", "auto", "--password-file", "~/empty").code == .wrongPassword)
        #expect(home.run("init", "--encryption", "rot13").code == .usage)
        // If a password is given, the program does not store anything unencrypted.
        #expect(home.run(words: ["backup", "~/photos"] + word).code == .noRepository)
        #expect(!home.has(Home.defaultRepository))
        #expect(home.run("init").code == .done)
        let plain = home.run(words: ["backup", "~/photos"] + word)
        #expect(plain.code == .failed && plain.error.contains("is not encrypted"))
        #expect(home.run("key", "list").code == .failed)
        #expect(home.run("check", "--without-key").code == .failed)
        // An encrypted repository cannot have the same parameters as one without encryption.
        let repo = [
            "--repo", "~/secret", "--from-repo", "~/" + Home.defaultRepository, "--copy-chunker-params",
        ]
        #expect(home.run(words: ["init", "--encryption", "auto"] + repo + word).code == .usage)
    }

    @Test func keysComeAndGo() throws {
        let home = try Home()
        home.clock = SlowMachine()
        try home.write("word", "one")
        try home.write("second", "two")
        try home.write("third", "three")
        func key(_ word: String, _ words: String...) -> (code: ExitCode, output: String, error: String) {
            home.run(words: ["key"] + words + ["--password-file", "~/" + word])
        }
        #expect(home.run("init", "--encryption", "auto", "--password-file", "~/word").code == .done)
        #expect(key("word", "add", "--new-password-file", "~/second", "--name", "laptop").code == .done)
        let listed = key("second", "list")
        #expect(
            listed.code == .done && listed.output.contains("laptop") && listed.output.contains("64.0 MiB"))
        let lines = listed.output.split(separator: "\n")
        let current = try #require(lines.first { $0.hasPrefix("*") })
        #expect(current.contains("laptop"))
        let other = try #require(lines.first { $0.hasPrefix(" ") })
        let id = String(other.split(separator: " ")[0])
        let removed = key("second", "remove", id)
        #expect(removed.code == .done && removed.error.contains("copy the snapshots to a new repository"))
        #expect(key("word", "list").code == .wrongPassword)
        let last = key("second", "remove", String(current.dropFirst().split(separator: " ")[0]))
        #expect(last.code == .failed && last.error.contains("last key slot"))
        #expect(key("second", "passwd", "--new-password-file", "~/third").code == .done)
        #expect(key("second", "list").code == .wrongPassword)
        #expect(key("third", "list", "--json").output.contains("\"current\":true"))
        #expect(key("third", "list", "more").code == .usage)
        #expect(key("third", "remove", "zz").code == .failed)
    }
}
