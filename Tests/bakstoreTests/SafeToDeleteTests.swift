// `safe-to-delete` from words to an answer: rules, disks, and nothing.

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
        #expect(answer.output.contains("there are no rules that would remove one"))
    }

    @Test func rulesThatLetItGoSayUntilWhen() {
        back()
        let answer = ask("~/photos", "--keep-daily", "7")
        #expect(answer.code == .incomplete && answer.output.contains("no file can be deleted"))
        #expect(answer.output.contains("a.jpg: kept until 20") && answer.output.contains("--archive"))
        let last = ask("~/photos", "--keep-last", "3")
        #expect(last.output.contains("kept for 2 further backups, about until 20"), "\(last)")
        #expect(ask("~/photos", "--keep-last", "1").output.contains("kept until the next backup"))
        #expect(ask("~/photos", "--keep-within", "100d").code == .incomplete)
        // The oldest of all is kept by a rule that has no end.
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
        // No rule keeps the older ones, and no rule is asked about the last one's content.
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
            #expect(answer.output.contains("kept for 1 further backup,"), "\(words) \(answer)")
        }
        try home.write(".config/bakstore/config.toml", "[profile.x]\nrepository = 7\n")
        let broken = home.run(
            "safe-to-delete", "--same-disk-is-fine", "~/photos", "--repo", "~/repo")
        #expect(broken.code == .incomplete && broken.error.contains("config.toml:2"))
    }

    @Test func aRepositoryOnTheSameDiskIsNoReason() {
        back()
        let answer = home.run("safe-to-delete", "~/photos")
        #expect(answer.code == .incomplete && answer.output.contains("on the same disk"))
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
}
