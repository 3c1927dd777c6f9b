// RetentionSpan: a length of time in a retention rule, such as `1y6m2w3d12h`. Years, months, weeks and days follow the
// calendar: a day can have 23 or 25 hours.

import BakCore

/// A length of time in calendar units.
public struct RetentionSpan: Equatable, Sendable, CustomStringConvertible {
    /// Years and months, in months.
    public private(set) var months = 0
    /// Weeks and days, in days.
    public private(set) var days = 0
    /// The hours.
    public private(set) var hours = 0
    /// The text that the user wrote.
    public let description: String

    /// Parses numbers with their units, each unit at most once: y, m (months), w, d, h or H. Nil if the text is
    /// anything else or the span is over 10,000 years.
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

    /// Returns the moment that lies this span before `time`. If the month lacks the day, its last day counts.
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
