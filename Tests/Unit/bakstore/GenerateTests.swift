// Files that are generated from the specifications of the commands: the reference, the manual pages and the
// completions. The tests use them in the programs for which they are made.

import Foundation
import Testing

@testable import bakstore

private func isInstalled(_ program: String) -> Bool {
    FileManager.default.isExecutableFile(atPath: "/usr/bin/\(program)")
}

@Suite struct GenerateTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "generate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func remove() { try? FileManager.default.removeItem(at: folder) }

    private func write(_ name: String, _ text: String) throws -> String {
        let file = folder.appendingPathComponent(name)
        try Data(text.utf8).write(to: file)
        return file.path
    }

    /// Runs a program. Returns its exit code, and its standard output and standard error together.
    private func run(_ program: String, _ words: String...) throws -> (code: Int32, text: String) {
        let process = Process()
        (process.executableURL, process.arguments) = (URL(fileURLWithPath: "/usr/bin/\(program)"), words)
        // The shell must not read its user's settings.
        process.environment = [
            "PATH": "/usr/bin:/bin", "HOME": folder.path, "LC_ALL": "C.UTF-8", "TERM": "dumb",
            "MANPAGER": "cat",
        ]
        let pipe = Pipe()
        (process.standardOutput, process.standardError) = (pipe, pipe)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let bytes = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
    }

    /// Makes a program in the place of bakstore. It prints its arguments.
    private func echo() throws -> String {
        let path = try write("bakstore", "#!/bin/sh\nprintf '%s\\n' \"latest\" \"$@\" | tr ' ' _\n")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }

    @Test func theReferenceIsAsItIsGenerated() throws {
        defer { remove() }
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(contentsOf: root.appendingPathComponent("docs/reference.md"), encoding: .utf8)
        #expect(
            page == ReferencePage.text,
            "make it anew with: tools/bakstore generate reference >docs/reference.md")
        for command in CommandTable.commands {
            #expect(page.contains("\n## \(command.name.rawValue)\n"))
            for flag in command.flags { #expect(page.contains("`\(flag.spelling)")) }
        }
    }

    @Test(.enabled(if: isInstalled("man"), "skipped: man is not installed"))
    func manRendersThePagesWithoutAWarning() throws {
        defer { remove() }
        var pages = [("bakstore", ManPage.program)]
        pages += CommandTable.commands.map { ("bakstore-\($0.name.rawValue)", ManPage.command($0)) }
        for (name, text) in pages {
            let file = try write("\(name).1", text)
            let source = try run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", file)
            let isWarned = source.text.contains("warning") || source.text.contains("\(name).1:")
            #expect(source.code == 0 && !isWarned, "\(name)")
            let page = try run("man", "-E", "UTF-8", "-l", file).text
            #expect(
                page.contains("SYNOPSIS") && page.contains("ENVIRONMENT") == (name == "bakstore"), "\(name)")
        }
    }

    @Test(arguments: [
        ("", "backup"), ("re", "restore"), ("backup --excl", "--exclude-larger-than"),
        ("restore -r x latest --overwrite ", "if-newer"), ("restore --overwrite=if-", "if-changed"),
        ("key ", "passwd"), ("repair p", "packs"), ("-v help sn", "snapshots"),
        ("ls -r 'a b' ", "snapshot_-r_a_b"), ("ls --repo=c la", "latest"), ("snapshots --tag ", "tag"),
        ("cat snapshot ", "latest"), ("backup ", "bakstore.bash"), ("--html re", "report.bash"),
    ])
    func bashCompletes(line: String, expected: String) throws {
        defer { remove() }
        let script = try write("bakstore.bash", BashCompletion.script)
        _ = try write("report.bash", "")
        let program = try echo()
        // Bash itself divides the typed line into words.
        let typed = try write(
            "typed",
            """
            cd '\(folder.path)'
            source '\(script)'
            complete -p bakstore >/dev/null || exit 1
            eval "typed=('\(program)' $1)"
            [[ $1 == *' ' || ! $1 ]] && typed+=('')
            COMP_WORDS=()
            for word in "${typed[@]}"; do
                case $word in
                    --*=*) COMP_WORDS+=("${word%%=*}" = "${word#*=}") ;;
                    *) COMP_WORDS+=("$word") ;;
                esac
            done
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _bakstore
            printf '%s\\n' "${COMPREPLY[@]}"
            """)
        let result = try run("bash", "--norc", typed, line)
        let words = result.text.split(separator: "\n").map { String($0).replacing(" ", with: "_") }
        #expect(
            result.code == 0 && (words.contains(expected) || words.joined(separator: "_").contains(expected)),
            "\(line): \(result.text)")
    }

    @Test(.enabled(if: isInstalled("zsh"), "skipped: zsh is not installed"))
    func zshLoadsItsCompletions() throws {
        defer { remove() }
        let script = try write("_bakstore", ZshCompletion.script)
        #expect(try run("zsh", "-n", script).text == "")
        let loaded = try run(
            "zsh", "-f", "-c",
            "autoload -Uz compinit && compinit -u -d '\(folder.path)/dump' && source '\(script)' && print $_comps[bakstore]"
        )
        #expect(loaded.code == 0 && loaded.text == "_bakstore\n", "\(loaded.text)")
        let found = try run(
            "zsh", "-f", "-c",
            "fpath=('\(folder.path)' $fpath); autoload -Uz compinit && compinit -u -D && print $_comps[bakstore]"
        )
        #expect(found.code == 0 && found.text == "_bakstore\n", "\(found.text)")
    }

    /// Types a line and presses the tabulator in a pseudo-terminal with zsh. The screen must show the completion.
    @Test(
        .enabled(if: isInstalled("zsh"), "skipped: zsh is not installed"),
        arguments: [
            ("bakstore che", "check"), ("bakstore restore --overw", "--overwrite="),
            ("bakstore key pas", "passwd"),
        ])
    func zshCompletes(line: String, expected: String) throws {
        defer { remove() }
        _ = try write("_bakstore", ZshCompletion.script)
        let result = try run(
            "zsh", "-f", "-c",
            """
            zmodload zsh/zpty
            zpty shell zsh -f -i
            zpty -w shell "PS1=; fpath=('\(folder.path)' \\$fpath); autoload -Uz compinit; compinit -u -D; echo rea''dy"
            until zpty -r shell text && [[ $text == *ready* && $text != *rea\\'\\'dy* ]]; do :; done
            zpty -w -n shell $'\(line)\\t'
            for attempt in {1..100}; do
                zpty -r -t shell text && all+=${text//$'\\a'/}
                [[ $all == *'\(expected)'* ]] && { print found; break }
                sleep 0.1
            done
            zpty -d shell
            """)
        #expect(result.text.contains("found"), "\(result.text)")
    }

    @Test(
        .enabled(if: isInstalled("fish"), "skipped: fish is not installed"),
        arguments: [
            ("bakstore bac", "backup"), ("bakstore backup --excl", "--exclude-caches"),
            ("bakstore restore latest --overwrite ", "if-newer"), ("bakstore key ", "passwd"),
        ])
    func fishCompletes(line: String, expected: String) throws {
        defer { remove() }
        let script = try write("bakstore.fish", FishCompletion.script)
        let result = try run("fish", "--no-config", "-c", "source '\(script)'; complete -C '\(line)'")
        let words = result.text.split(separator: "\n").map { $0.split(separator: "\t")[0] }
        #expect(result.code == 0 && words.contains { $0 == expected }, "\(result.text)")
    }

    @Test func theTableOfVariablesNamesThoseThatAreRead() throws {
        defer { remove() }
        var read: Set = ["COLUMNS"]
        func variable(_ name: String) -> [UInt8]? {
            read.insert(name)
            return nil
        }
        _ = try Environment(variable)
        _ = Environment.isASCII(variable)
        #expect(read == Set(Environment.variables.map(\.name)))
    }
}

@Suite(.serialized) struct GenerateCommandTests {
    let home: Home

    init() throws { home = try Home() }

    @Test func everythingIsPrinted() throws {
        #expect(home.run("generate", "bash").output == BashCompletion.script)
        #expect(home.run("generate", "zsh").output == ZshCompletion.script)
        #expect(home.run("generate", "fish").output == FishCompletion.script)
        #expect(home.run("generate", "man").output == ManPage.program)
        #expect(home.run("generate", "man", "list").output == ManPage.command(.snapshots))
        #expect(home.run("generate", "reference").output == ReferencePage.text)
        for words in [
            ["generate", "tcsh"], ["generate", "man", "nothing"], ["generate", "words", "x"],
            ["generate", "bash", "x"],
        ] {
            #expect(home.run(words: words).code == .usage, "\(words)")
        }
    }

    @Test func wordsAreWhatIsThere() throws {
        #expect(home.run("backup", "~/photos", "--tag", "a,b", "-d", "phone", "--host", "pc").code == .done)
        #expect(home.run("backup", "~/photos", "--tag", "b", "-d", "phone").code == .done)
        #expect(home.run("generate", "words", "tag").output == "a\nb\n")
        #expect(home.run("generate", "words", "device").output == "phone\n")
        #expect(home.run("generate", "words", "host").output.hasPrefix("pc\n"))
        let snapshots = home.run("generate", "words", "snapshot").output.split(separator: "\n")
        #expect(snapshots.count == 3 && snapshots[0] == "latest")
        try home.write(".config/bakstore/config.toml", "[profile.usb]\nrepository = '~/none'\n")
        #expect(home.run("generate", "words", "profile").output == "usb\n")
        #expect(home.run("generate", "words", "snapshot", "-P", "usb").code == .noRepository)
    }

    @Test func nobodyIsAskedForAPassword() throws {
        try home.write("password", "secret")
        let flags = ["--repo", "~/sealed", "--password-file", "~/password"]
        #expect(home.run(words: ["init", "--encryption", "auto"] + flags).code == .done)
        let terminal = RecordingTerminal()
        terminal.typed = ["secret"]
        #expect(
            home.run(words: ["generate", "words", "tag", "--repo", "~/sealed"], terminal: terminal).code
                == .wrongPassword)
        #expect(terminal.typed == ["secret"] && terminal.questions.isEmpty)
        #expect(home.run(words: ["generate", "words", "snapshot"] + flags).output == "latest\n")
    }
}
