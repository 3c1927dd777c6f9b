import BakChunking
import BakCodec
import BakCore
import BakEngine
import Testing

@testable import bakstore

func parse(_ words: String...) throws -> Invocation {
    try ArgumentParser.parse(words.map { Array($0.utf8) })
}

func complaint(_ line: String) -> String? {
    do {
        _ = try ArgumentParser.parse(line.split(separator: " ").map { Array($0.utf8) })
        return nil
    } catch { return error.message }
}

@Suite struct ArgumentTests {
    @Test func readsABackup() throws {
        let line = try parse(
            "-vr", "repo", "create", "-nd", "phone", "--tag=a,b", "p", "--tag", "b,c",
            "--exclude-larger-than=1.5M", "-v", "--compression", "zstd:7", "--", "-b", "--tag")
        #expect(line.command == .backup)
        #expect(line.text(.repo) == "repo" && line.text(.device) == "phone" && line.has(.dryRun))
        #expect(line.tags == ["a", "b", "c"] && line.tagSets == [["a", "b"], ["b", "c"]])
        #expect(line.size(.excludeLargerThan) == 3 << 19)
        #expect(line.verbosity == 2)
        #expect(line.compression == .zstd(level: 7))
        #expect(line.operands == ["p", "-b", "--tag"].map { Array($0.utf8) })
        #expect(try parse("ls", "-r=x", "-lR", "latest").text(.repo) == "x")
        #expect(try parse("ls", "-rx", "-").operands == [[UInt8(ascii: "-")]])
        #expect(try parse("list").command == .snapshots && parse("verify").command == .check)
        #expect(try parse("restore", "latest", "-t", "-x").text(.target) == "-x")
    }

    @Test func keepsBytesAndOrder() throws {
        let words: [[UInt8]] = [
            Array("backup".utf8), [0xff], Array("--iexclude".utf8), [0xfe], Array("--exclude=x".utf8),
        ]
        let line = try ArgumentParser.parse(words)
        #expect(line.operands == [[0xff]])
        #expect(line.uses.map(\.name) == [.iexclude, .exclude])
        #expect(line.bytes(.iexclude) == [0xfe])
    }

    @Test func aPathIsNotEmpty() {
        for command in ["backup", "benchmark", "safe-to-delete"] {
            #expect(throws: UsageError("a PATH must not be empty", command: CommandName(rawValue: command))) {
                try parse(command, "p", "")
            }
        }
    }

    /// A path keeps its bytes. If it were converted to text, it could become another path.
    @Test func aPathIsNoOther() throws {
        let odd = Array("out".utf8) + [0xfc]
        func parse(_ words: [UInt8]...) throws -> Invocation { try ArgumentParser.parse(words) }
        let bytes = { (text: String) in Array(text.utf8) }
        for words in [
            ["restore", "latest", "--target"], ["stats", "--repo"], ["copy", "--from-repo"],
            ["stats", "--password-file"], ["benchmark", "p", "--html"],
        ] {
            let complaint = #expect(throws: UsageError.self) {
                try ArgumentParser.parse(words.map(bytes) + [odd])
            }
            #expect(complaint?.message.contains("is not UTF-8. Use another name, or make a link") == true)
        }
        for flag in [FlagName.excludeFile, .filesFrom, .filesFromRaw] {
            let line = try parse(bytes("backup"), bytes("p"), bytes("--\(flag.rawValue)"), odd)
            #expect(line.bytes(flag) == odd)
        }
        for name in [
            "BAKSTORE_CACHE_DIR", "BAKSTORE_PASSWORD_FILE", "BAKSTORE_PASSWORD_COMMAND", "HOME",
            "XDG_CONFIG_HOME",
        ] {
            let complaint = #expect(throws: UsageError.self) {
                try Environment { $0 == name ? bytes("/") + odd : nil }
            }
            #expect(complaint?.message.contains("is not UTF-8") == true)
        }
    }

    @Test(arguments: [
        (
            "tag latest --device x --add a",
            "--device chooses among all snapshots and cannot be combined with a SNAPSHOT"
        ),
        (
            "snapshots latest --path x",
            "--path chooses among all snapshots and cannot be combined with a SNAPSHOT"
        ),
        (
            "copy 0a --from-repo x --tag a",
            "--tag chooses among all snapshots and cannot be combined with a SNAPSHOT"
        ),
        ("forget 0a --host x", "--host chooses among all snapshots and cannot be combined with a SNAPSHOT"),
        ("backup --exlude x p", "unknown flag '--exlude'. Did you mean --exclude?"),
        ("bakcup p", "unknown command 'bakcup'. Did you mean backup?"),
        ("frobnicate", "unknown command 'frobnicate'"),
        ("backup -json p", "unknown flag '-j'. Did you mean --json?"),
        ("--tag x backup p", "--tag must come after the command"),
        ("backup p --host", "--host needs a value (NAME)"),
        ("backup p --host= x", "--host '': must be a NAME in UTF-8, not empty"),
        ("backup p --dry-run=yes", "--dry-run takes no value"),
        ("backup p --host a --host b", "--host is given more than once"),
        (
            "backup p --exclude-larger-than 10X",
            "--exclude-larger-than '10X': must be a size such as 500K, 1.5M or 2GiB"
        ),
        ("init --pack-size 4K", "--pack-size '4K': must lie between 1.0 MiB and 1.0 GiB"),
        ("init --id md5", "--id 'md5': must be xxh3 or sha256"),
        ("backup p --read-concurrency 0", "--read-concurrency '0': must be a whole number from 1 to 64"),
        ("backup p --exclude [a", "--exclude '[a': has a '[' without its ']'"),
        (
            "backup p --compression zip",
            "--compression 'zip': must be auto, off, fast, max, lz4 or zstd:1 to zstd:19"
        ),
        ("restore latest", "restore needs --target FOLDER"),
        ("backup", "backup needs a PATH to back up, such as: bakstore backup ~/Pictures"),
        ("backup p --stdin", "--stdin takes no PATH, because it backs up standard input"),
        ("backup p -f --parent x", "--force and --parent cannot be combined"),
        ("snapshots -qv", "--quiet and --verbose cannot be combined"),
        ("ls", "missing argument: SNAPSHOT[:PATH]. Usage: bakstore ls SNAPSHOT[:PATH]"),
        ("ls a b", "too many or wrong arguments. Usage: bakstore ls SNAPSHOT[:PATH]"),
        (
            "backup p --time yesterday",
            "--time 'yesterday': must be a date and time such as '2025-12-31 23:59:59' or 2025-12-31T23:59:59Z"
        ),
    ])
    func complains(line: String, message: String) {
        #expect(complaint(line) == message)
    }

    @Test func aForgottenValueIsNoticed() {
        #expect(
            complaint("backup p --host --tag x")
                == "--host needs a value (NAME), but --tag follows. If that is the value, write --host=--tag")
    }

    @Test func helpAndVersionFromAnywhere() throws {
        #expect(try parse("--version").command == .version)
        #expect(try parse("-h").operands.isEmpty)
        let help = try parse("create", "--help")
        #expect(help.command == .help && help.operands == [Array("backup".utf8)])
        #expect(complaint("") == "no command given")
    }

    @Test func theTableIsSound() {
        for command in CommandTable.commands {
            let flags = command.allFlags
            #expect(Set(flags.map(\.name)).count == flags.count, "\(command.name)")
            let shorts = flags.compactMap(\.short)
            #expect(Set(shorts).count == shorts.count, "\(command.name)")
            #expect(command.requiredFlags.allSatisfy { name in flags.contains { $0.name == name } })
            let words = command.example.line.split(separator: " ").dropFirst()
            // A shell would replace the `~`.
            let example = words.map { Array($0.filter { $0 != "'" && $0 != "~" }.utf8) }
            #expect(throws: Never.self) { try ArgumentParser.parse(example) }
        }
        #expect(Set(CommandTable.commands.map(\.name)) == Set(CommandName.allCases))
        let spellings = CommandTable.commands.flatMap(\.spellings)
        #expect(Set(spellings).count == spellings.count)
    }

    @Test func distances() {
        #expect(Suggestion.distance("kitten", "sitting") == 3)
        #expect(Suggestion.distance("abcd", "acbd") == 1)
        #expect(Suggestion.distance("", "abc") == 3)
        #expect(
            Suggestion.nearest(to: "exclude-larger", among: ["exclude-larger-than", "exclude"])
                == "exclude-larger-than")
    }

    @Test func snapshotPathsAndCatSubjects() throws {
        let path = try SnapshotPath(Array("latest~2://home/./me/a:b/".utf8), command: .ls)
        #expect(path.snapshot == "latest~2" && path.path == Array("home/me/a:b".utf8))
        #expect(throws: UsageError.self) { try SnapshotPath(Array(":x".utf8), command: .ls) }
        #expect(throws: UsageError.self) { try SnapshotPath(Array("a:x/../y".utf8), command: .ls) }
        #expect(try CatSubject([Array("config".utf8)]) == .config)
        #expect(try CatSubject(["pack", "ab"].map { Array($0.utf8) }) == .pack("ab"))
        #expect(
            try CatSubject([Array("ab:x".utf8)]) == .file(SnapshotPath(Array("ab:x".utf8), command: .cat)))
        for words in [["pack"], ["x"], ["x:"], ["y", "z"]] {
            #expect(throws: UsageError.self) { try CatSubject(words.map { Array($0.utf8) }) }
        }
    }
}

@Suite struct EnvironmentTests {
    func environment(_ values: [String: String]) throws -> Environment {
        try Environment { values[$0].map { Array($0.utf8) } }
    }

    @Test func defaultsLieInTheUsersFolders() throws {
        let plain = try environment(["HOME": "/home/me"])
        #expect(plain.defaultRepository == Array("/home/me/.local/share/bakstore/default".utf8))
        #expect(plain.cacheFolder == Array("/home/me/.cache/bakstore".utf8))
        let moved = try environment(["HOME": "/h", "XDG_DATA_HOME": "/d\r", "XDG_CACHE_HOME": ""])
        #expect(moved.defaultRepository == Array("/d/bakstore/default".utf8))
        #expect(moved.cacheFolder == Array("/h/.cache/bakstore".utf8))
        #expect(try environment([:]).defaultRepository == nil)
    }

    @Test(arguments: [
        ["BAKSTORE_PROGRESS_FPS": "fast"], ["BAKSTORE_PROGRESS_FPS": "0"], ["BAKSTORE_PROGRESS_FPS": "nan"],
        ["BAKSTORE_KERNEL": "mmx"], ["BAKSTORE_KERNEL": ""],
        ["XDG_DATA_HOME": "~/z"], ["XDG_CACHE_HOME": "relative"], ["XDG_STATE_HOME": "$HOME/x"],
        ["XDG_CONFIG_HOME": "x"], ["BAKSTORE_DEVICE": " "], ["BAKSTORE_DEVICE": "a\nb"],
        ["BAKSTORE_CACHE_DIR": "/a\tb"], ["BAKSTORE_DEVICE": "\r\n"],
        ["BAKSTORE_REPOSITORY": ""], ["BAKSTORE_REPOSITORY": "/a", "BAKSTORE_REPOSITORY_FILE": "/b"],
    ])
    func invalidValuesAreErrors(values: [String: String]) {
        #expect(throws: UsageError.self) { try environment(values) }
    }

    @Test(arguments: ["", "\r", "\n", "\r\n"]) func theEndOfALineIsNoPartOfAValue(end: String) throws {
        let found = try environment([
            "BAKSTORE_REPOSITORY": "/r" + end, "BAKSTORE_DEVICE": "pixel" + end,
            "BAKSTORE_PASSWORD": "pw" + end,
            "BAKSTORE_PROGRESS_FPS": "5" + end, "BAKSTORE_CACHE_DIR": "/c" + end,
        ])
        #expect(found.repository == Array("/r".utf8) && found.device == "pixel" && found.progressFPS == 5)
        #expect(found.password == .text(SecretBytes(copying: Array("pw".utf8))))
        #expect(found.cacheFolder == Array("/c".utf8))
    }

    /// This is the only test that forces a kernel, because a forced kernel holds for the whole process.
    @Test func theKernelIsForced() throws {
        for kernel in ScanKernel.available.reversed() {
            _ = try environment(["BAKSTORE_KERNEL": kernel.name])
            #expect(ScanKernel.current.name == kernel.name)
        }
        let names = ScanKernel.available.map(\.name).joined(separator: ", ")
        let expected = UsageError("BAKSTORE_KERNEL 'mmx' must be one of \(names)")
        #expect(throws: expected) { try environment(["BAKSTORE_KERNEL": "mmx"]) }
        #expect(ScanKernel.current.name == ScanKernel.available[0].name)
    }

    @Test func theFlagComesBeforeTheEnvironment() throws {
        let set = try environment(["BAKSTORE_REPOSITORY": "/env", "HOME": "/h"])
        #expect(try set.repository(for: parse("stats", "-r", "/flag")) { _ in [] }.folder == "/flag")
        #expect(
            try set.repository(for: parse("stats")) { _ in [] }
                == .init(place: .folder("/env"), isDefault: false))
        let file = try environment(["BAKSTORE_REPOSITORY_FILE": "/f"])
        #expect(try file.repository(for: parse("stats")) { _ in Array("/x y\r\n".utf8) }.folder == "/x y")
        #expect(throws: UsageError.self) { try file.repository(for: parse("stats")) { _ in [] } }
        #expect(try environment(["HOME": "/h"]).repository(for: parse("stats")) { _ in [] }.isDefault)
        #expect(throws: UsageError.self) { try environment([:]).repository(for: parse("stats")) { _ in [] } }
    }
}
