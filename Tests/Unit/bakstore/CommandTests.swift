// The commands, from their words to their exit codes, on real files and repositories in a temporary folder.

import BakCore
import BakFormat
import BakPosix
import BakRepository
import Foundation
import Testing

@testable import bakstore

@Suite(.serialized) struct CommandTests {
    let home: Home

    init() throws { home = try Home() }

    @Test func aMissingPathCostsNoOther() throws {
        let all = home.run("backup", "~/none", "~/photos/c")
        #expect(all.code == .failed && !home.has(Home.defaultRepository))
        #expect(all.error.hasPrefix("bakstore: cannot find any of the 2 paths, such as \(home.path)/none: "))
        #expect(home.run("backup", "~/none").error.hasPrefix("bakstore: cannot find \(home.path)/none: "))
        let some = home.run("backup", "~/photos", "~/none", "~/photos/sub", "~/photos")
        #expect(some.code == .incomplete)
        #expect(some.error.contains("skipped \(home.path)/none: cannot find it: "))
        #expect(some.output.contains("2 new files") && some.output.contains("1 item could not be read"))
        #expect(home.run("backup", "~/photos").output.contains("2 unchanged"))
    }

    @Test func aDryRunNeedsNoRepositoryAndMakesNone() throws {
        let dry = home.run("backup", "-n", "~/photos")
        #expect(dry.code == .done && dry.output.contains("2 new files"))
        #expect(dry.output.hasSuffix("dry run: nothing was stored\n"))
        #expect(dry.error.contains("there is no repository yet"))
        #expect(!home.has(Home.defaultRepository))
        #expect(home.run("backup", "-n", "~/photos", "--repo", "~/elsewhere").code == .noRepository)
    }

    @Test func standardInputComesBack() throws {
        try home.write("dump", String(repeating: "line\n", count: 100_000))
        let earlier = dup(STDIN_FILENO)
        defer {
            dup2(earlier, STDIN_FILENO)
            close(earlier)
        }
        func feed(_ path: String) {
            let file = open(path, O_RDONLY)
            dup2(file, STDIN_FILENO)
            close(file)
        }
        feed(home.path + "/dump")
        let run = home.run("backup", "--stdin", "--stdin-filename", "db.sql", "--json")
        #expect(run.code == .done && run.output.contains(#""total_bytes_processed":500000,"#))
        #expect(home.run("cat", "latest:db.sql").output == String(repeating: "line\n", count: 100_000))
        #expect(home.run("restore", "latest", "--target", "~/back").code == .done)
        #expect(home.has("back/db.sql"))
        feed(home.path)
        let failed = home.run("backup", "--stdin")
        #expect(failed.code == .failed && failed.error.contains("skipped /stdin: cannot read"))
        #expect(failed.error.hasSuffix("bakstore: nothing could be read, so no snapshot was made\n"))
    }

    @Test func aBackupTidiesUpAfterCrashedOnes() throws {
        home.run("backup", "~/photos")
        let stale = "\(Home.defaultRepository)/tmp/.bakstore-\(ID128.zero)"
        try home.write(stale, "half a pack")
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 1000)], ofItemAtPath: home.path + "/" + stale)
        home.run("backup", "-n", "~/photos")
        #expect(home.has(stale))
        home.run("backup", "~/photos")
        #expect(!home.has(stale))
    }

    @Test func anInterruptedCommandSaysWhatItKeeps() throws {
        home.run("backup", "~/photos")
        home.isInterrupted = true
        let backup = home.run("backup", "~/photos")
        #expect(backup.code == .interrupted)
        #expect(backup.output == "interrupted before a file was stored. No snapshot was made\n")
        let restore = home.run("restore", "latest", "--target", "~/out")
        #expect(
            restore.code == .interrupted && restore.output.contains("interrupted. The files restored so far"))
        #expect(restore.output.hasSuffix("run the same command with --overwrite if-changed\n"))
        let again = home.run("restore", "latest", "--target", "~/out", "--overwrite", "if-newer")
        #expect(again.output.hasSuffix("run the same command again\n"))
        for words in [["ls", "latest"], ["check"], ["cat", "latest:\(home.path)/photos/a.jpg"]] {
            #expect(home.run(words[0], words.dropFirst().first ?? "-q").code == .interrupted, "\(words)")
        }
    }

    @Test func aTargetThatIsNoFolderIsNamed() throws {
        home.run("backup", "~/photos")
        let run = home.run("restore", "latest", "--target", "~/photos/a.jpg")
        #expect(
            run.code == .failed && run.error.contains("photos/a.jpg: Not a directory. Name a writable folder")
        )
        let nothing = home.run("restore", "latest", "--target", "~/out", "--include", "*.png")
        #expect(
            nothing.code == .incomplete && nothing.error.contains("matches '*.png'. Nothing was restored"))
        #expect(Machine.isFolder(home.path + "/out") == nil)
    }

    @Test func listsOfPathsAreRead() throws {
        try home.write("list", "# phones\n\(home.path)/photos/a.jpg\r\n\n")
        try home.write("raw", "\(home.path)/photos/sub\0")
        let run = home.run("backup", "--files-from", "~/list", "--files-from-raw", "~/raw")
        #expect(run.code == .done && run.output.contains("2 new files"))
        try home.write("empty", "# nothing\n")
        #expect(home.run("backup", "--files-from", "~/empty").error.contains("is empty"))
        #expect(home.run("backup", "--files-from", "~/none").code == .usage)
    }

    @Test func aProfileSaysWhatToBackUp() throws {
        try home.write(
            ".config/bakstore/config.toml",
            "[profile.default]\nrepository = '~/repo'\npaths = ['~/photos']\nexclude = ['a.*']\ntag = ['x']\n"
        )
        #expect(home.run("backup").code == .noRepository)
        #expect(home.run("init").code == .done && home.has("repo/config"))
        #expect(home.run("backup").output.contains("1 new file"))
        #expect(home.run("backup", "~/photos", "-P", "default", "--exclude", "none").output.contains("1 new"))
        #expect(home.run("snapshots", "--tag", "x").output.contains("2 snapshots"))
        let other = home.run("snapshots", "-P", "other")
        #expect(other.code == .usage && other.error.contains("has no profile 'other'. It has default"))
        try home.write(".config/bakstore/config.toml", "[profile.default]\npath = ['~/photos']\n")
        let broken = home.run("backup")
        #expect(
            broken.code == .usage && broken.error.contains("config.toml:2: unknown key path. Did you mean"))
        #expect(home.run("snapshots", "-r", "~/repo").code == .done)
    }

    @Test func aRepositoryIsMadeOnceAndWhereNothingElseIs() throws {
        #expect(home.run("init", "-r", "~/repo").code == .done)
        #expect(home.run("init", "-r", "~/repo").error.contains("already"))
        #expect(home.run("init", "-r", "~/photos").error.contains("is not empty"))
        #expect(home.run("init", "-r", "~/photos/a.jpg").error.contains("is not a folder"))
        for place in ["~/none", "~/photos", "~/photos/a.jpg"] {
            let run = home.run("snapshots", "-r", place)
            #expect(run.code == .noRepository && run.error.contains("bakstore init"), "\(place)")
        }
        try home.write("repo/config", "short")
        let damaged = home.run("snapshots", "-r", "~/repo")
        #expect(damaged.code == .damage && damaged.error.contains("Put back a copy of it"))
    }

    @Test func everyCommandSpeaksJSON() throws {
        func expectJSON(_ text: String, _ types: [String?], _ command: String) throws {
            let lines = text.split(separator: "\n")
            #expect(lines.count == types.count, "\(command): \(text)")
            for (line, type) in zip(lines, types) {
                let object = try #require(
                    try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(command)")
                #expect(object["message_type"] as? String == type, "\(command)")
            }
        }
        try home.write("photos/sub/.bakignore", "*.tmp\n")
        try home.write("photos/sub/x.tmp", "")
        for (words, types) in [
            (["init"], ["initialized"]),
            (["backup", "~/photos"], ["excluded", "summary"]),
            (["snapshots"], ["snapshot"]), (["ls", "latest"], ["node", "node"]),
            (["restore", "latest", "--target", "~/out"], ["summary"]),
            (["restore", "latest", "--target", "~/out", "-n", "-q"], ["summary"]),
            (["stats"], ["stats"]), (["stats", "latest"], ["stats"]), (["check"], ["summary"]),
            (["version"], ["version"]), (["help"], ["help"]), (["help", "backup"], ["help"]),
            (["cat", "config"], [nil]), (["cat", "snapshot", "latest"], [nil]),
        ] as [([String], [String?])] {
            let terminal = RecordingTerminal()
            let words = words.map { $0.replacingOccurrences(of: "~", with: home.path) } + ["--json"]
            let code = Commands.main(
                words.map { Array($0.utf8) }, terminal: terminal, clock: SystemTime(),
                variable: { [home] in home.variables[$0].map { Array($0.utf8) } }, localOffset: { _ in 0 },
                keyCache: MemoryKeyCache(), stop: .never)
            #expect(code == .done, "\(words)")
            try expectJSON(terminal.outputText, types, "\(words)")
            for line in terminal.errorText.split(separator: "\n") {
                #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line.utf8)) }
            }
        }
        try expectJSON(home.run("ls", "nope", "--json").error, ["exit_error"], "ls nope")
    }

    @Test func whoeverOnlyPrintsStopsWithItsReader() throws {
        home.run("backup", "~/photos")
        let gone = RecordingTerminal()
        gone.failure = .closed
        #expect(home.run("ls", "-R", "latest", terminal: gone).code == .done && gone.error.isEmpty)
        #expect(home.run("cat", "latest:\(home.path)/photos/a.jpg", terminal: gone).code == .done)
        // A backup has other work than printing, so its exit code is still that of its work.
        #expect(home.run("backup", "~/photos", "~/none", terminal: gone).code == .incomplete)
        #expect(home.run("snapshots").output.contains("2 snapshots"))
    }

    @Test func supersededPartialSnapshotsAreLeftOut() {
        func record(_ number: UInt8, time: Int64, complete: Bool, _ path: UInt8 = 1) -> CommitRecord {
            CommitRecord(
                id: ID128(high: 0, low: UInt64(number)), time: Timestamp(seconds: time),
                endTime: Timestamp(seconds: time), host: "", device: "", user: "", program: "",
                paths: [[path]], tags: [], parent: nil, isComplete: complete, hasIndex: false,
                root: BlobReference(id: .zero, length: 1), counters: SnapshotCounters())
        }
        let all = [
            record(0, time: 1, complete: false), record(1, time: 1, complete: true),
            // These snapshots have another path. The last checkpoint of each interrupted run stays.
            record(2, time: 2, complete: false, 2), record(3, time: 2, complete: false, 2),
            record(4, time: 3, complete: false, 2),
            record(5, time: 4, complete: true), record(6, time: 5, complete: false),
        ]
        let superseded = CommitRecord.supersededPartials(among: all, now: Timestamp(seconds: 9))
        #expect(superseded == [ID128(high: 0, low: 0), ID128(high: 0, low: 2)])
    }
}
