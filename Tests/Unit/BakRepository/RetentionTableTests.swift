// Retention rules, compared with cases that were worked out by hand with a calendar.

import BakCore
import BakRepository
import Testing

private struct Case: Sendable, CustomTestStringConvertible {
    var title: String
    var snapshots: String
    var rules: String
    var kept: String
    var zone: Zone
    var now: String

    init(
        _ title: String, _ snapshots: String, _ rules: String, keeps kept: String, in zone: Zone = .utc,
        now: String = "2030-01-01"
    ) {
        (self.title, self.snapshots, self.rules) = (title, snapshots, rules)
        (self.kept, self.zone, self.now) = (kept, zone, now)
    }

    var testDescription: String { "\(title): \(rules)" }
}

private let hours = "a 2025-01-01 10:05, b 2025-01-01 10:55, c 2025-01-01 11:10, d 2025-01-01 12:00"
private let days = "a 2025-01-01 08:00, b 2025-01-01 20:00, c 2025-01-02 08:00, d 2025-01-03 09:00"
private let years = "a 2023-06-01, b 2023-12-31 23:59:59, c 2024-01-01, d 2025-05-01"
private let newYear2025 = "a 2024-12-29, b 2024-12-30, c 2025-01-01, d 2025-01-05 23:59, e 2025-01-06"
private let lateEvening = "a 2025-01-01 21:30, b 2025-01-01 22:59, c 2025-01-01 23:30"

private let cases: [Case] = [
    Case("no rule", days, "", keeps: "abcd"),
    Case("a rule for nothing", days, "last 0 daily 0", keeps: "abcd"),
    Case("an exemption alone is no rule", days, "id a", keeps: "abcd"),
    Case("nothing there", "", "last 1", keeps: ""),
    Case("one snapshot", "a 2025-01-01", "daily 7", keeps: "a"),

    Case("last", days, "last 1", keeps: "d"),
    Case("last", days, "last 2", keeps: "cd"),
    Case("more than there are", days, "last 9", keeps: "abcd"),
    Case("without a limit", days, "last *", keeps: "abcd"),
    Case("equal times: the larger id", "a 2025-01-01, b 2025-01-01, c 2025-01-01", "last 1", keeps: "c"),
    Case("equal times, out of order", "c 2025-01-01, a 2025-01-01, b 2025-01-01", "daily 1", keeps: "c"),
    Case("equal times: all of them", "a 2025-01-01, b 2025-01-01, c 2025-01-01", "last 2", keeps: "bc"),

    Case("hours", hours, "hourly 1", keeps: "d"),
    Case("hours", hours, "hourly 2", keeps: "cd"),
    Case("the newest of an hour", hours, "hourly 3", keeps: "bcd"),
    Case("the oldest while the count lasts", hours, "hourly 4", keeps: "abcd"),
    Case(
        "hours before 1970", "a 1965-05-05 09:59:59, b 1965-05-05 10:00, c 1965-05-05 10:59:59", "hourly 2",
        keeps: "ac"),

    Case("days", days, "daily 2", keeps: "cd"),
    Case("the newest of a day", days, "daily 3", keeps: "bcd"),
    Case("the oldest while the count lasts", days, "daily 4", keeps: "abcd"),
    Case("midnight", "a 2025-01-01 23:59:59, b 2025-01-02", "daily 1", keeps: "b"),
    Case(
        "midnight", "z 2025-01-01 12:00, a 2025-01-01 23:59:59, b 2025-01-02", "daily 2", keeps: "ab"),
    Case("a day by UTC", lateEvening, "daily 2", keeps: "ac"),
    Case("the same moments in Berlin", lateEvening, "daily 2", keeps: "bc", in: .berlin),
    Case("days before 1970", "a 1969-12-31, b 1969-12-31 23:59:59, c 1970-01-01", "daily 2", keeps: "bc"),
    Case("the leap day", "a 2024-02-28, b 2024-02-29, c 2024-03-01", "daily 2", keeps: "bc"),
    Case("no leap day in 1900", "a 1900-02-27, b 1900-02-28, c 1900-03-01", "within 2d", keeps: "bc"),

    Case(
        "a day of 23 hours",
        "a 2025-03-29 22:59, b 2025-03-29 23:00, c 2025-03-30 21:59, d 2025-03-30 22:00", "daily 3",
        keeps: "acd", in: .berlin),
    Case(
        "a day of 25 hours",
        "a 2025-10-25 21:59, b 2025-10-25 22:00, c 2025-10-26 22:59, d 2025-10-26 23:00", "daily 3",
        keeps: "acd", in: .berlin),
    Case(
        "an hour that comes twice", "a 2025-10-25 23:30, b 2025-10-26 00:30, c 2025-10-26 01:30", "hourly 2",
        keeps: "bc", in: .berlin),
    Case(
        "an hour that is left out", "a 2025-03-29 23:30, b 2025-03-30 00:30, c 2025-03-30 01:30", "hourly 2",
        keeps: "bc", in: .berlin),
    Case(
        "half an hour that comes twice",
        "a 2025-04-05 14:10, b 2025-04-05 14:50, c 2025-04-05 15:10, d 2025-04-05 15:40", "hourly 3",
        keeps: "bcd", in: .lordHowe),

    Case("the week of 30 December 2024 is the first of 2025", newYear2025, "weekly 2", keeps: "de"),
    Case("and begins on that Monday", newYear2025, "weekly 3", keeps: "ade"),
    Case(
        "a week 53", "a 2020-12-27, b 2020-12-28, c 2021-01-03, d 2021-01-04", "weekly 3", keeps: "acd"),
    Case("1 January on a Monday", "z 2017-12-30, a 2017-12-31, b 2018-01-01", "weekly 2", keeps: "ab"),
    Case(
        "weeks around 1970",
        "a 1969-12-28, b 1969-12-29, c 1970-01-01, d 1970-01-04, e 1970-01-05", "weekly 3", keeps: "ade"),
    Case(
        "a week begins when it does there", "z 2025-06-08 12:00, a 2025-06-09 02:00, b 2025-06-09 04:30",
        "weekly 2", keeps: "ab", in: .newYork),

    Case("months", "z 2024-02-01, a 2024-02-29, b 2024-03-01", "monthly 2", keeps: "ab"),
    Case(
        "the end of a month in Berlin", "z 2025-01-31 12:00, a 2025-01-31 22:59, b 2025-01-31 23:00",
        "monthly 2", keeps: "ab", in: .berlin),
    Case(
        "a month of another year is another", "z 2023-05-01, a 2024-05-01, b 2025-05-01", "monthly 2",
        keeps: "ab"),

    Case("years", years, "yearly 2", keeps: "cd"),
    Case("the newest of a year", years, "yearly 3", keeps: "bcd"),
    Case("the oldest while the count lasts", years, "yearly 10", keeps: "abcd"),
    Case(
        "a year begins when it does there", "z 2024-07-01, a 2025-01-01 04:59, b 2025-01-01 05:00",
        "yearly 2", keeps: "ab", in: .newYork),
    Case("years 0 and 1", "z 0000-01-01, a 0000-12-31, b 0001-01-01", "yearly 2", keeps: "ab"),

    Case(
        "any rule is enough",
        "a 2025-01-01, b 2025-01-02 08:00, c 2025-01-02 20:00, d 2025-01-02 21:00", "last 2 daily 2",
        keeps: "acd"),

    Case(
        "a span ends at the newest, not now",
        "a 2025-06-08 12:00, b 2025-06-08 12:00:01, c 2025-06-15 12:00", "within 7d", keeps: "bc"),
    Case(
        "a week is seven days", "a 2025-06-08 12:00, b 2025-06-08 12:00:01, c 2025-06-15 12:00", "within 1w",
        keeps: "bc"),
    Case(
        "a month before the 31st", "a 2025-02-28 11:59, b 2025-02-28 12:01, c 2025-03-31 12:00", "within 1m",
        keeps: "bc"),
    Case(
        "a year before the leap day", "a 2023-02-28, b 2023-02-28 00:01, c 2024-02-29", "within 1y",
        keeps: "bc"),
    Case(
        "a day of 23 hours", "a 2025-03-29 10:59, b 2025-03-29 11:01, c 2025-03-30 10:00", "within 1d",
        keeps: "bc", in: .berlin),
    Case(
        "24 hours are not that day", "a 2025-03-29 09:59, b 2025-03-29 10:30, c 2025-03-30 10:00",
        "within 24h", keeps: "bc", in: .berlin),
    Case(
        "all units", "a 2024-04-12 08:00, b 2024-04-12 08:00:01, c 2025-06-15 12:00", "within 1y2m3d4h",
        keeps: "bc"),
    Case(
        "into the year before", "a 2024-11-30, b 2024-12-01 00:01, c 2025-01-31", "within 61d", keeps: "bc"),
    Case("hours within", hours, "within-hourly 1h", keeps: "cd"),
    Case(
        "days within",
        "a 2025-06-12 11:00, b 2025-06-12 13:00, c 2025-06-14 08:00, d 2025-06-14 09:00, e 2025-06-15 12:00",
        "within-daily 3d", keeps: "bde"),
    Case("weeks within", newYear2025, "within-weekly 1w", keeps: "de"),
    Case(
        "months within", "a 2024-06-30, b 2024-07-02, c 2024-07-31, d 2025-07-01", "within-monthly 1y",
        keeps: "cd"),
    Case("years within", years, "within-yearly 2y", keeps: "bcd"),

    Case("a tag", "a 2025-01-01 #x, b 2025-01-02 #y, c 2025-01-03", "tag x", keeps: "ac"),
    Case(
        "two tags at once", "a 2025-01-01 #x #y, b 2025-01-02 #y, c 2025-01-03", "tag x#y", keeps: "ac"),
    Case("either tag", "a 2025-01-01 #x, b 2025-01-02 #y, c 2025-01-03", "tag x tag y", keeps: "abc"),
    Case("no tag", "a 2025-01-01, b 2025-01-02 #y, c 2025-01-03 #y", "tag -", keeps: "ac"),
    Case("an id", days, "last 1 id b", keeps: "bd"),
    Case("the newest stays", days, "tag nowhere", keeps: "d"),

    Case(
        "the future counts for nothing", "a 2025-01-08, b 2025-01-09, f 2035-01-01", "last 1", keeps: "bf",
        now: "2025-01-10"),
    Case(
        "nor for spans", "a 2025-01-08, b 2025-01-09, f 2035-01-01", "within 1h", keeps: "bf",
        now: "2025-01-10"),
    Case("nothing but future", "a 2025-01-01, b 2025-01-02", "last 1", keeps: "ab", now: "2024-12-31"),
    Case("now is not the future", "a 2025-01-09, b 2025-01-10", "last 1", keeps: "b", now: "2025-01-10"),
    Case(
        "the newest of the past stays", "a 2025-01-08, b 2025-01-09, f 2035-01-01", "tag x", keeps: "bf",
        now: "2025-01-10"),

    Case("made up for", "a? 2025-01-01, b 2025-01-02, c? 2025-01-03", "last 9", keeps: "bc"),
    Case("partial ones use up no count", "a 2025-01-01, b 2025-01-02, c? 2025-01-03", "last 1", keeps: "bc"),
    Case(
        "checkpoints of one run: the last", "a 2025-01-01, b? 2025-01-02, c? 2025-01-02", "last 1",
        keeps: "ac"),
    Case(
        "a run and its checkpoints", "a? 2025-01-02, b? 2025-01-02, c 2025-01-02", "last 9", keeps: "c"),
    Case("a first run that was interrupted", "a? 2025-01-01", "last 1", keeps: "a"),
    Case(
        "two interrupted runs", "a? 2025-01-01, b? 2025-01-02", "last 1", keeps: "ab"),
    Case(
        "the future makes up for nothing", "a? 2025-01-08, f 2035-01-01", "last 1", keeps: "af",
        now: "2025-01-10"),
    Case("a tag keeps what is made up for", "a? 2025-01-01 #x, b 2025-01-02", "tag x", keeps: "ab"),
]

@Suite struct RetentionTableTests {
    @Test fileprivate func thereAreEnough() { #expect(cases.count >= 75) }

    @Test(arguments: cases)
    fileprivate func keeps(_ one: Case) {
        let zone = one.zone
        let retention = Retention(policy(one.rules), now: moment(one.now), localOffset: zone.offset)
        let list = snapshots(one.snapshots)
        #expect(letters(retention.kept(of: list)) == one.kept)
        #expect(letters(retention.kept(of: list.reversed())) == one.kept, "in the other order")
    }

    @Test func allMayGoWhenThatIsWanted() {
        var retention = Retention(policy("tag x"), now: moment("2030-01-01")) { _ in 0 }
        retention.mayRemoveAll = true
        #expect(retention.kept(of: snapshots(days)).isEmpty)
        retention.policy = policy("")
        #expect(letters(retention.kept(of: snapshots(days))) == "abcd")
    }

    @Test func reasonsAreInResticsWords() {
        let list = snapshots(
            "a 2024-12-30 #x, b 2025-01-01 08:00, c 2025-01-01 20:00, d 2025-01-02, e? 2025-01-01 #y, f 2035-01-01"
        )
        let retention = Retention(
            policy("last 1 daily 4 within 1d within-monthly 1y tag x tag - id b"), now: moment("2025-01-03")
        ) { _ in 0 }
        let decisions = retention.decide(list, among: list)[0].decisions
        let words = decisions.map { decision in
            String(UnicodeScalar(UInt8(decision.snapshot.id.low))) + (decision.isKept ? "+ " : "- ")
                + decision.reasons.map(\.description).joined(separator: "; ")
        }
        #expect(
            words == [
                "f+ has no tags; dated in the future",
                "a+ daily snapshot; monthly within 1y; has tags [x]",
                "e- incomplete; superseded by a later snapshot",
                "b+ within 1d; has no tags; kept by its id",
                "c+ within 1d; daily snapshot; has no tags",
                "d+ last snapshot; within 1d; daily snapshot; monthly within 1y; has no tags",
            ])
    }

    @Test func groupsAreDecidedEachForItself() {
        let list = [
            snapshot(1, moment("2025-01-01"), device: "phone", paths: ["x", "y"]),
            snapshot(2, moment("2025-01-02"), device: "phone", paths: ["y", "x", "x"]),
            snapshot(3, moment("2025-01-03"), device: "laptop", paths: ["x", "y"], host: "nas"),
            snapshot(4, moment("2025-01-04"), tags: ["t"], device: "phone", paths: ["x"], host: "nas"),
        ]
        func kept(_ grouping: SnapshotGrouping) -> [UInt64] {
            var retention = Retention(policy("last 1"), now: moment("2030-01-01")) { _ in 0 }
            retention.grouping = grouping
            return retention.kept(of: list).map(\.low).sorted()
        }
        #expect(kept(.byDefault) == [2, 3, 4])
        #expect(kept([]) == [4])
        #expect(kept(.device) == [3, 4])
        #expect(kept(.paths) == [3, 4])
        #expect(kept(.host) == [2, 4])
        #expect(kept(.tags) == [3, 4])
        #expect(kept([.host, .device, .paths, .tags]) == [2, 3, 4])
        let order = SnapshotOrder(list, now: moment("2030-01-01"))
        let groups = SnapshotGroup.divide(list, by: .byDefault, order)
        #expect(groups.map(\.group.device) == ["laptop", "phone", "phone"])
        #expect(groups.map { $0.snapshots.map(\.id.low) } == [[3], [4], [1, 2]])
    }

    @Test func anythingElseInTheRepositoryCountsForPartialOnes() {
        let list = snapshots("a? 2025-01-01 #x, b 2025-01-02 #y")
        let retention = Retention(policy("last 1"), now: moment("2030-01-01")) { _ in 0 }
        let chosen = [list[0]]
        // It is the only chosen snapshot, so it stays.
        let decision = retention.decide(chosen, among: list)[0].decisions[0]
        #expect(decision.isKept && decision.reasons == [.newest])
    }

    @Test(arguments: [
        ("1y", 12, 0, 0), ("2m", 2, 0, 0), ("3w", 0, 21, 0), ("4d", 0, 4, 0), ("5h", 0, 0, 5),
        ("6H", 0, 0, 6),
        ("1h2d3w4m5y", 64, 23, 1), ("0d1h", 0, 0, 1), ("007d", 0, 7, 0), ("10000y", 120_000, 0, 0),
    ])
    func spansAreRead(_ text: String, months: Int, days: Int, hours: Int) throws {
        let span = try #require(RetentionSpan(text))
        #expect(span.months == months && span.days == days && span.hours == hours)
        #expect(span.description == text)
    }

    @Test(arguments: [
        "", "1", "d", "1x", "1d2", "-1d", "1.5d", "1d1d", "1h1H", "0d", "1 d", "١d", "99999999999999999999d",
        "10001y", "9999999d",
    ])
    func spansAreRefused(_ text: String) { #expect(RetentionSpan(text) == nil) }
}
