// `prune` and `forget --prune`, from their words to the freed space.

import BakCore
import BakRepository
import Foundation
import Testing

@testable import bakstore

@Suite(.serialized) struct PruneCommandTests {
    let home: Home

    init() throws { home = try Home() }

    /// Returns text that does not compress. The seed determines it.
    private func noise(_ seed: UInt64, count: Int = 300_000) -> String {
        var state = seed
        return String(
            decoding: (0..<count).map { _ -> UInt8 in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return UInt8(truncatingIfNeeded: state >> 57) | 1
            }, as: UTF8.self)
    }

    /// Makes three snapshots. A file has different content in each.
    private func makeHistory() throws {
        for day in 1...3 {
            try home.write("photos/big", noise(UInt64(day)))
            usleep(30_000)
            let run = home.run("backup", "~/photos", "--time", "2025-01-0\(day)", "--device", "laptop")
            #expect(run.code == .done)
        }
    }

    private func packBytes() -> Int {
        let folder = home.path + "/" + Home.defaultRepository + "/packs"
        let files = FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? []
        return files.reduce(0) { sum, file in
            let attributes = try? FileManager.default.attributesOfItem(atPath: folder + "/" + file)
            let isFile = attributes?[.type] as? FileAttributeType == .typeRegular
            return sum + (isFile ? attributes?[.size] as? Int ?? 0 : 0)
        }
    }

    @Test func rulesFirstThenSpace() throws {
        try makeHistory()
        let before = packBytes()
        let dry = home.run("prune", "--keep-last", "1", "-n")
        #expect(dry.code == .done && dry.output.contains("no rule keeps it"))
        #expect(dry.output.contains("Would remove 2 snapshots, keep 1.\n"))
        #expect(dry.output.contains(" would be freed: "))
        #expect(packBytes() == before && home.run("snapshots").output.hasSuffix("3 snapshots\n"))
        let run = home.run("prune", "--keep-last", "1")
        #expect(run.code == .done && run.output.contains("Removed 2 snapshots, kept 1.\n"))
        #expect(run.output.contains(" freed: ") && packBytes() < before / 2)
        #expect(home.run("prune").output.hasPrefix("no space to free; "))
        #expect(home.run("check", "--read-data").output.contains("no damage found"))
        #expect(home.run("cat", "latest:\(home.path)/photos/big").output == noise(3))
    }

    @Test func withoutRulesOnlySpace() throws {
        try makeHistory()
        #expect(home.run("prune").output.hasPrefix("no space to free; "))
        #expect(home.run("snapshots").output.hasSuffix("3 snapshots\n"))
        #expect(home.run("forget", "latest").code == .done)
        let before = packBytes()
        let dry = try summary(home.run("prune", "-n", "--json"))
        #expect(dry["dry_run"] as? Bool == true && dry["snapshots_removed"] == nil)
        let freed = try #require(dry["bytes_freed"] as? Int)
        #expect(freed > 200_000 && packBytes() == before)
        let real = try summary(home.run("prune", "--json"))
        #expect(real["bytes_freed"] as? Int == freed && before - packBytes() == freed)
        #expect(real["packs_deleted"] as? Int ?? 0 > 0 && real["is_partial"] as? Bool == false)
    }

    @Test func forgetCanPruneAtOnce() throws {
        try makeHistory()
        let before = packBytes()
        let run = try summary(home.run("forget", "--keep-last", "1", "--prune", "--json"))
        #expect(run["snapshots_removed"] as? Int == 2 && run["snapshots_kept"] as? Int == 1)
        #expect(packBytes() < before / 2)
    }

    @Test func aProfileBringsItsRules() throws {
        home.variables["BAKSTORE_DEVICE"] = "laptop"
        try home.write(
            ".config/bakstore/config.toml",
            "[profile.p]\nrepository = '~/\(Home.defaultRepository)'\npaths = ['~/photos']\nkeep-last = 1\nmax-unused = '0%'\n"
        )
        try makeHistory()
        #expect(home.run("prune", "-n").output.hasPrefix("no space"))
        #expect(home.run("prune", "-P", "p").output.contains("Removed 2 snapshots, kept 1."))
        #expect(home.run("forget", "latest", "-P", "p", "--yes").code == .done)
    }

    @Test func interruptedItSaysSo() throws {
        try makeHistory()
        home.run("forget", "latest~1")
        home.isInterrupted = true
        let run = home.run("prune")
        #expect(run.code == .interrupted && run.output.contains("The next prune continues from here"))
        home.isInterrupted = false
        #expect(home.run("prune").output.contains(" freed: "))
        #expect(home.run("restore", "latest", "-t", "~/out").code == .done)
    }

    @Test(arguments: [
        ["prune", "extra"], ["prune", "--max-unused", "100%"], ["prune", "--max-unused", "-1%"],
        ["prune", "--max-unused", "many"], ["prune", "--max-unused", "1e1%"],
        ["prune", "--max-duration", "0s"],
        ["prune", "--group-by", "host"], ["prune", "--tag", "x"], ["prune", "--keep-id", "x"],
        ["prune", "--unsafe-allow-remove-all"], ["forget", "--keep-last", "1", "--max-unused", "1%"],
        ["forget", "latest", "--max-duration", "1m"],
    ])
    func usageErrors(words: [String]) { #expect(home.run(words: words).code == .usage) }

    @Test func allowances() {
        let cases: [(String, PruneOptions.Allowance?)] = [
            ("5%", .percent(5)), ("0.5%", .percent(0.5)), ("0%", .percent(0)), ("0", .bytes(0)),
            ("10G", .bytes(10 << 30)), ("unlimited", .unlimited), ("%", nil), ("1.2.3%", nil), ("nan%", nil),
            ("", nil), ("+5%", nil),
        ]
        for (text, allowance) in cases { #expect(PruneOptions.Allowance.parse(text) == allowance, "\(text)") }
    }

    private func summary(_ run: (code: ExitCode, output: String, error: String)) throws -> [String: Any] {
        #expect(run.code == .done, "\(run)")
        let line = try #require(run.output.split(separator: "\n").last)
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["message_type"] as? String == "summary")
        return object
    }
}
