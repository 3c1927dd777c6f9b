// `safe-to-delete`, from its words to the answer: with rules, with several disks, and with no files.

import BakCore
import Foundation
import Testing

@testable import bakstore

@Suite(.serialized) struct SafeToDeleteTests {
    let home: Home

    init() throws { home = try Home() }

    private func ask(_ words: String...) -> (code: ExitCode, output: String, error: String) {
        home.run(words: ["safe-to-delete", "--same-disk-is-fine"] + words)
    }

    private func back(_ path: String = "~/photos", _ more: String...) {
        #expect(home.run(words: ["backup", path, "--device", "laptop"] + more).code == .done)
    }

    @Test func withoutRulesWhatIsStoredIsSafe() {
        #expect(ask("~/photos").code == .failed || ask("~/photos").code == .noRepository)
        back()
        let answer = ask("~/photos")
        #expect(answer.code == .done && answer.output.contains("2 files, "), "\(answer)")
        #expect(answer.output.contains("There are no rules that would remove one"))
    }

    @Test func rulesThatLetItGoSayUntilWhen() {
        back()
        let answer = ask("~/photos", "--keep-daily", "7")
        #expect(answer.code == .incomplete && answer.output.contains("no file can be deleted"))
        #expect(
            answer.output.contains("a.jpg: a snapshot has it, but on 20")
                && answer.output.contains("--archive"))
        let last = ask("~/photos", "--keep-last", "3")
        #expect(last.output.contains("after 2 further backups, about 20"), "\(last)")
        #expect(ask("~/photos", "--keep-last", "1").output.contains("after the next backup the rules"))
        #expect(ask("~/photos", "--keep-within", "100d").code == .incomplete)
        // A rule without an end keeps the oldest snapshot.
        #expect(ask("~/photos", "--keep-daily", "7", "--keep-yearly", "unlimited").code == .done)
        #expect(ask("~/photos", "--keep-last", "1", "--keep-id", "latest").code == .done)
        #expect(ask("~/photos", "--keep-last", "1", "--keep-tag", "keep").code == .incomplete)
        #expect(home.run("tag", "latest", "--add", "keep").code == .done)
        let tagged = ask("~/photos", "--keep-last", "1", "--keep-tag", "keep", "-v")
        #expect(tagged.code == .done && tagged.output.contains("by its tag keep"), "\(tagged)")
    }

    @Test func theOneThatStaysLongestCounts() {
        back("~/photos", "--time", "2020-05-01 12:00")
        back("~/photos", "--time", "2020-06-01 12:00")
        back("~/photos", "--tag", "keep")
        let answer = ask("~/photos", "--keep-last", "1", "--keep-tag", "keep")
        #expect(answer.code == .done)
        #expect(ask("~/photos", "--keep-last", "2").code == .incomplete)
        // No rule keeps the older snapshots, and the last snapshot's content stays only for a time.
        let json = ask("~/photos", "--keep-last", "2", "--json")
        #expect(json.output.contains("\"kept_until\":\"20") && json.output.contains("\"is_all_safe\":false"))
        #expect(json.output.contains("\"files_kept_for_a_time\":2"))
    }

    @Test func everyProfileOfTheRepositoryCounts() throws {
        try home.write(
            ".config/bakstore/config.toml",
            """
            [profile.default]
            repository = "~/repo"
            paths = ["~/photos"]
            device = "laptop"
            [profile.short]
            repository = "~/repo"
            paths = ["~/photos"]
            device = "laptop"
            keep-last = 2
            [profile.others]
            repository = "~/repo"
            paths = ["~/elsewhere"]
            keep-last = 1
            [profile.away]
            repository = "~/another"
            keep-last = 1
            """)
        #expect(home.run("init", "--repo", "~/repo").code == .done)
        #expect(home.run("backup").code == .done)
        for words in [["-P", "short"], [], ["-P", "others"], ["--repo", "~/repo"]] {
            let answer = home.run(words: ["safe-to-delete", "--same-disk-is-fine", "~/photos"] + words)
            #expect(answer.code == .incomplete, "\(words) \(answer)")
            #expect(answer.output.contains("after 1 further backup,"), "\(words) \(answer)")
        }
        try home.write(".config/bakstore/config.toml", "[profile.x]\nrepository = 7\n")
        let broken = home.run(
            "safe-to-delete", "--same-disk-is-fine", "~/photos", "--repo", "~/repo")
        #expect(broken.code == .incomplete && broken.error.contains("config.toml:2"))
    }

    /// A profile's rules apply to a repository with the same id. The profile may use another path to it, as with a bind
    /// mount, and its disk may be absent.
    @Test func aProfileThatNamesTheRepositoryByAnotherPathCounts() throws {
        #expect(home.run("init", "--repo", "~/repo").code == .done)
        #expect(home.run("backup", "~/photos", "--repo", "~/repo").code == .done)
        let files = FileManager.default
        try files.copyItem(atPath: home.path + "/repo", toPath: home.path + "/same")
        func asked() -> (code: ExitCode, output: String, error: String) {
            ask("~/photos", "--repo", "~/repo")
        }
        #expect(asked().code == .done)
        try home.write(
            ".config/bakstore/config.toml", "[profile.p]\nrepository = \"~/same\"\nkeep-last = 1\n")
        #expect(asked().output.contains("after the next backup the rules"), "\(asked())")
        #expect(home.run("snapshots", "--repo", "~/same").code == .done)
        try files.moveItem(atPath: home.path + "/same", toPath: home.path + "/away")
        #expect(asked().output.contains("after the next backup the rules"), "\(asked())")
        #expect(home.run("init", "--repo", "~/same", "--yes").code == .done)
        #expect(asked().code == .done)
    }

    @Test func whatComesBackIsAskedAboutAgain() throws {
        back()
        #expect(ask("~/photos").code == .done)
        try FileManager.default.removeItem(atPath: home.path + "/photos/a.jpg")
        back()
        #expect(home.run("forget", "--keep-last", "1").code == .failed)
        #expect(home.run("forget", "--keep-last", "1", "--yes").code == .done)
        #expect(home.run("forget", "--undo").code == .done)
        let again = home.run("forget", "--keep-last", "1")
        #expect(again.code == .failed && again.error.contains("called safe"), "\(again)")
        // A confirmation holds until the snapshots are taken back, also for a prune.
        #expect(home.run("forget", "--keep-last", "1", "--yes").code == .done)
        #expect(home.run("forget", "--keep-last", "1").code == .done)
        #expect(home.run("prune").code == .done)
    }

    @Test func aRepositoryOnTheSameDiskIsNoReason() {
        back()
        let answer = home.run("safe-to-delete", "~/photos")
        #expect(answer.code == .incomplete && answer.output.contains("on the same disk"))
        #expect(ask("~/photos").code == .done)
    }

    @Test func whatOnlyASnapshotInDoubtHasIsCalledSo() throws {
        for number in 0..<9 { try home.write("photos/more/\(number).jpg", "content \(number)") }
        back()
        try FileManager.default.removeItem(atPath: home.path + "/photos/more")
        try home.write("photos/new.jpg", "new")
        #expect(home.run("backup", "~/photos", "--device", "laptop").code == .incomplete)
        let answer = ask("~/photos")
        #expect(answer.code == .incomplete)
        #expect(
            answer.output.contains("new.jpg: only snapshot ")
                && answer.output.contains("Run the backup again, with --allow-empty if"),
            "\(answer)")
        back("~/photos", "--allow-empty")
        #expect(ask("~/photos").code == .done)
    }

    @Test func nothingIsNoSuccess() throws {
        back()
        try FileManager.default.createDirectory(
            atPath: home.path + "/empty", withIntermediateDirectories: true)
        let empty = ask("~/empty")
        #expect(empty.code == .incomplete && empty.error.contains("there is no file in"))
        // An empty folder beside a full one may be a phone that is not connected.
        #expect(ask("~/photos", "~/empty").code == .incomplete)
        #expect(ask("~/empty", "--json").output.contains("\"is_all_safe\":false"))
        try FileManager.default.createSymbolicLink(
            atPath: home.path + "/empty/link", withDestinationPath: home.path + "/photos/a.jpg")
        #expect(ask("~/empty").code == .incomplete)
    }

    @Test func manyOfOneReasonAreOneLine() throws {
        for number in 0..<30 { try home.write("photos/more/\(number).jpg", "content \(number)") }
        back("~/photos/sub")
        let answer = ask("~/photos")
        #expect(answer.output.contains("keep  31 files, the first "), "\(answer)")
        #expect(answer.output.split(separator: "\n").count < 8)
        #expect(ask("~/photos", "-v").output.split(separator: "\n").count > 31)
    }

    @Test func whatWasCalledSafeIsNotRemovedUnasked() throws {
        for number in 0..<5 { try home.write("photos/more/\(number).jpg", "content \(number)") }
        back()
        #expect(ask("~/photos").code == .done)
        try FileManager.default.removeItem(atPath: home.path + "/photos/a.jpg")
        back()
        // The dry run names the file. Without a confirmation, the rules do not remove it. A rule that keeps the
        // snapshot asks nothing.
        let dry = home.run("forget", "--keep-last", "1", "-n")
        #expect(dry.code == .done && dry.error.contains("a.jpg: called safe to delete on 20"), "\(dry)")
        for words in [
            ["forget", "--keep-last", "1"], ["prune", "--keep-last", "1"], ["forget", "latest~1"],
        ] {
            let refused = home.run(words: words)
            #expect(refused.code == .failed, "\(words) \(refused)")
            #expect(
                refused.error.contains("1 file that safe-to-delete called safe, last on 20"), "\(refused)")
            #expect(refused.error.contains("in no snapshot after this. Nothing was removed"), "\(refused)")
        }
        #expect(home.run("forget", "--keep-last", "2").code == .done)
        let json = home.run("forget", "--keep-last", "1", "--json", "-n")
        #expect(json.output.contains("\"message_type\":\"vouched_file\""))
        // A prune without rules removes no snapshots.
        #expect(home.run("prune").code == .done)
        #expect(home.run("forget", "--keep-last", "1", "--yes").code == .done)
        // After the confirmation, the program does not ask about a.jpg again. The vouch for sub/b.jpg now relies on the
        // remaining snapshot.
        back()
        let next = home.run("forget", "--keep-last", "1")
        #expect(next.code == .done && !next.error.contains("called safe"), "\(next)")
        try FileManager.default.removeItem(atPath: home.path + "/photos/sub/b.jpg")
        try home.write("photos/c.jpg", "three")
        back()
        #expect(home.run("prune", "--keep-last", "1").error.contains("b.jpg: called safe"))
    }
}
