// `forget` and `tag`, from their words to the snapshots that are left.

import BakCore
import Foundation
import Testing

@testable import bakstore

@Suite(.serialized) struct RetentionCommandTests {
    let home: Home

    init() throws { home = try Home() }

    /// Makes a backup with each of the given times.
    private func back(_ path: String, at times: [String], _ more: String...) {
        for time in times {
            var words = ["backup", path, "--time", time] + more
            if !more.contains("--device") { words += ["--device", "laptop"] }
            #expect(home.run(words: words).code == .done, "\(words)")
        }
    }

    private func times() -> [String] {
        home.run("snapshots").output.split(separator: "\n").dropFirst(2).dropLast().map {
            String($0.split(separator: " ")[1...2].joined(separator: " ").dropLast(3))
        }
    }

    private func ids() -> [String] {
        home.run("snapshots").output.split(separator: "\n").dropFirst(2).dropLast().map {
            String($0.prefix(8))
        }
    }

    @Test func rulesRemoveWhatTheySay() {
        back(
            "~/photos", at: ["2025-01-01 08:00", "2025-01-01 09:00", "2025-01-02 08:00", "2025-01-03 08:00"])
        let dry = home.run("forget", "--keep-daily", "2", "-n")
        #expect(dry.code == .done && dry.output.contains("Would remove 2 snapshots, keep 2.\n"))
        #expect(dry.output.hasPrefix("device laptop; \(home.path)/photos:\n"))
        #expect(dry.output.contains("2025-01-02 08:00:00  daily snapshot\n"))
        #expect(dry.output.contains("2025-01-01 09:00:00  no rule keeps it\n"))
        #expect(times().count == 4)
        let run = home.run("forget", "--keep-daily=2")
        #expect(
            run.output.hasSuffix("Removed 2 snapshots, kept 2. Run `bakstore prune` to free the space.\n")
        )
        #expect(times() == ["2025-01-02 08:00", "2025-01-03 08:00"])
        #expect(home.run("forget", "--keep-daily=2").output.hasSuffix("Removed no snapshot, kept 2.\n"))
        #expect(home.run("forget", "--keep-last=1", "-q").output.isEmpty)
        #expect(
            home.run("restore", "latest", "-t", "~/out").code == .done
                && home.has("out\(home.path)/photos/a.jpg"))
    }

    /// A filter with a typing error would never match a snapshot, so the command must report it.
    @Test func aFilterThatTakesNothingIsTold() {
        #expect(home.run("init").code == .done && home.run("init", "--repo", "~/two").code == .done)
        let source = home.path + "/" + Home.defaultRepository
        let commands = [
            ["forget", "--keep-last", "1"], ["prune", "--keep-last", "1"], ["tag", "--add", "x"],
            ["snapshots"],
            ["copy", "--from-repo", source, "--repo", "~/two"],
        ]
        func run(_ words: [String]) -> (code: ExitCode, output: String, error: String) {
            home.run(words: words + ["-q"])
        }
        // Before the first backup, a filter that matches nothing is not an error, because a timer may already run
        // prunes.
        for command in commands { #expect(run(command + ["--device", "phnoe"]).code == .done, "\(command)") }
        back("~/photos", at: ["2025-01-01", "2025-01-02"], "--device", "phone", "--tag", "keep")
        for command in commands {
            let slip = run(command + ["--device", "phnoe"])
            #expect(slip.code == .incomplete, "\(command) \(slip)")
            #expect(slip.error.contains("for --device phnoe. Did you mean phone?"), "\(command) \(slip)")
            for filter in [["--path", "/nowhere"], ["--host", "x"], ["--tag", "keep,other"]] {
                let none = run(command + filter)
                #expect(
                    none.code == .incomplete && none.error.contains(filter.joined(separator: " ")), "\(none)")
            }
            let together = run(command + ["--device", "phone", "--host", "x", "--tag", "keep"])
            #expect(together.code == .incomplete && together.error.contains("for --host x."), "\(together)")
            #expect(
                run(command + ["--device", "phone", "-n"].dropLast(command[0] == "snapshots" ? 1 : 0)).code
                    == .done)
        }
        back("~/photos/sub", at: ["2025-01-03"], "--device", "other")
        let apart = run(["tag", "--add", "x", "--device", "other", "--tag", "keep"])
        #expect(apart.code == .incomplete && apart.error.contains("--device other --tag keep together"))
        #expect(ids().count == 3)
    }

    @Test func anEmptyNameNamesNothing() {
        back("~/photos", at: ["2025-01-01", "2025-01-02"])
        #expect(home.run("forget", "latest~1").code == .done)
        for words in [["forget", ""], ["forget", "--undo", ""]] {
            let answer = home.run(words: words)
            #expect(answer.code == .failed && answer.error.contains("there is no "), "\(answer)")
        }
        #expect(ids().count == 1)
    }

    @Test func namedSnapshotsGo() throws {
        back("~/photos", at: ["2025-01-01", "2025-01-02", "2025-01-03"])
        let all = ids()
        #expect(home.run("forget", all[0], "nothere").code == .failed)
        let two = home.run("forget", all[0], "latest~1")
        #expect(two.output.contains("Removed 2 snapshots, kept 1."), "\(two)")
        #expect(ids() == [all[2]])
        let again = home.run("forget", all[0], all[2], "--yes")
        #expect(again.code == .done && again.error.contains("snapshot \(all[0]) was removed before"))
        #expect(again.output.contains("Removed 1 snapshot, kept 0."), "\(again)")
        let onlyAgain = home.run("forget", all[0])
        #expect(onlyAgain.code == .done && onlyAgain.output.contains("Removed no snapshot"))
        #expect(home.run("forget", "00000000").error.contains("there is no snapshot 00000000"))
        back("~/photos", at: ["2025-01-04"])
        #expect(home.run("forget", "latest", "--yes").code == .done && ids().isEmpty)
    }

    /// The last snapshot of a device and its paths is removed only if the user confirms it.
    @Test func theLastSnapshotOfAGroupAsks() {
        back("~/photos", at: ["2025-01-01", "2025-01-02"])
        back("~/photos", at: ["2025-01-03"], "--device", "phone")
        let all = ids()
        for words in [
            ["forget", all[2]], ["forget", all[0], all[1]], all.reduce(["forget"]) { $0 + [$1] },
            ["forget", "--device", "phone", "--unsafe-allow-remove-all"],
            ["forget", "--group-by", "none", "--keep-last", "1", "--device", "phone", "--device", "laptop"],
            ["prune", "--device", "phone", "--unsafe-allow-remove-all"], ["forget", all[2], "--json"],
        ] {
            let refused = home.run(words: words)
            #expect(refused.code == .failed, "\(words)")
            #expect(refused.error.contains("Nothing was removed. To go ahead, add --yes"), "\(words)")
            #expect(ids() == all, "\(words)")
            #expect(home.run(words: words + ["-n"]).code == .done, "\(words)")
            let terminal = RecordingTerminal()
            terminal.typed = ["n"]
            #expect(home.run(words: words, terminal: terminal).code == .failed && ids() == all, "\(words)")
        }
        // If the group has several snapshots, there is no question.
        #expect(home.run("forget", all[0]).code == .done)
        let terminal = RecordingTerminal()
        terminal.typed = ["y"]
        let run = home.run("forget", all[2], terminal: terminal)
        #expect(run.code == .done && ids() == [all[1]])
        #expect(
            terminal.questions.count == 1 && terminal.questions[0].contains("the last snapshot of phone, "))
        #expect(home.run("forget", all[1], "--yes").code == .done && ids().isEmpty)
    }

    @Test func whatWasRemovedIsTakenBack() throws {
        #expect(home.run("forget", "--undo").code == .noRepository)
        back("~/photos", at: ["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04"])
        #expect(home.run("forget", "--undo").error.contains("there are no removed snapshots to take back"))
        let all = ids()
        home.run("forget", all[0])
        usleep(10_000)
        let removed = home.run("forget", all[1], all[2])
        #expect(removed.error.contains("take them back with: bakstore forget --undo"))
        #expect(home.run("forget", "--undo", "-n").output.contains("2 snapshots would be taken back"))
        #expect(ids() == [all[3]])
        let undone = home.run("forget", "--undo")
        #expect(undone.code == .done && undone.output.contains("2 snapshots taken back"), "\(undone)")
        #expect(
            undone.output.contains("\(all[1]) is back as ")
                && undone.error.contains("the last removal was at"))
        #expect(times() == ["2025-01-02 00:00", "2025-01-03 00:00", "2025-01-04 00:00"])
        // The old name of a snapshot still finds it. The next undo takes back the snapshot that was removed before.
        #expect(home.run("ls", all[1]).code == .done)
        #expect(home.run("forget", "--undo", all[1]).error.contains("it is there as"))
        #expect(home.run("forget", "--undo", all[0]).code == .done && times().count == 4)
        #expect(home.run("check", "--read-data").code == .done)
        // After a prune, the removal is final.
        let last = ids()[0]
        try home.write("photos/only.jpg", String(repeating: "only here", count: 4000))
        back("~/photos", at: ["2025-01-05"])
        let only = ids().last!
        home.run("forget", only)
        home.run("prune", "--max-unused", "0")
        let late = home.run("forget", "--undo", only)
        #expect(late.code == .failed && late.error.contains("a prune has deleted some of its data"))
        #expect(home.run("forget", "--undo", "--keep-last", "1").code == .usage)
        #expect(ids()[0] == last && home.run("check", "--read-data").code == .done)
    }

    @Test func statsCountsWhatSnapshotsLists() throws {
        back("~/photos", at: ["2025-01-01", "2025-01-02", "2025-01-03"])
        home.run("forget", "latest~2")
        let json = home.run("stats", "--json").output
        let stats = try #require(
            try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        let listed = try home.run("snapshots", "--json").output.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(stats["snapshots_count"] as? Int == listed.count && listed.count == 2)
        let sizes = listed.compactMap { ($0["summary"] as? [String: Any])?["total_bytes_processed"] as? Int }
        #expect(stats["total_restore_size"] as? Int == sizes.reduce(0, +))
        let rows = try #require(stats["snapshots"] as? [[String: Any]])
        #expect(rows.map { $0["id"] as? String } == listed.map { $0["id"] as? String })
    }

    @Test func withoutARuleNothingGoes() {
        back("~/photos", at: ["2025-01-01", "2025-01-02"])
        for words in [
            ["forget"], ["forget", "--keep-last", "0"], ["forget", "--device", "laptop"],
            ["forget", "latest", "--keep-last", "1"], ["forget", "latest", "--tag", "x"],
            ["forget", "--unsafe-allow-remove-all"], ["forget", "--keep-id", "latest"], ["forget", "--prun"],
            ["forget", "--keep-within", "7x"], ["forget", "--keep-last", "-2"],
            ["forget", "--keep-last", "1", "--group-by", "name"], ["tag", "latest"],
        ] {
            #expect(home.run(words: words).code == .usage, "\(words)")
        }
        #expect(home.run("forget", "--keep-last", "1", "--keep-id", "nothere").code == .failed)
        #expect(ids().count == 2)
        let all = home.run("forget", "--device", "laptop", "--unsafe-allow-remove-all", "--yes")
        #expect(all.code == .done && ids().isEmpty)
    }

    @Test func choicesAndGroups() {
        back("~/photos", at: ["2025-01-01", "2025-01-02"])
        back("~/photos/sub", at: ["2025-01-03", "2025-01-04"], "--tag", "t")
        back("~/photos", at: ["2025-01-05", "2025-01-06"], "--device", "phone")
        func kept(_ words: String...) -> String {
            let line = home.run(words: ["forget", "-n"] + words).output.split(separator: "\n").last ?? ""
            return String(line.split(separator: " ").last!.prefix { $0.isNumber })
        }
        #expect(kept("--keep-last", "1") == "3")
        #expect(kept("--keep-last", "1", "--group-by", "none") == "1")
        #expect(kept("--keep-last", "1", "--group-by", "device") == "2")
        #expect(kept("--keep-last", "1", "--group-by", "paths,tags") == "2")
        #expect(kept("--keep-last", "1", "-d", "phone") == "5")
        #expect(kept("--keep-last", "1", "--tag", "t") == "5")
        #expect(kept("--keep-last", "1", "--path", "\(home.path)/photos") == "4")
        #expect(kept("--keep-last", "unlimited") == "6")
        #expect(kept("--keep-tag", "t", "--group-by", "none") == "3")
        #expect(kept("--keep-within", "36h", "--group-by", "none") == "2")
        #expect(kept("--keep-last", "1", "--group-by", "none", "--keep-id", "latest~3") == "2")
    }

    @Test func theRulesOfAProfileAreForWhatItBacksUp() throws {
        try home.write(
            ".config/bakstore/config.toml",
            """
            [profile.photos]
            repository = "~/repo"
            paths = ["~/photos/sub", "~/photos", "~/gone"]
            device = "laptop"
            keep-daily = 1
            keep-tag = ["x"]

            [profile.all]
            repository = "~/repo"
            keep-last = 1
            group-by = "none"
            """)
        home.variables["BAKSTORE_REPOSITORY"] = home.path + "/repo"
        home.run("init")
        back("~/photos", at: ["2025-01-01", "2025-01-02"])
        back("~/photos", at: ["2025-01-01", "2025-01-02"], "--device", "phone")
        let none = home.run("forget", "-P", "photos", "-n")
        #expect(none.output.contains("Would remove no snapshot, keep 4."))
        #expect(none.error.contains("the rules of profile 'photos' apply only to its own backups"))
        try home.write("gone/c.jpg", "c")
        back("~/photos", at: ["2025-01-03", "2025-01-04"], "~/gone")
        try FileManager.default.removeItem(atPath: home.path + "/gone")
        let some = home.run("forget", "-P", "photos", "-n")
        #expect(some.output.contains("Would remove 1 snapshot, keep 5."))
        #expect(
            home.run("forget", "-P", "photos", "-n", "--device", "phone").output.contains(
                "Would remove 1 snapshot"))
        #expect(
            home.run("forget", "-P", "all", "-n").output.contains("Would remove 5 snapshots, keep 1."))
        #expect(home.run("forget", "-P", "all", "-n", "--keep-last", "0").code == .usage)
        #expect(
            home.run("forget", "-P", "photos", "latest", "-n").output.contains("Would remove 1 snapshot"))
    }

    @Test func futureAndDamagedSnapshotsStay() throws {
        back("~/photos", at: ["2025-01-01", "2025-01-02", "2095-01-01"])
        let future = home.run("forget", "--keep-last", "1", "-n")
        #expect(future.output.contains("Would remove 1 snapshot, keep 2."))
        #expect(
            future.error.contains("1 snapshot is dated in the future, kept, and not counted by the rules"))
        let all = ids()
        let folder = home.path + "/" + Home.defaultRepository + "/snapshots"
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasPrefix(all[1]) })
        var bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))
        bytes[bytes.count / 2] ^= 1
        try FileManager.default.removeItem(atPath: folder + "/" + name)
        try bytes.write(to: URL(fileURLWithPath: folder + "/" + name))
        let damaged = home.run("forget", "--keep-last", "1")
        #expect(
            damaged.code == .damage && damaged.error.contains("snapshot \(all[1]) cannot be read and stays"))
        #expect(damaged.output.contains("Removed no snapshot, kept 3."))
        let given = home.run("forget", all[1])
        #expect(
            given.code == .done
                && given.error.contains("gave up snapshot \(all[1]), which cannot be read"))
        #expect(home.run("snapshots").code == .done && Set(ids()) == [all[0], all[2]])
    }

    @Test func decisionsAsJSONHaveResticsNames() throws {
        back("~/photos", at: ["2025-01-01", "2025-01-02"])
        let lines = home.run("forget", "--keep-last", "1", "--json", "-n").output.split(separator: "\n")
        let objects = try lines.map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(objects.map { $0["message_type"] as? String } == ["forget_group", "summary"])
        let group = objects[0]
        #expect(group["device"] as? String == "laptop" && group["host"] == nil && group["tags"] == nil)
        #expect(group["paths"] as? [String] == [home.path + "/photos"])
        let (keep, remove) = (group["keep"] as? [[String: Any]], group["remove"] as? [[String: Any]])
        #expect(keep?.count == 1 && remove?.count == 1)
        let reasons = try #require(group["reasons"] as? [[String: Any]])
        #expect(reasons.map { $0["matches"] as? [String] } == [["last snapshot"]])
        #expect((reasons[0]["snapshot"] as? [String: Any])?["id"] as? String == keep?[0]["id"] as? String)
        let removed = try #require(group["remove_reasons"] as? [[String: Any]])
        #expect(removed.map { $0["matches"] as? [String] } == [["no rule keeps it"]])
        #expect(objects[1]["snapshots_removed"] as? Int == 1 && objects[1]["dry_run"] as? Bool == true)
    }

    @Test func tagsAreChanged() throws {
        back("~/photos", at: ["2025-01-01", "2025-01-02"], "--tag", "a,b")
        let before = ids()
        #expect(
            home.run("tag", "latest", "--add", "c,a", "-n").output.contains(
                "[a, b, c]\n1 snapshot would be changed"))
        #expect(ids() == before)
        let run = home.run("tag", "latest", "--remove", "b", "--add", "c")
        let after = ids()
        #expect(run.output == "\(before[1]) is now \(after[1])  [a, c]\n1 snapshot changed\n")
        #expect(after[0] == before[0] && times() == ["2025-01-01 00:00", "2025-01-02 00:00"])
        #expect(
            home.run("tag", "--add", "c").output.hasSuffix("1 snapshot changed, 1 needed no change\n"))
        #expect(home.run("snapshots", "--tag", "c").output.hasSuffix("2 snapshots\n"))
        #expect(home.run("tag", "--tag", "b", "--set=").output.contains("no tags\n1 snapshot changed"))
        let json = home.run("tag", "--set", "x", "--json").output.split(separator: "\n")
        #expect(json.count == 3 && json[2].contains(#""changed_snapshots":2"#))
        #expect(home.run("check", "--read-data").code == .done)
        #expect(home.run("restore", "latest", "-t", "~/out").code == .done)
        #expect(home.run("backup", "~/photos", "--device", "laptop").output.contains("2 unchanged"))
        #expect(home.run("tag", "latest", "--add", String(repeating: "x", count: 2000)).code == .failed)
        #expect(ids().count == 3)
    }
}
