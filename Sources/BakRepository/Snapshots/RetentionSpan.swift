// RetentionSpan: a length of time as a retention rule names it, such as `1y6m2w3d12h`, and what lies so long before a
// moment. Years, months, weeks and days are the calendar's: a day can have 23 or 25 hours.

import BakCore

/// A length of time in calendar units.
public struct RetentionSpan: Equatable, Sendable, CustomStringConvertible {
    /// Years and months, in months.
    public private(set) var months = 0
    /// Weeks and days, in days.
    public private(set) var days = 0
    /// Hours.
    public private(set) var hours = 0
    /// As it was written.
    public let description: String

    /// Parses numbers with their units, each unit once: y, m (months), w, d, h or H. Nil for anything else and for
    /// what is longer than 10,000 years.
    public init?(_ text: String) {
        description = text
        var number: Int?
        var seen: Set<Character> = []
        for character in text {
            if let digit = character.isASCII ? character.wholeNumberValue : nil {
                number = (number ?? 0) * 10 + digit
                guard number! <= Self.largestNumber else { return nil }
                continue
            }
            let unit = character == "H" ? "h" : character
            guard let count = number, seen.insert(unit).inserted else { return nil }
            switch unit {
            case "y": months += 12 * count
            case "m": months += count
            case "w": days += 7 * count
            case "d": days += count
            case "h": hours += count
            default: return nil
            }
            number = nil
        }
        guard number == nil, months + days + hours > 0, months <= 120_000, days <= 3_660_000 else {
            return nil
        }
    }

    private static let largestNumber = 100_000_000

    /// The moment so long before `time`. A day that the month does not have becomes the month's last.
    ///
    /// - Parameter localOffset: seconds east of UTC at a moment.
    public func start(endingAt time: Timestamp, localOffset: (Timestamp) -> Int) -> Timestamp {
        var civil = CivilTime(time, offsetSeconds: localOffset(time))
        if months > 0 || days > 0 {
            let month = civil.year * 12 + civil.month - 1 - months
            let monthOfYear = ((month % 12) + 12) % 12
            let year = (month - monthOfYear) / 12
            let day = min(civil.day, CivilTime.days(inMonth: monthOfYear + 1, of: year))
            let date = CivilTime(
                dayNumber: CivilTime(year: year, month: monthOfYear + 1, day: day).dayNumber - days)
            (civil.year, civil.month, civil.day) = (date.year, date.month, date.day)
            civil.offsetSeconds = nil
        }
        let start = civil.timestamp(localOffset: localOffset)
        return Timestamp(seconds: start.seconds - Int64(hours) * 3600, nanoseconds: time.nanoseconds)
    }
}
