// CivilTime: calendar dates and times of day (proleptic Gregorian calendar, no leap seconds). The time zone is passed
// in, because only BakPosix knows the machine's.

/// A date and a time of day, with the offset from UTC if one is known.
public struct CivilTime: Equatable, Sendable {
    /// The year; year 0 comes before year 1.
    public var year: Int
    /// The month, 1 to 12.
    public var month: Int
    /// The day, from 1 to the number of days in the month.
    public var day: Int
    /// The hour, 0 to 23.
    public var hour: Int
    /// The minute, 0 to 59.
    public var minute: Int
    /// The second, 0 to 59.
    public var second: Int
    /// Seconds east of UTC; nil for local time.
    public var offsetSeconds: Int?

    /// Makes a time from parts, which must be within their ranges.
    public init(
        year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0,
        offsetSeconds: Int? = nil
    ) {
        (self.year, self.month, self.day) = (year, month, day)
        (self.hour, self.minute, self.second) = (hour, minute, second)
        self.offsetSeconds = offsetSeconds
    }

    /// Makes the civil time of a moment at an offset east of UTC. A moment outside `calendar` becomes the nearest one
    /// inside.
    public init(_ time: Timestamp, offsetSeconds: Int) {
        let seconds = min(max(time.seconds, Self.calendar.lowerBound), Self.calendar.upperBound)
        let local = Int(seconds) + offsetSeconds
        self.init(dayNumber: floorDivide(local, 86400))
        let secondOfDay = local - dayNumber * 86400
        (hour, minute, second) = (secondOfDay / 3600, secondOfDay / 60 % 60, secondOfDay % 60)
        self.offsetSeconds = offsetSeconds
    }

    /// Makes the start of a day from its number of days since 1970-01-01.
    public init(dayNumber: Int) {
        // Howard Hinnant, "chrono-compatible low-level date algorithms": eras of 400 years from March 1.
        let shifted = dayNumber + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        self.init(
            year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month: month,
            day: dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    /// The moments that have a civil time, in seconds: about the years -248 to 11476. A stored timestamp may lie
    /// outside, because nothing limits it.
    public static let calendar = Int64(-70_000_000_000)...Int64(300_000_000_000)

    /// The number of days since 1970-01-01.
    public var dayNumber: Int {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = floorDivide(shiftedYear, 400)
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// The number of weeks since the week of 1970-01-01. Weeks begin on Monday, as in ISO 8601. Two days with the same
    /// number are in the same week of the same ISO year.
    public var weekNumber: Int { floorDivide(dayNumber + 3, 7) }

    /// Returns the moment of this time. For a time without an offset, `localOffset` returns the seconds east of UTC at
    /// a moment.
    public func timestamp(localOffset: (Timestamp) -> Int) -> Timestamp {
        let seconds = Int64(dayNumber) * 86400 + Int64(hour * 3600 + minute * 60 + second)
        if let offsetSeconds { return Timestamp(seconds: seconds - Int64(offsetSeconds)) }
        // The offset depends on the moment that is sought. A second lookup finds it, except during a clock change.
        let guess = Timestamp(seconds: seconds - Int64(localOffset(Timestamp(seconds: seconds))))
        return Timestamp(seconds: seconds - Int64(localOffset(guess)))
    }

    /// Returns the number of days of a month.
    public static func days(inMonth month: Int, of year: Int) -> Int {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }
}

/// Returns the quotient rounded down, also below zero.
private func floorDivide(_ number: Int, _ divisor: Int) -> Int {
    number >= 0 ? number / divisor : -((-number - 1) / divisor) - 1
}
