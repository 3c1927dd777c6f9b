// Properties of retention that hold for any snapshots and rules. Every failure names its seed.

import BakCore
import BakFormat
import BakRepository
import TestSupport
import Testing

@Suite struct RetentionPropertyTests {
    private static let rounds = 250
    private let now = moment("2025-06-15 12:00")

    private func random(_ round: Int) -> SeededRandom { SeededRandom(seed: TestSeed.value &+ UInt64(round)) }

    private func seed(_ round: Int) -> Comment { "BAKSTORE_TEST_SEED=\(TestSeed.value) round \(round)" }

    private let zones: [Zone] = [.utc, .berlin, .newYork, .lordHowe]

    /// Returns snapshots of a few devices, over an hour up to a century. Some are in the future, some are partial, and
    /// some have the same time.
    private func draw(_ random: SeededRandom) -> [CommitRecord] {
        let reach = [3600, 86400, 30 * 86400, 800 * 86400, 36_500 * 86400][random.number(0...4)]
        var last = now
        return (0..<random.number(0...40)).map { index in
            if !random.oneIn(5) {
                last = Timestamp(seconds: now.seconds - Int64(random.number(-reach / 10...reach)))
            }
            return snapshot(
                UInt64(index), last, isComplete: !random.oneIn(6),
                tags: ["x", "y"].filter { _ in random.oneIn(3) }, device: "d\(random.number(0...1))")
        }
    }

    private func drawPolicy(_ random: SeededRandom) -> RetentionPolicy {
        var policy = RetentionPolicy()
        for period in RetentionPeriod.allCases {
            if random.oneIn(3) { policy.counts[period] = random.oneIn(8) ? .max : random.number(0...6) }
            if random.oneIn(4) { policy.spans[period] = drawSpan(random) }
        }
        if random.oneIn(4) { policy.tagSets.append(random.oneIn(3) ? [] : ["x"]) }
        if random.oneIn(4) { policy.ids = [ID128(high: 0, low: UInt64(random.number(0...40)))] }
        return policy
    }

    private func drawSpan(_ random: SeededRandom) -> RetentionSpan {
        RetentionSpan("\(random.number(0...2))y\(random.number(0...14))m\(random.number(0...40))d1h")!
    }

    /// Returns a policy with a further rule, or with a rule that keeps more.
    private func weaken(_ policy: RetentionPolicy, _ random: SeededRandom) -> RetentionPolicy {
        var policy = policy
        let period = RetentionPeriod.allCases[random.number(0...5)]
        switch random.number(0...3) {
        case 0:
            let count = policy.counts[period] ?? 0
            policy.counts[period] = count == .max ? .max : count + random.number(1...3)
        case 1:
            if let span = policy.spans[period] {
                let (months, days, hours) = (random.number(0...3), random.number(0...9), random.number(0...9))
                policy.spans[period] = RetentionSpan(
                    "\(span.months + months)m\(span.days + days)d\(span.hours + hours)h")
            } else {
                policy.spans[period] = drawSpan(random)
            }
        case 2: policy.tagSets.append(["y"])
        default: policy.ids.insert(ID128(high: 0, low: UInt64(random.number(0...40))))
        }
        return policy
    }

    @Test func aWeakerPolicyKeepsAllThatAStrongerOneKeeps() {
        var removed = 0
        for round in 0..<Self.rounds {
            let random = random(round)
            let list = draw(random)
            let zone = zones[random.number(0...3)]
            var retention = Retention(drawPolicy(random), now: now, localOffset: zone.offset)
            // A policy without rules keeps everything, so a first rule would keep less.
            if retention.policy.isEmpty { continue }
            var kept = retention.kept(of: list)
            for _ in 0..<4 {
                retention.policy = weaken(retention.policy, random)
                let more = retention.kept(of: list)
                #expect(kept.isSubset(of: more), seed(round))
                kept = more
                removed += list.count - kept.count
            }
        }
        #expect(removed > Self.rounds)
    }

    @Test func theOrderDoesNotMatter() {
        for round in 0..<Self.rounds {
            var random = random(round)
            let list = draw(random)
            var retention = Retention(drawPolicy(random), now: now, localOffset: Zone.berlin.offset)
            retention.grouping = SnapshotGrouping(rawValue: random.number(0...15))
            let kept = retention.kept(of: list)
            #expect(retention.kept(of: list.shuffled(using: &random)) == kept, seed(round))
        }
    }

    @Test func everyGroupKeepsItsNewest() {
        for round in 0..<Self.rounds {
            let random = random(round)
            let list = draw(random)
            let retention = Retention(drawPolicy(random), now: now) { _ in 0 }
            for (_, decisions) in retention.decide(list, among: list) {
                let complete = decisions.filter { $0.snapshot.isComplete && $0.snapshot.time <= now }
                #expect(complete.last?.isKept ?? true, seed(round))
                #expect(!decisions.filter(\.isKept).isEmpty, seed(round))
                #expect(decisions.allSatisfy { !$0.reasons.isEmpty }, seed(round))
            }
        }
    }

    /// All clocks are wrong by ten years, in whole weeks, or by four hundred years, after which the calendar repeats.
    @Test func skewOfAllClocksShiftsNothingButTheDates() {
        for round in 0..<Self.rounds {
            let random = random(round)
            let list = draw(random)
            var policy = drawPolicy(random)
            for days in [146_097, -146_097, 3654, -3654] {
                if abs(days) == 3654 {
                    for period in [RetentionPeriod.monthly, .yearly] {
                        policy.counts[period] = nil
                        policy.spans[period] = nil
                    }
                    for (period, _) in policy.spans { policy.spans[period] = RetentionSpan("9d5h") }
                }
                let shift = { (time: Timestamp) in Timestamp(seconds: time.seconds + Int64(days) * 86400) }
                let skewed = list.map { record in
                    var record = record
                    record.time = shift(record.time)
                    record.endTime = shift(record.endTime)
                    return record
                }
                let right = Retention(policy, now: now) { _ in 7200 }
                let wrong = Retention(policy, now: shift(now)) { _ in 7200 }
                #expect(wrong.kept(of: skewed) == right.kept(of: list), seed(round))
            }
        }
    }

    /// The deciding machine's clock is wrong. If it is fast, the decisions about snapshots that are not in the future
    /// stay the same. If it is slow, no snapshot is removed that seems to be in the future.
    @Test func skewOfTheDecidingClockRemovesNothingMore() {
        let tenYears: Int64 = 3653 * 86400
        for round in 0..<Self.rounds {
            let random = random(round)
            let list = draw(random).filter { $0.time <= now }
            let policy = drawPolicy(random)
            let right = Retention(policy, now: now) { _ in 0 }
            let fast = Retention(policy, now: Timestamp(seconds: now.seconds + tenYears)) { _ in 0 }
            #expect(fast.kept(of: list) == right.kept(of: list), seed(round))
            let slowNow = Timestamp(seconds: now.seconds - tenYears)
            let slow = Retention(policy, now: slowNow) { _ in 0 }.kept(of: list)
            #expect(list.allSatisfy { $0.time <= slowNow || slow.contains($0.id) }, seed(round))
        }
    }

    /// One machine's snapshots are dated years ahead. The decisions about all other snapshots stay the same.
    @Test func snapshotsOfTheFuturePushNothingOut() {
        for round in 0..<Self.rounds {
            let random = random(round)
            let list = draw(random).filter { $0.time <= now }
            let later = (100..<105).map { number in
                snapshot(number, Timestamp(seconds: now.seconds + Int64(number) * 3_650_000))
            }
            var retention = Retention(drawPolicy(random), now: now) { _ in 0 }
            retention.grouping = []
            let alone = retention.kept(of: list)
            #expect(retention.kept(of: later + list) == alone.union(later.map(\.id)), seed(round))
        }
    }

    /// restic's algorithm compares each snapshot only with the bucket before it. In UTC, where no bucket comes twice,
    /// both algorithms decide the same.
    @Test func resticDecidesTheSame() {
        for round in 0..<Self.rounds {
            let random = random(round)
            let list = draw(random).filter { $0.time <= now && $0.isComplete }
            var policy = drawPolicy(random)
            (policy.tagSets, policy.ids) = ([], [])
            if policy.isEmpty { continue }
            var retention = Retention(policy, now: now) { _ in 0 }
            retention.grouping = []
            #expect(retention.kept(of: list) == resticKeeps(list, policy), seed(round))
        }
    }

    private func resticKeeps(_ list: [CommitRecord], _ policy: RetentionPolicy) -> Set<ID128> {
        let list = list.sorted(by: CommitRecord.isOlder).reversed().map { $0 }
        var kept: Set<ID128> = list.first.map { [$0.id] } ?? []
        for period in RetentionPeriod.allCases {
            func bucket(_ index: Int) -> [Int] {
                let time = CivilTime(list[index].time, offsetSeconds: 0)
                let monday = time.dayNumber - (time.dayNumber % 7 + 10) % 7
                return switch period {
                case .last: [index]
                case .hourly: [time.year, time.month, time.day, time.hour]
                case .daily: [time.year, time.month, time.day]
                case .weekly: [monday]
                case .monthly: [time.year, time.month]
                case .yearly: [time.year]
                }
            }
            var (count, previous) = (policy.counts[period] ?? 0, [Int]())
            for index in list.indices where count > 0 {
                if bucket(index) != previous || index == list.count - 1 {
                    kept.insert(list[index].id)
                    previous = bucket(index)
                    count -= 1
                }
            }
            guard let span = policy.spans[period], let newest = list.first else { continue }
            let start = span.start(endingAt: newest.time) { _ in 0 }
            previous = []
            for index in list.indices where list[index].time > start && bucket(index) != previous {
                kept.insert(list[index].id)
                previous = bucket(index)
            }
        }
        return kept
    }
}
