// Commands understand what the user means: repositories of other programs, repositories on absent disks, names as they
// were printed, and quiet commands.

import Foundation
import Testing

@testable import bakstore

@Suite(.serialized) struct MeaningTests {
    let home: Home

    init() throws { home = try Home() }

    private static let programs: [(program: String, files: [String], folders: [String])] = [
        ("restic", ["config"], ["data", "index", "keys", "locks", "snapshots"]),
        ("borg", ["config=[repository]\nversion = 1\n", "README"], ["data"]),
        ("borg", ["README=This is a Borg Backup repository.\n"], ["config", "packs"]),
        ("kopia", ["kopia.repository.f"], []), ("kopia", ["kopia.blobcfg.f"], ["p"]),
        ("duplicacy", ["config"], ["chunks", "snapshots"]),
        ("Duplicati", ["duplicati-20260101T000000Z.dlist.zip"], []),
        ("duplicity", ["duplicity-full.20260101T000000Z.vol1.difftar.gz"], []),
        ("rdiff-backup", [], ["rdiff-backup-data"]),
    ]

    @Test func otherProgramsRepositoriesAreNamed() throws {
        for (number, (program, files, folders)) in Self.programs.enumerated() {
            let folder = "other\(number)"
            for name in folders {
                try FileManager.default.createDirectory(
                    atPath: "\(home.path)/\(folder)/\(name)", withIntermediateDirectories: true)
            }
            for file in files {
                let parts = file.split(separator: "=", maxSplits: 1)
                try home.write(
                    "\(folder)/\(parts[0])",
                    parts.count > 1 ? String(parts[1]) : String(repeating: "z", count: 155))
            }
            for line in [
                ["init"], ["snapshots"], ["backup", "~/photos"], ["check"], ["check", "--without-key"],
                ["prune"], ["stats"],
                ["ls", "latest"], ["restore", "latest", "-t", "~/t"], ["forget", "latest"],
                ["tag", "latest", "--add", "x"],
                ["key", "list"], ["repair", "index"], ["cat", "config"], ["safe-to-delete", "~/photos"],
            ] {
                let result = home.run(words: line + ["--repo", "~/\(folder)"])
                #expect(result.code == .noRepository, "\(line) \(result.error)")
                #expect(
                    result.error.contains("/\(folder) is a") && result.error.contains(program),
                    "\(result.error)")
            }
            #expect(!home.has("\(folder)/sessions"))
        }
    }

    @Test func magicComesBeforeChecksum() throws {
        try home.write("x/config", String(repeating: "not ours", count: 40))
        let other = home.run("snapshots", "--repo", "~/x")
        #expect(
            other.code == .noRepository && other.error.contains("not a bakstore repository"), "\(other.error)"
        )
        try home.write("large/config", String(repeating: "not ours", count: 4 << 20))
        #expect(home.run("snapshots", "--repo", "~/large").code == .noRepository)
        // If there are snapshots, the repository is bakstore's and is damaged.
        #expect(home.run("backup", "~/photos").code == .done)
        try home.write(Home.defaultRepository + "/config", String(repeating: "not ours", count: 40))
        #expect(home.run("snapshots").code == .damage)
    }

    @Test func aRepositoryThatWasThereIsMissed() throws {
        #expect(home.run("init", "--repo", "~/disk/backup").code == .done)
        #expect(home.run("backup", "~/photos").code == .done)
        let files = FileManager.default
        try files.moveItem(atPath: home.path + "/disk", toPath: home.path + "/away")
        try files.createDirectory(atPath: home.path + "/disk", withIntermediateDirectories: true)
        let missed = home.run("backup", "~/photos", "--repo", "~/disk/backup")
        #expect(
            missed.code == .noRepository
                && missed.error.contains("that was at \(home.path)/disk/backup is missing"))
        #expect(missed.error.contains("Is its disk connected?"))
        let made = home.run("init", "--repo", "~/disk/backup")
        #expect(
            made.code == .failed && made.error.contains("--yes") && !home.has("disk/backup"), "\(made.error)")
        let terminal = RecordingTerminal()
        terminal.typed = ["n"]
        let asked = home.run("init", "--repo", "~/disk/backup", terminal: terminal)
        #expect(asked.code == .failed && !home.has("disk/backup"))
        #expect(terminal.questions.first?.contains("Is its disk connected? Make a new one") == true)
        #expect(home.run("init", "--repo", "~/disk/backup", "--yes").code == .done)
        // A deleted folder does not count as an absent disk.
        try files.removeItem(atPath: home.path + "/away")
        try home.write("disk/other", "")
        try files.removeItem(atPath: home.path + "/disk/backup")
        #expect(home.run("init", "--repo", "~/disk/backup").code == .done)
        try files.moveItem(atPath: home.path + "/" + Home.defaultRepository, toPath: home.path + "/elsewhere")
        let absent = home.run("backup", "~/photos")
        #expect(absent.code == .noRepository && absent.error.contains("Is its disk connected?"))
        #expect(!home.has(Home.defaultRepository))
        let never = home.run("snapshots", "--repo", "~/never")
        #expect(
            never.code == .noRepository
                && never.error.contains("Is its disk connected, and is the path right?"))
    }

    @Test func namesAsTheyArePrintedAreTaken() throws {
        let names = ["a\\b.txt", "tab\there", "\u{202e}x", "é.jpg", "a\\nb"]
        for name in names { try home.write("odd/\(name)/in", name) }
        #expect(home.run("backup", "~/odd").code == .done)
        for variables in [[:], ["LC_ALL": "C"]] as [[String: String]] {
            home.variables = variables.merging(["HOME": home.path]) { $1 }
            let listed = home.run("ls", "latest").output.split(separator: "\n")
            #expect(listed.count == names.count)
            for line in listed {
                if !variables.isEmpty { #expect(line.utf8.allSatisfy { $0 < 0x80 }) }
                for path in ["\(line)", "\(line)/", String(line.dropFirst()), "/\(line)"] {
                    #expect(home.run("ls", "latest:\(path)").output.contains("/in"), "\(path)")
                }
                let content = home.run("cat", "latest:\(line)/in")
                #expect(content.code == .done && names.contains(content.output), "\(content.error)")
                #expect(
                    home.run("restore", "latest:\(line)", "--target", "~/back\(home.path.count)").code
                        == .done)
            }
        }
    }

    /// A device or a pipe cannot be a path to back up. In a folder, it is an ordinary entry.
    @Test func whatHasNoContentIsNoPath() throws {
        #expect(mkfifo(home.path + "/photos/pipe", 0o600) == 0)
        for (path, kind) in [("~/photos/pipe", "a pipe"), ("/dev/null", "a device")] {
            let answer = home.run("backup", path)
            #expect(answer.code == .failed && answer.error.contains("is \(kind), so a backup"), "\(answer)")
        }
        #expect(home.run("backup", "~/photos").code == .done)
        try home.write("list", home.path + "/photos/pipe\n")
        #expect(home.run("backup", "--files-from", "~/list").code == .done)
    }

    /// The photos moved to a larger disk, and a link now leads to them.
    @Test func anArchiveThatEndsByALinkIsTold() throws {
        let files = FileManager.default
        try home.write("a/src/one", "1")
        #expect(home.run("backup", "~/a/src", "--archive").code == .done)
        #expect(home.run("backup", "~/a/src").code == .done)
        try files.moveItem(atPath: home.path + "/a", toPath: home.path + "/big")
        try files.createSymbolicLink(atPath: home.path + "/a", withDestinationPath: home.path + "/big")
        for _ in 0..<2 {
            let told = home.run("backup", "~/a/src", "-q")
            #expect(
                told.code == .done && told.error.contains("/a/src leads to another folder now"), "\(told)")
        }
        #expect(home.run("backup", "~/big/src", "-q").error.isEmpty)
        #expect(home.run("backup", "~/a/src", "--no-archive", "-q").error.isEmpty)
        #expect(home.run("backup", "~/a/src", "--archive", "-q").error.isEmpty)
        #expect(home.run("backup", "~/a/src", "-q").error.isEmpty)
    }

    /// A file that a flag excludes exists, so it is not reported as missing.
    @Test func whatIsLeftOutIsNoSlip() throws {
        try home.write("photos/b.txt", "b")
        #expect(home.run("backup", "~/photos", "--archive").code == .done)
        try FileManager.default.removeItem(atPath: home.path + "/photos/a.jpg")
        #expect(home.run("backup", "~/photos").code == .done)
        let gone = "latest:\(home.path)/photos/a.jpg"
        for words in [
            ["restore", gone, "-t", "~/out", "--without-gone"],
            ["restore", "latest", "-t", "~/out", "--include", "*.txt", "--exclude", "*.txt"],
            ["ls", gone, "--without-gone"],
        ] {
            let answer = home.run(words: words)
            #expect(answer.code == .incomplete && !answer.error.contains("Did you mean"), "\(answer)")
            #expect(answer.error.contains(words.contains("--exclude") ? "--exclude" : "--without-gone"))
        }
        for words in [["--include", "/nope"], ["--exclude", "*"], ["--include", "/x/y", "--exclude", "z"]] {
            let answer = home.run(words: ["restore", "latest", "-t", "~/out"] + words)
            #expect(answer.code == .incomplete && !answer.error.contains("bakstore: / is"), "\(answer)")
            let pattern = words[0] == "--include" ? "'\(words[1])'" : "matches the patterns"
            #expect(answer.error.contains(pattern), "\(answer)")
        }
        #expect(!home.has("out"))
    }

    @Test func anotherProgramsConfigIsNoRepository() throws {
        try home.write("other/config", "[core]\n")
        let answer = home.run("init", "--repo", "~/other")
        #expect(answer.code != .done && !answer.error.contains("already"), "\(answer)")
    }

    /// Every command that reads files follows a link that the user names. Patterns work behind the link.
    @Test func linksThatAreNamedAreFollowed() throws {
        let files = FileManager.default
        try files.createSymbolicLink(atPath: home.path + "/link", withDestinationPath: "photos")
        try files.createSymbolicLink(atPath: home.path + "/chain", withDestinationPath: home.path + "/link")
        try files.createSymbolicLink(atPath: home.path + "/gone", withDestinationPath: "nowhere")
        let first = home.run("backup", "~/link")
        #expect(first.code == .done && first.output.contains("2 new files"), "\(first.error)")
        #expect(home.run("backup", "~/chain").output.contains("2 unchanged"))
        #expect(home.run("backup", "~/photos").output.contains("2 unchanged"))
        #expect(home.run("backup", "~/link", "~/chain").output.contains("2 unchanged"))
        #expect(home.run("ls", "latest:~/chain").output == "\(home.path)/chain\n")
        #expect(home.run("check", "--read-data").code == .done)
        #expect(home.run("ls", "-R", "latest").output.contains("\(home.path)/photos/sub/b.jpg"))
        let safe = home.run("safe-to-delete", "~/chain", "--same-disk-is-fine")
        #expect(
            safe.code == .done && safe.output.contains("2 files") && !safe.output.contains("link"),
            "\(safe.output)")
        #expect(home.run("benchmark", "~/link").output.contains("2 files"))
        for pattern in ["~/link/sub", "~/photos/sub", "~/chain/sub/b.jpg", "~/link/s*/b.jpg"] {
            let dry = home.run("backup", "-n", "-f", "~/link", "--exclude", pattern)
            #expect(dry.output.contains("1 new file,"), "\(pattern) \(dry.output) \(dry.error)")
            #expect(!dry.error.contains("matches nothing"))
        }
        let gone = home.run("backup", "~/gone")
        #expect(
            gone.code == .failed && gone.error.contains("where the link \(home.path)/gone leads"),
            "\(gone.error)")
        let some = home.run("backup", "~/photos", "~/gone")
        #expect(
            some.code == .incomplete && some.error.contains("skipped \(home.path)/nowhere"), "\(some.error)")
        try home.write("profile", "")
        try home.write(
            ".config/bakstore/config.toml",
            "[profile.default]\npaths = ['~/link']\nkeep-last = 1\nexclude = ['~/link/sub', '$HOME/elsewhere']\n"
        )
        let profile = home.run("backup")
        #expect(
            profile.code == .done && profile.error.contains("elsewhere' matches nothing"), "\(profile.error)")
        // The profile's rules apply to the paths that it backs up, even while these paths are absent.
        let kept = home.run("forget", "-n")
        #expect(kept.code == .done && kept.output.contains("Would"), "\(kept.output) \(kept.error)")
        try files.moveItem(atPath: home.path + "/photos", toPath: home.path + "/away")
        #expect(home.run("forget", "-n").output == kept.output)
    }

    /// With -q, a command that changes something prints nothing, and a command that answers a question prints only the
    /// answer.
    @Test func quietMeansTheSameEverywhere() throws {
        for line in [
            ["init", "--repo", "~/r"], ["backup", "~/photos", "--exclude", "/nowhere"],
            ["backup", "-n", "~/photos"],
            ["forget", "--keep-last", "1", "-n"], ["forget", "--keep-last", "1"], ["prune", "-n"], ["prune"],
            ["check"],
            ["check", "--read-data"], ["repair", "index"], ["repair", "packs"], ["repair", "snapshots"],
            ["restore", "latest", "-t", "~/t", "-n"], ["restore", "latest", "-t", "~/t"],
            ["tag", "latest", "--add", "x"],
            ["copy", "--from-repo", "~/\(Home.defaultRepository)", "--repo", "~/r"],
            ["safe-to-delete", "~/t"],
        ] {
            let result = home.run(words: line + ["-q"])
            #expect(result.code == .done || result.code == .incomplete, "\(line) \(result.error)")
            #expect(result.output.isEmpty || line[0] == "safe-to-delete", "\(line) \(result.output)")
            #expect(result.error.isEmpty, "\(line) \(result.error)")
        }
        for line in [
            ["snapshots"], ["ls", "latest"], ["ls", "latest", "--groups", "-R"], ["stats"],
            ["stats", "latest"],
            ["cat", "config"], ["benchmark", "~/photos"], ["version"], ["help"], ["help", "backup"],
        ] {
            let result = home.run(words: line + ["-q"])
            #expect(result.code == .done && result.error.isEmpty, "\(line) \(result.error)")
            #expect(!result.output.isEmpty || line.contains("--groups"), "\(line)")
        }
    }

    @Test func whatIsMadeIsSaid() throws {
        let plain = home.run("init", "--repo", "~/plain")
        #expect(plain.output.contains("not encrypted") && plain.error.contains("--encryption auto"))
        try home.write("password", "secret")
        let sealed = home.run(
            "init", "--repo", "~/sealed", "--encryption", "auto", "--password-file", "~/password")
        #expect(sealed.output.contains(", encrypted with "))
        let page = home.run("benchmark", "~/photos", "--html", "~/page.html")
        #expect(page.error.contains("wrote the report \(home.path)/page.html"))
        let first = home.run("backup", "~/photos", "--repo", "~/plain")
        #expect(first.error.contains("is on the same disk as the files"))
        #expect(!home.run("backup", "~/photos", "--repo", "~/plain").error.contains("same disk"))
        #expect(!home.run("backup", "-f", "~/photos", "--repo", "~/plain").error.contains("same disk"))
    }

    @Test func flagsOfASourceBelongToInitAndCopyAlone() {
        let flags: [FlagName] = [.fromRepo, .fromPasswordFile, .fromPasswordCommand, .copyChunkerParams]
        for command in CommandTable.commands {
            for flag in flags {
                let isKnown = command.allFlags.contains { $0.name == flag }
                let belongs =
                    command.name == .initialize || command.name == .copy && flag != .copyChunkerParams
                #expect(isKnown == belongs, "\(command.name) --\(flag.rawValue)")
            }
        }
        #expect(home.run("snapshots", "--from-password-file", "x").code == .usage)
    }

    @Test func everythingIsASCIIWhereTheLocaleIs() throws {
        try home.write("ünder/é.jpg", "x")
        home.variables["LANG"] = "C"
        for line in [
            ["backup", "-v", "~/ünder", "--tag", "sömething", "--exclude", "~/nöwhere/x"], ["snapshots"],
            ["snapshots", "--json"],
            ["ls", "-lR", "latest"], ["ls", "latest", "--json"],
            ["restore", "-v", "latest", "-t", "~/zurück"],
            ["restore", "latest:ö", "-t", "~/x"], ["backup", "~/fehlt-ä"], ["frobnöcate"], ["help"],
            ["help", "backup"],
            ["benchmark", "~/ünder"], ["stats"], ["safe-to-delete", "-v", "~/ünder"],
            ["forget", "--keep-last", "1", "-n"],
        ] {
            let result = home.run(words: line)
            #expect(result.output.utf8.allSatisfy { $0 < 0x80 }, "\(line) \(result.output)")
            #expect(result.error.utf8.allSatisfy { $0 < 0x80 }, "\(line) \(result.error)")
        }
        // File content is printed unchanged.
        try home.write("ünder/text", "täxt")
        #expect(home.run("backup", "~/ünder").code == .done)
        #expect(home.run("cat", "latest:\(home.path)/ünder/text").output == "täxt")
    }

    @Test func tablesFitTheTerminal() throws {
        try home.write("a folder with a long name/" + String(repeating: "long ", count: 20) + ".jpg", "x")
        #expect(
            home.run("backup", "~/a folder with a long name", "~/photos", "--tag", "one,two,three").code
                == .done)
        for width in [40, 80, 200] {
            for line in [
                ["snapshots"], ["ls", "-lR", "latest"], ["stats"], ["stats", "latest"],
                ["forget", "--keep-last", "1", "-n"],
                ["help"], ["help", "backup"], ["benchmark", "~/photos"],
            ] {
                let terminal = RecordingTerminal()
                terminal.outputWidth = width
                let result = home.run(words: line, terminal: terminal)
                #expect(result.code == .done)
                let isTable = !["benchmark", "stats", "forget"].contains(line[0])
                for text in result.output.split(separator: "\n") where isTable || text.contains("  ") {
                    #expect(
                        TextWidth.of(String(text)) <= width,
                        "\(line) \(text)")
                }
            }
        }
    }
}
