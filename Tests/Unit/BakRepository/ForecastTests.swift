// Forecasts of how long a snapshot stays. Tables give examples. In random futures, a snapshot stays for good if the
// forecast said so.

import BakCore
import BakFormat
import TestSupport
import Testing

@testable import BakRepository

@Suite struct ForecastTests {
    private func forecast(
        _ list: String, _ rules: String, now: String = "2025-01-10 12:00"
    ) -> [String: Staying] {
        let retention = Retention(policy(rules), now: moment(now)) { _ in 0 }
        let forecast = retention.forecast(snapshots(list))
        return Dictionary(uniqueKeysWithValues: forecast.map { (letters([$0.key]), $0.value) })
    }

    @Test func whatStaysForGood() {
        let list =
            "a 2024-03-01, b 2024-12-30, c 2025-01-02, d 2025-01-09, e? 2025-01-10, f 2025-01-10 09:00 #x"
        let yearly = forecast(list, "yearly *")
        // The oldest snapshot and the last one of a finished year stay. The current year's last snapshot will be
        // replaced.
        #expect(yearly["a"] == .forGood(.unlimited(.yearly)) && yearly["b"] == .forGood(.unlimited(.yearly)))
        #expect(yearly["c"] == .ruledOut && yearly["d"] == .ruledOut && yearly["e"] == nil)
        #expect(yearly["f"] == .until(moment("2025-01-10 12:00"), backups: nil))
        let all = forecast(list, "last *")
        #expect(all.count == 5 && all.values.allSatisfy { $0 == .forGood(.unlimited(.last)) })
        let daily = forecast(list, "daily *")
        #expect(daily["d"] == .forGood(.unlimited(.daily)))
        #expect(daily["f"]?.isForGood == false)
        let tagged = forecast(list, "last 1 tag x id b")
        #expect(tagged["f"] == .forGood(.tagged(["x"])) && tagged["b"] == .forGood(.named))
        #expect(forecast(list, "id a").values.allSatisfy { $0 == .forGood(.noRules) })
        #expect(forecast("a 2025-01-01, b 2025-02-01", "yearly *")["b"]?.isForGood == false)
    }

    @Test func whenOthersGo() {
        let week = (1...10).map {
            "\(Character(UnicodeScalar(UInt8(96 + $0)))) 2025-01-\($0 < 10 ? "0" : "")\($0) 20:00"
        }
        .joined(separator: ", ")
        let daily = forecast(week, "daily 3", now: "2025-01-10 21:00")
        #expect(daily["j"] == .until(moment("2025-01-12 20:00"), backups: nil))
        #expect(daily["h"] == .until(moment("2025-01-10 21:00"), backups: nil))
        #expect(daily["g"] == .ruledOut)
        let last = forecast(week, "last 4", now: "2025-01-10 21:00")
        #expect(last["j"] == .until(moment("2025-01-13 20:00"), backups: 3))
        // The only snapshot is also the oldest. It stays until there are as many days as the rule asks for.
        let one = forecast("a 2025-01-10 09:00", "daily 7")
        #expect(one["a"] == .until(moment("2025-01-16 09:00"), backups: nil))
        #expect(
            forecast("a 2025-01-10 09:00", "within 30d")["a"]
                == .until(moment("2025-02-08 09:00"), backups: nil))
        // A forecast does not simulate centuries.
        guard case .until(let far, nil)? = forecast("a 2025-01-10 09:00", "daily 999999")["a"] else {
            Issue.record("it does not stay for good")
            return
        }
        #expect(far > moment("2026-01-01"))
        #expect(forecast("a 2025-01-10, b 2030-01-10", "last 1").values.allSatisfy { !$0.isForGood })
    }

    @Test func theShorterOfTwoCounts() {
        let soon = Staying.until(moment("2025-01-01"), backups: nil)
        let late = Staying.until(moment("2026-01-01"), backups: nil)
        let order: [Staying] = [.ruledOut, soon, late, .forGood(.named), .forGood(.noRules)]
        for (place, one) in order.enumerated() {
            for other in order[place...] {
                #expect(one.orShorter(other) == one && other.orShorter(one) == one)
                #expect(!other.isShorter(than: one))
            }
        }
    }

    /// Random histories, rules and futures: with gaps, with several snapshots a day, with partial ones and other
    /// devices, and with prunes at any time.
    @Test func noFutureTakesWhatStaysForGood() {
        let random = TestSeed.random("noFutureTakesWhatStaysForGood")
        let zones: [Zone] = [.utc, .berlin, .newYork, .lordHowe]
        var promised = 0
        for _ in 0..<200 {
            let zone = zones[random.number(0...3)]
            var now = moment("2025-03-\(random.number(1...31)) \(random.number(0...23)):30")
            // In half of the cases, the snapshots have given dates, and the clock is far ahead of them.
            let ahead = random.oneIn(2) ? 0 : Int64(random.number(0...800 * 86400))
            var id: UInt64 = 0
            func make(_ time: Timestamp) -> CommitRecord {
                id += 1
                return snapshot(
                    id, time, isComplete: !random.oneIn(8), tags: random.oneIn(4) ? ["x"] : [],
                    device: random.oneIn(4) ? "other" : "d")
            }
            let reach = [86400, 30 * 86400, 800 * 86400][random.number(0...2)]
            var list = (0..<random.number(1...25)).map { _ in
                make(Timestamp(seconds: now.seconds - Int64(random.number(0...reach))))
            }
            var rules = RetentionPolicy()
            for period in RetentionPeriod.allCases where random.oneIn(3) {
                rules.counts[period] = random.oneIn(3) ? .max : random.number(1...5)
            }
            if random.oneIn(4) { rules.spans[.last] = RetentionSpan("\(random.number(1...90))d") }
            if random.oneIn(4) { rules.tagSets = [random.oneIn(3) ? [] : ["x"]] }
            if rules.isEmpty { continue }
            let grouping = random.oneIn(4) ? SnapshotGrouping(rawValue: random.number(0...15)) : .byDefault
            func retention() -> Retention {
                let clock = Timestamp(seconds: now.seconds + ahead)
                var retention = Retention(rules, now: clock, localOffset: zone.offset)
                retention.grouping = grouping
                return retention
            }
            let lasting = Set(retention().forecast(list, backupsAhead: 1).filter(\.value.isForGood).keys)
            promised += lasting.count
            for _ in 0..<40 {
                let pause = [600, 6 * 3600, 86400, 40 * 86400, 400 * 86400][random.number(0...4)]
                now = Timestamp(seconds: now.seconds + Int64(random.number(1...pause)))
                list.append(make(now))
                if random.oneIn(3) {
                    let kept = retention().kept(of: list)
                    list.removeAll { !kept.contains($0.id) }
                }
                #expect(lasting.isSubset(of: Set(list.map(\.id))), "\(rules) \(zone)")
            }
        }
        #expect(promised > 200)
    }

    /// If backups continue at the same rate, a snapshot stays at least until the date of the forecast.
    @Test func aDateIsKept() {
        let random = TestSeed.random("aDateIsKept")
        var dated = 0
        for _ in 0..<12 {
            let gap = Int64([3600, 6 * 3600, 86400][random.number(0...2)])
            var now = moment("2025-05-20 12:00")
            var list = (0..<UInt64(random.number(3...30))).map {
                snapshot($0, Timestamp(seconds: now.seconds - Int64($0) * gap))
            }
            var rules = RetentionPolicy()
            for period in RetentionPeriod.allCases where period != .yearly && random.oneIn(2) {
                rules.counts[period] = random.number(1...8)
            }
            if rules.isEmpty { continue }
            func retention() -> Retention { Retention(rules, now: now, localOffset: Zone.berlin.offset) }
            let forecast = retention().forecast(list)
            let end = Timestamp(seconds: now.seconds + 250 * 86400)
            var id: UInt64 = 1000
            while now < end {
                now = Timestamp(seconds: now.seconds + gap)
                id += 1
                list.append(snapshot(id, now))
                let kept = retention().kept(of: list)
                list.removeAll { !kept.contains($0.id) }
                for case (let known, .until(let time, _)) in forecast where time >= now {
                    dated += 1
                    #expect(kept.contains(known), "\(rules) \(gap) \(now)")
                }
            }
        }
        #expect(dated > 100)
    }
}
