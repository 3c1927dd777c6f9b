// Retention with snapshots in doubt and with archives. A snapshot that lacks files because of a missing disk never
// pushes out a good one.

import BakCore
import BakFormat
import BakRepository
import TestSupport
import Testing

@Suite struct RetentionDoubtTests {
    private static let rounds = 250
    private let now = moment("2025-06-15 12:00")

    private func decide(_ list: [CommitRecord], _ rules: String) -> [ID128: RetentionDecision] {
        let decisions = Retention(policy(rules), now: now) { _ in 0 }.decide(list, among: list)
        return Dictionary(uniqueKeysWithValues: decisions.flatMap(\.decisions).map { ($0.snapshot.id, $0) })
    }

    private func kept(_ list: [CommitRecord], _ rules: String) -> String {
        letters(decide(list, rules).values.filter(\.isKept).map(\.snapshot.id))
    }

    /// Returns six daily snapshots. Some letters are in doubt, and some confirm the snapshot before them.
    private func days(doubtful: String, confirming: String = "", archives: String = "") -> [CommitRecord] {
        var list = snapshots(
            "a 2025-06-01, b 2025-06-02, c 2025-06-03, d 2025-06-04, e 2025-06-05, f 2025-06-06")
        for (place, letter) in "abcdef".enumerated() {
            if doubtful.contains(letter) { list[place].doubtfulPaths = [0] }
            if confirming.contains(letter) { list[place].confirmed = [list[place - 1].originalID] }
            list[place].isArchive = archives.contains(letter)
            if place > 0 { list[place].parent = list[place - 1].id }
        }
        return list
    }

    @Test func whatIsInDoubtStaysAndCountsForNothing() {
        #expect(kept(days(doubtful: ""), "last 2") == "ef")
        #expect(kept(days(doubtful: "f"), "last 2") == "def")
        #expect(kept(days(doubtful: "ef"), "last 2") == "cdef")
        #expect(kept(days(doubtful: "f"), "within 1d12h") == "def")
        #expect(kept(days(doubtful: "f"), "tag x") == "ef")
        let reasons = decide(days(doubtful: "f"), "last 1")[ID128(high: 0, low: 102)]?.reasons
        #expect(reasons == [.doubtful])
    }

    @Test func aConfirmedOneIsLikeAnyOther() {
        #expect(kept(days(doubtful: "e", confirming: "f"), "last 2") == "ef")
        #expect(kept(days(doubtful: "d", confirming: "e"), "last 2") == "ef")
    }

    @Test func aRefutedOneTakesNobodysPlace() {
        #expect(kept(days(doubtful: "e"), "last 2") == "def")
        #expect(kept(days(doubtful: "e"), "last 1") == "f")
        #expect(kept(days(doubtful: "b"), "last 2") == "ef")
        #expect(kept(days(doubtful: "bcde"), "last 2") == "aef")
    }

    @Test func theNewestArchiveStays() {
        #expect(kept(days(doubtful: "", archives: "abc"), "last 1") == "cf")
        #expect(kept(days(doubtful: "", archives: "abcdef"), "last 1") == "f")
        #expect(kept(days(doubtful: "f", archives: "abcdef"), "last 1") == "ef")
        #expect(kept(days(doubtful: "c", archives: "abc"), "last 1") == "bcf")
        var retention = Retention(policy("last 1"), now: now) { _ in 0 }
        retention.mayRemoveAll = true
        #expect(letters(retention.kept(of: days(doubtful: "", archives: "abc"))) == "f")
    }

    /// The snapshots that the rules keep without the doubtful ones are also kept with them. A doubtful snapshot stays
    /// while its doubt stands.
    @Test func doubtsPushOutNothing() {
        var standing = 0
        for round in 0..<Self.rounds {
            let random = SeededRandom(seed: TestSeed.value &+ UInt64(round))
            let comment: Comment = "BAKSTORE_TEST_SEED=\(TestSeed.value) round \(round)"
            var list: [CommitRecord] = []
            for number in 0..<random.number(1...30) {
                var record = snapshot(
                    UInt64(number), Timestamp(seconds: now.seconds - Int64(random.number(0...90 * 86400))),
                    isComplete: !random.oneIn(7), device: "d\(random.number(0...1))")
                if record.isComplete, random.oneIn(3) { record.doubtfulPaths = [0] }
                // A snapshot that confirms is never doubtful here. So it is also in the list without doubtful
                // snapshots.
                if record.doubtfulPaths.isEmpty, let last = list.last, random.oneIn(4) {
                    record.confirmed = [last.id]
                }
                record.isArchive = random.oneIn(3)
                list.append(record)
            }
            list.sort(by: CommitRecord.isOlder)
            let doubts = SnapshotDoubts(among: list)
            standing += doubts.standing.count
            let rules = ["last 3", "daily 4", "within 20d", "weekly 2 last 1", "within-daily 2m"]
            for rules in rules {
                let all = decide(list, rules)
                let certain = list.filter {
                    !doubts.standing.contains($0.id) && !doubts.refuted.contains($0.id)
                }
                for (id, decision) in decide(certain, rules) where decision.isKept {
                    #expect(all[id]?.isKept == true, comment)
                }
                #expect(doubts.standing.allSatisfy { all[$0]?.isKept == true }, comment)
                #expect(doubts.standing.isDisjoint(with: doubts.refuted), comment)
            }
        }
        #expect(standing > Self.rounds / 4)
    }
}
