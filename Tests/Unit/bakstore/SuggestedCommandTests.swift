// Suggested commands: if the user named a repository, the command in a message names it, too. A shell can run the
// command as it is printed.

import BakCore
import BakPosix
import Foundation
import Testing

@testable import bakstore

@Suite struct SuggestedCommandTests {
    private func completed(_ text: String, _ words: String...) throws -> String {
        let invocation = try ArgumentParser.parse(words.map { Array($0.utf8) })
        return SuggestedCommands(invocation, isASCII: false).completed(text)
    }

    @Test(arguments: [
        ("it is lost; run: bakstore check", "it is lost; run: bakstore check --repo r"),
        ("bakstore repair packs", "bakstore repair packs --repo r"),
        (
            "a: bakstore repair index; back up again; bakstore repair snapshots",
            "a: bakstore repair index --repo r; back up again; bakstore repair snapshots --repo r"
        ),
        (
            "list them with: bakstore snapshots, and name one",
            "list them with: bakstore snapshots --repo r, and name one"
        ),
        ("Run `bakstore check`. To go on, wait", "Run `bakstore check --repo r`. To go on, wait"),
        ("make one with: bakstore init --yes", "make one with: bakstore init --yes --repo r"),
        // Texts that name a repository already, that are not commands, or that are only part of a sentence.
        ("with: bakstore init --repo s --from-repo t", "with: bakstore init --repo s --from-repo t"),
        ("x (see: bakstore backup --help)", "x (see: bakstore backup --help)"),
        ("x (see: bakstore help)", "x (see: bakstore help)"),
        ("Usage: bakstore ls SNAPSHOT[:PATH]", "Usage: bakstore ls SNAPSHOT[:PATH]"),
        ("it was made by a newer bakstore check", "it was made by a newer bakstore check"),
        ("error: bakstore is no command", "error: bakstore is no command"),
        ("", ""),
    ])
    func commandsAreCompleted(_ text: String, _ expected: String) throws {
        #expect(try completed(text, "check", "--repo", "r") == expected)
        // Completing a text twice adds nothing.
        #expect(try completed(expected, "check", "--repo", "r") == expected)
        #expect(try completed(text, "check") == text)
    }

    @Test func everyWayOfNamingComesBack() throws {
        let run = "run: bakstore prune --alone"
        #expect(try completed(run, "prune", "-P", "usb", "-n") == run + " --profile usb")
        #expect(
            try completed(run, "check", "--password-file", "a b", "-r", "it's")
                == run + #" --repo 'it'\''s' --password-file 'a b'"#)
        #expect(try completed(run, "check", "--repo=-x") == run + " --repo=-x")
    }

    /// A shell turns the quoted form of a word back into the same word, whatever its bytes.
    @Test func aShellReadsWordsAsTheyAre() throws {
        var words: [[UInt8]] = [
            [], Array("~/x".utf8), Array("a'b\\c\"$(x)`y`".utf8), Array("写真 é".utf8), Array("-n".utf8),
        ]
        for byte in UInt8(1)...255 { words.append([0x61, byte, 0x62]) }
        for isASCII in [false, true] {
            let quoted = words.map { ShellWord.quoted($0, isASCII: isASCII) }
            #expect(
                quoted.allSatisfy { !$0.contains("\n") && (!isASCII || $0.utf8.allSatisfy { $0 < 0x7f }) })
            let script = "for word in " + quoted.joined(separator: " ") + #"; do printf '%s\0' "$word"; done"#
            let shell = Process()
            (shell.executableURL, shell.arguments) = (URL(fileURLWithPath: "/bin/bash"), ["-c", script])
            let pipe = Pipe()
            shell.standardOutput = pipe
            try shell.run()
            let read = try #require(try pipe.fileHandleForReading.readToEnd())
            shell.waitUntilExit()
            #expect(Array(read) == words.flatMap { $0 + [0] })
        }
    }

    /// Messages of whole runs that contain a command. The command names the repository as the user did. If the
    /// environment or the default names it, the command does not.
    @Test func messagesNameTheRepositoryAsTheUserDid() throws {
        let home = try Home()
        let repo = home.path + "/my repo"
        func messages(_ flags: [String]) -> [String] {
            var found: [String] = []
            func run(_ words: String...) {
                let result = home.run(words: words + flags)
                found += (result.output + result.error).split(separator: "\n").map(String.init)
                    .filter {
                        ($0.contains(": bakstore ") || $0.contains("`bakstore "))
                            && !$0.contains("--encryption auto")
                    }
            }
            run("snapshots")
            run("init")
            run("ls", "latest")
            run("backup", "~/photos", "-q")
            run("ls", "zzz")
            run("ls", "latest:nothing")
            run("restore", "latest:nothing", "--target", "~/target")
            run("cat", "latest:\(home.path.dropFirst())/photos")
            run("backup", "~/photos", "-q")
            run("forget", "latest")
            return found
        }
        let named = messages(["--repo", repo])
        #expect(named.count >= 8)
        for line in named { #expect(line.contains("--repo '\(repo)'"), "\(line)") }
        try FileManager.default.removeItem(atPath: repo)
        try? FileManager.default.removeItem(atPath: home.path + "/.local")

        try home.write(".config/bakstore/config.toml", "[profile.usb]\nrepository = \"\(repo)\"\n")
        let profiled = messages(["-P", "usb"])
        #expect(profiled.count == named.count)
        for line in profiled {
            #expect(line.contains(" --profile usb") && !line.contains("--repo"), "\(line)")
        }
        try FileManager.default.removeItem(atPath: repo)
        try? FileManager.default.removeItem(atPath: home.path + "/.local")

        home.variables["BAKSTORE_REPOSITORY"] = repo
        let silent = messages([])
        #expect(silent.count == named.count)
        for line in silent { #expect(!line.contains("--repo") && !line.contains("--profile"), "\(line)") }
    }

    private static let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Every command in a message of the sources is written in a form that the completion finds.
    @Test func everyMessageIsWrittenSoThatItsCommandIsFound() throws {
        let sources = Self.checkout.appendingPathComponent("Sources")
        let files = try #require(FileManager.default.enumerator(atPath: sources.path))
        let names = CommandTable.commands.flatMap(\.spellings).filter { $0 != "version" && $0 != "help" }
        var found = 0
        for case let file as String in files where file.hasSuffix(".swift") && !file.contains("CommandTable")
        {
            let text = try String(contentsOf: sources.appendingPathComponent(file), encoding: .utf8)
            for line in text.split(separator: "\n") where !line.contains("//") {
                for name in names {
                    guard let place = line.range(of: "bakstore \(name)") else { continue }
                    let after = line[place.upperBound...].first ?? " "
                    guard !after.isLetter, after != "-" else { continue }
                    found += 1
                    let before = line[..<place.lowerBound]
                    #expect([": ", "; ", "`", "\""].contains { before.hasSuffix($0) }, "\(file): \(line)")
                }
            }
        }
        #expect(found > 20)
    }

    /// Every command in a message of the sources is a valid command line.
    @Test func everyCommandThatIsAdvisedIsTaken() throws {
        let line = #"x: bakstore forget \(id(a)) -n; y: bakstore prune"#
        #expect(Self.commands(in: line) == ["forget 0a1b -n", "prune"])
        let sources = Self.checkout.appendingPathComponent("Sources")
        let files = try #require(FileManager.default.enumerator(atPath: sources.path))
        var found: Set<String> = []
        for case let file as String in files where file.hasSuffix(".swift") && !file.contains("HelpText") {
            // The HTML page contains the name of the program, which is not a command.
            if file.contains("BenchmarkPage") { continue }
            let text = try String(contentsOf: sources.appendingPathComponent(file), encoding: .utf8)
            // A literal may continue in the next line.
            let lines = text.replacing(#/"\s*\+ "/#, with: "").split(separator: "\n")
            for line in lines where !line.contains("//") {
                let advised = line.replacing("context.command(\"", with: "\"bakstore ")
                for command in Self.commands(in: String(advised)) {
                    found.insert(command)
                    // A shell replaces the `~`.
                    let words = command.replacing(" ~/", with: " /home/me/").split(separator: " ").map {
                        Array($0.utf8)
                    }
                    #expect(throws: Never.self, "\(file): bakstore \(command)") {
                        try ArgumentParser.parse(words)
                    }
                }
            }
        }
        #expect(found.count > 25 && found.contains { $0.hasPrefix("forget --keep-last 10") }, "\(found)")
    }

    /// Returns the commands in a line of source code, without the program's name. An interpolation counts as an id if
    /// it is a word, and as further flags if it follows a word.
    private static func commands(in line: String) -> [String] {
        let names = CommandTable.commands.flatMap(\.spellings)
        // An interpolation may contain up to two levels of brackets.
        let put = #"\\\((?:[^()]|\([^()]*\))*\)"#
        guard
            let command = try? Regex(#"(?:^|[ "`])bakstore ((?:[^"`;,)<\\]|"# + put + ")+)"),
            let word = try? Regex(" " + put), let rest = try? Regex(put)
        else { return [] }
        return line.matches(of: command).compactMap { match in
            let text = String(match.output[1].substring ?? "")
                .replacing(word, with: " 0a1b").replacing(rest, with: "")
                .trimmingCharacters(in: .whitespaces)
            return names.contains(String(text.prefix { $0.isLetter || $0 == "-" })) ? text : nil
        }
    }
}
