// The order of snapshots, which follows their parents. Clocks were years ahead, in 1970 or a day behind. Some snapshots
// in between are forgotten, and some records are hostile. Every failure names its seed.

import BakCore
import BakFormat
import BakRepository
import TestSupport
import Testing

@Suite struct SnapshotOrderTests {
    private static let rounds = 400
    private let start = moment("2025-01-01 12:00")
    private let now = moment("2026-01-01 12:00")

    private func random(_ round: Int) -> SeededRandom { SeededRandom(seed: TestSeed.value &+ UInt64(round)) }

    private func seed(_ round: Int) -> Comment { "BAKSTORE_TEST_SEED=\(TestSeed.value) round \(round)" }

    /// The ways in which a clock is wrong.
    private enum Clock: CaseIterable {
        case yearsAhead, in1970, aDayBehind, jumping
        func show(_ time: Timestamp, _ random: SeededRandom) -> Timestamp {
            switch self {
            case .yearsAhead: Timestamp(seconds: time.seconds + 400_000_000)
            case .in1970: Timestamp(seconds: time.seconds % 86400)
            case .aDayBehind: Timestamp(seconds: time.seconds - 86400)
            case .jumping: Timestamp(seconds: Int64(random.number(0...2_000_000_000)))
            }
        }
    }

    /// Returns the snapshots of some devices in the order in which they were made. Some have wrong dates.
    private func draw(_ random: SeededRandom, wrongOneIn rate: Int?) -> [CommitRecord] {
        var made: [CommitRecord] = []
        var parents: [String: ID128] = [:]
        var time = start
        for number in 0..<random.number(1...40) {
            time = Timestamp(seconds: time.seconds + Int64(random.number(60...200_000)))
            let device = "d\(random.number(0...2))"
            var shown = time
            if let rate, random.oneIn(rate) {
                shown = Clock.allCases[random.number(0...3)].show(time, random)
            }
            var record = snapshot(UInt64(1000 - number), shown, device: device)
            record.parent = parents[device]
            parents[device] = record.id
            made.append(record)
        }
        return made
    }

    private func isOrderOfEachDevice(_ order: SnapshotOrder, _ made: [CommitRecord]) -> Bool {
        ["d0", "d1", "d2"].allSatisfy { device in
            order.sorted.filter { $0.device == device }.map(\.id)
                == made.filter { $0.device == device }.map(\.id)
        }
    }

    @Test func aChildNeverComesBeforeItsParentWhateverTheClocksSay() {
        for round in 0..<Self.rounds {
            var random = random(round)
            let made = draw(random, wrongOneIn: random.number(1...6))
            let order = SnapshotOrder(made, now: now)
            #expect(isOrderOfEachDevice(order, made), seed(round))
            let times = order.sorted.map(order.time).filter { $0 <= now }
            let effective = order.sorted.filter { $0.time <= now }.map(order.time)
            #expect(effective == effective.sorted() || times.count != effective.count, seed(round))
            let shuffled = SnapshotOrder(made.shuffled(using: &random), now: now)
            #expect(shuffled.sorted.map(\.id) == order.sorted.map(\.id), seed(round))
        }
    }

    @Test func chainsAreFollowedThroughForgottenOnes() {
        for round in 0..<Self.rounds {
            let random = random(round)
            let made = draw(random, wrongOneIn: 3)
            let forgotten = Set(made.filter { _ in random.oneIn(2) }.map(\.id))
            let order = SnapshotOrder(
                made.filter { !forgotten.contains($0.id) },
                through: made.filter { forgotten.contains($0.id) }.map(Ancestry.init), now: now)
            #expect(
                isOrderOfEachDevice(order, made.filter { !forgotten.contains($0.id) }), seed(round))
        }
    }

    @Test func rightClocksGiveTheOrderOfDates() {
        for round in 0..<Self.rounds {
            let random = random(round)
            let made = draw(random, wrongOneIn: nil)
            let order = SnapshotOrder(made.reversed(), now: now)
            #expect(order.sorted.map(\.id) == made.map(\.id), seed(round))
            #expect(order.misdated.isEmpty, seed(round))
            #expect(made.allSatisfy { order.time(of: $0) == $0.time }, seed(round))
        }
    }

    /// A clock was wrong for one snapshot. The dates before and after it are right.
    @Test func oneWrongDateIsKnownFromItsNeighbours() {
        for round in 0..<Self.rounds {
            let random = random(round)
            var made = (0..<random.number(5...12)).map { number in
                var record = snapshot(
                    UInt64(number), Timestamp(seconds: start.seconds + Int64(number) * 86400 * 3))
                record.parent = number > 0 ? ID128(high: 0, low: UInt64(number - 1)) : nil
                return record
            }
            let place = random.number(2...made.count - 3)
            let clock: Clock = [.yearsAhead, .in1970][random.number(0...1)]
            made[place].time = clock.show(made[place].time, random)
            let later = Timestamp(seconds: start.seconds + 1_000_000_000)
            for moment in [now, later] {
                let order = SnapshotOrder(made, now: moment)
                #expect(order.sorted.map(\.id) == made.map(\.id), seed(round))
                #expect(order.misdated.map(\.snapshot.id) == [made[place].id], seed(round))
                let time = order.time(of: made[place])
                #expect(made[place - 1].time <= time && time <= made[place + 1].time, seed(round))
            }
        }
    }

    /// A clock starts in 1970 at every other boot. So there are as many wrong dates as right ones, and the wrong ones
    /// agree with each other.
    @Test func datesBeforeClocksBeginAreNotBelievedOverLaterOnes() {
        let made = (0..<9).map { number in
            let day = start.seconds + Int64(number) * 86400
            var record = snapshot(
                UInt64(number), Timestamp(seconds: number % 2 == 0 ? day : Int64(number) * 3600))
            record.parent = number > 0 ? ID128(high: 0, low: UInt64(number - 1)) : nil
            return record
        }
        let order = SnapshotOrder(made.reversed(), now: Timestamp(seconds: start.seconds + 10_000_000))
        #expect(order.sorted.map(\.id) == made.map(\.id))
        for number in made.indices {
            let right = made[number - number % 2]
            #expect(order.time(of: made[number]) == right.time, "snapshot \(number)")
        }
        #expect(Set(order.misdated.map(\.snapshot.id)) == Set([1, 3, 5, 7].map { made[$0].id }))
    }

    @Test func aTaggedOrCopiedSnapshotStaysInItsPlace() {
        var (made, attempt): ([CommitRecord], Int) = ([], 0)
        while made.count < 4 {
            made = draw(random(attempt), wrongOneIn: 2).filter { $0.device == "d0" }
            attempt += 1
        }
        let place = 1
        let old = made[place]
        made[place].id = ID128(high: 9, low: 9)
        made[place].original = old.id
        for ancestors in [[], [Ancestry(old)]] {
            let order = SnapshotOrder(made, through: ancestors, now: now)
            #expect(order.sorted.map(\.id) == made.map(\.id))
            #expect(order.succession(of: made[place + 1]) { $0 }.ancestor == old.id)
        }
    }

    /// Checkpoints come before the snapshot that completes their run, and both come before the next run.
    @Test func checkpointsStayWithTheirRun() {
        var first = snapshot(1, moment("2025-01-01"))
        var runs = [first]
        for (number, time) in ["2039-01-01", "2025-02-01", "1970-01-01", "2025-03-01"].enumerated() {
            let base = UInt64(10 * (number + 1))
            for part in 0..<3 as Range<UInt64> {
                var record = snapshot(base + part, moment(time), isComplete: part == 2)
                record.endTime.seconds += Int64(part)
                record.parent = first.id
                runs.append(record)
            }
            first = runs.last!
        }
        let order = SnapshotOrder(runs.reversed(), now: now)
        #expect(order.sorted.map(\.id.low) == runs.map(\.id.low))
        let superseded = CommitRecord.supersededPartials(among: runs, now: now, order)
        #expect(superseded.isSuperset(of: runs.filter { !$0.isComplete && $0.time <= now }.map(\.id)))
    }

    @Test func hostileChainsEnd() {
        for round in 0..<Self.rounds {
            let random = random(round)
            let count = random.number(1...30)
            func id() -> ID128 { ID128(high: 0, low: UInt64(random.number(0...count))) }
            let records = (0..<count).map { number in
                var record = snapshot(
                    UInt64(number), Timestamp(seconds: random.oneIn(4) ? .max : Int64(random.number(0...99))))
                if random.oneIn(9) { record.time = Timestamp(seconds: .min) }
                record.parent = random.oneIn(8) ? nil : id()
                record.original = random.oneIn(4) ? id() : nil
                return record
            }
            let order = SnapshotOrder(records, now: now)
            #expect(Set(order.sorted.map(\.id)) == Set(records.map(\.id)), seed(round))
            for record in records {
                _ = order.time(of: record)
                _ = order.succession(of: record) { _ in Int?.none }
            }
        }
        // Long chains must not use much of the stack, or time that grows with the square of their length.
        let long = (0..<30_000).map { number in
            var record = snapshot(UInt64(number), Timestamp(seconds: Int64(30_000 - number)))
            record.parent = ID128(high: 0, low: UInt64((number + 1) % 30_000))
            return record
        }
        #expect(SnapshotOrder(long, now: now).sorted.count == long.count)
    }

    @Test func rulesThatLookAtDaysUseTheTimesThatTheChainTells() {
        // A clock was in 1970 once, and a year ahead once. Both dates are in the past by now.
        let dates = ["2025-01-01", "2025-01-02", "1970-01-01", "2025-01-04", "2025-12-05", "2025-01-06"]
        var made = dates.enumerated().map { snapshot(UInt64($0 + 97), moment("\($1) 10:00")) }
        for place in 1..<made.count { made[place].parent = made[place - 1].id }
        func kept(_ rules: String) -> String {
            letters(Retention(policy(rules), now: now) { _ in 0 }.kept(of: made))
        }
        #expect(kept("last 1") == "f")
        #expect(kept("last 2") == "ef")
        #expect(kept("daily 2") == "df")
        #expect(kept("within 3d") == "def")
        // A snapshot with a date in the future stays until that date has passed, whatever its chain says.
        made[4].time = moment("2039-12-05 10:00")
        #expect(kept("last 1") == "ef")
        #expect(kept("last 2") == "def")
    }
}
