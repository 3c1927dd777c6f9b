// Short notations for snapshots, time zones and policies, for the tests of retention.

import BakCore
import BakFormat
import BakRepository

/// Some time zones, with the offsets from UTC that hold there in 2025.
enum Zone: Sendable {
    case utc, berlin, newYork, lordHowe

    func offset(_ time: Timestamp) -> Int {
        let year = CivilTime(time, offsetSeconds: 0).year
        /// Returns the time of a UTC hour on the `nth` Sunday of a month; on the last Sunday if `nth` is 0.
        func sunday(_ nth: Int, month: Int, hour: Int) -> Int64 {
            let length = CivilTime.days(inMonth: month, of: year)
            let first = CivilTime(year: year, month: month, day: 1).dayNumber
            // 1970-01-04 was a Sunday. It has the day number 3.
            let sundays = (first..<first + length).filter { (($0 - 3) % 7 + 7) % 7 == 0 }
            return Int64(nth == 0 ? sundays.last! : sundays[nth - 1]) * 86400 + Int64(hour) * 3600
        }
        let seconds = time.seconds
        switch self {
        case .utc: return 0
        case .berlin:
            let summer = sunday(0, month: 3, hour: 1)..<sunday(0, month: 10, hour: 1)
            return summer.contains(seconds) ? 7200 : 3600
        case .newYork:
            let summer = sunday(2, month: 3, hour: 7)..<sunday(1, month: 11, hour: 6)
            return summer.contains(seconds) ? -14400 : -18000
        case .lordHowe:
            // The clock changes on Sundays at 2:00 local time, which is Saturday in UTC.
            let winter = sunday(1, month: 4, hour: -9)..<(sunday(1, month: 10, hour: -9) + 1800)
            return winter.contains(seconds) ? 37800 : 39600
        }
    }
}

/// Returns the moment of a text `YYYY-MM-DD [HH:MM[:SS]]`, in UTC.
func moment(_ text: some StringProtocol) -> Timestamp {
    let numbers = text.split { "- :".contains($0) }.map { Int($0)! } + [0, 0, 0]
    return CivilTime(
        year: numbers[0], month: numbers[1], day: numbers[2], hour: numbers[3], minute: numbers[4],
        second: numbers[5], offsetSeconds: 0
    ).timestamp { _ in 0 }
}

/// Returns a snapshot without content.
func snapshot(
    _ id: UInt64, _ time: Timestamp, isComplete: Bool = true, tags: [String] = [], device: String = "d",
    paths: [String] = ["p"], host: String = "h", endTime: Timestamp? = nil
) -> CommitRecord {
    CommitRecord(
        id: ID128(high: 0, low: id), time: time, endTime: endTime ?? time, host: host, device: device,
        user: "", program: "", paths: paths.map { Array($0.utf8) }, tags: tags, parent: nil,
        isComplete: isComplete, hasIndex: false, root: BlobReference(id: .zero, length: 1),
        counters: SnapshotCounters())
}

/// Returns snapshots from a text such as `a 2025-01-01 10:00, b? 2025-01-02 #x#y`: a letter, `?` for a partial
/// snapshot, a moment, tags.
func snapshots(_ text: String) -> [CommitRecord] {
    text.split(separator: ",").map { part in
        let pieces = part.split(separator: "#", omittingEmptySubsequences: false)
        let words = pieces[0].split(separator: " ")
        return snapshot(
            UInt64(words[0].first!.asciiValue!), moment(words.dropFirst().joined(separator: " ")),
            isComplete: !words[0].hasSuffix("?"), tags: pieces.dropFirst().map { $0.filter { $0 != " " } })
    }
}

/// Returns a policy from a text such as `last 2 daily * within 7d within-daily 1m tag x#y id a`. `tag -` keeps
/// snapshots without tags.
func policy(_ text: String) -> RetentionPolicy {
    var policy = RetentionPolicy()
    let words = text.split(separator: " ")
    for (word, value) in zip(words, words.dropFirst()).enumerated().filter({ $0.offset % 2 == 0 }).map(
        \.element)
    {
        switch word {
        case "tag": policy.tagSets.append(value == "-" ? [] : value.split(separator: "#").map(String.init))
        case "id": policy.ids.insert(ID128(high: 0, low: UInt64(value.first!.asciiValue!)))
        case "within": policy.spans[.last] = RetentionSpan(String(value))!
        case _ where word.hasPrefix("within-"):
            policy.spans[RetentionPeriod(rawValue: String(word.dropFirst(7)))!] = RetentionSpan(
                String(value))!
        default: policy.counts[RetentionPeriod(rawValue: String(word))!] = value == "*" ? .max : Int(value)!
        }
    }
    return policy
}

extension Retention {
    /// Returns the ids of the kept snapshots, if all of them are in one group.
    func kept(of snapshots: [CommitRecord]) -> Set<ID128> {
        let groups = decide(snapshots, among: snapshots)
        return Set(groups.flatMap(\.decisions).filter(\.isKept).map(\.snapshot.id))
    }
}

/// Returns the letters of ids, sorted.
func letters(_ ids: some Sequence<ID128>) -> String {
    String(ids.map { Character(UnicodeScalar(UInt8($0.low))) }.sorted())
}
