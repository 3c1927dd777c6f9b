// CivilTime: dates and times of day as people count them (proleptic Gregorian calendar, no leap seconds). Which
// zone they are in is passed in, because only BakPosix knows the machine's.

/// A date and a time of day, with the offset from UTC if one is known.
public struct CivilTime: Equatable, Sendable {
    /// The year; the year before 1 is 0.
    public var year: Int
    /// 1 to 12.
    public var month: Int
    /// 1 to the number of days in the month.
    public var day: Int
    /// 0 to 23.
    public var hour: Int
    /// 0 to 59.
    public var minute: Int
    /// 0 to 59.
    public var second: Int
    /// Seconds east of UTC; nil for local time.
    public var offsetSeconds: Int?

    /// Takes the parts as they are; they must be within their ranges.
    public init(
        year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0,
        offsetSeconds: Int? = nil
    ) {
        (self.year, self.month, self.day) = (year, month, day)
        (self.hour, self.minute, self.second) = (hour, minute, second)
        self.offsetSeconds = offsetSeconds
    }

    /// The civil time of a moment, so many seconds east of UTC. A moment beyond `calendar` becomes the nearest in it.
    public init(_ time: Timestamp, offsetSeconds: Int) {
        let seconds = min(max(time.seconds, Self.calendar.lowerBound), Self.calendar.upperBound)
        let local = Int(seconds) + offsetSeconds
        self.init(dayNumber: floorDivide(local, 86400))
        let secondOfDay = local - dayNumber * 86400
        (hour, minute, second) = (secondOfDay / 3600, secondOfDay / 60 % 60, secondOfDay % 60)
        self.offsetSeconds = offsetSeconds
    }

    /// The beginning of a day, by the days since 1970-01-01.
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

    /// Seconds from about the year -248 to 11476: moments of which a civil time can be told. A record may claim
    /// any other.
    public static let calendar = Int64(-70_000_000_000)...Int64(300_000_000_000)

    /// Days since 1970-01-01.
    public var dayNumber: Int {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = floorDivide(shiftedYear, 400)
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// The number of the week that begins on Monday, as ISO 8601 counts weeks, since that of 1970-01-01.
    /// Two days are in one week of one ISO year when their numbers are equal.
    public var weekNumber: Int { floorDivide(dayNumber + 3, 7) }

    /// The moment it names. `localOffset` gives seconds east of UTC at a moment, for a time without an offset.
    public func timestamp(localOffset: (Timestamp) -> Int) -> Timestamp {
        let seconds = Int64(dayNumber) * 86400 + Int64(hour * 3600 + minute * 60 + second)
        if let offsetSeconds { return Timestamp(seconds: seconds - Int64(offsetSeconds)) }
        // The offset belongs to the moment sought; a second look settles it except within a clock change.
        let guess = Timestamp(seconds: seconds - Int64(localOffset(Timestamp(seconds: seconds))))
        return Timestamp(seconds: seconds - Int64(localOffset(guess)))
    }

    /// The number of days of a month.
    public static func days(inMonth month: Int, of year: Int) -> Int {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }
}

/// The quotient rounded down, also below zero.
private func floorDivide(_ number: Int, _ divisor: Int) -> Int {
    number >= 0 ? number / divisor : -((-number - 1) / divisor) - 1
}
