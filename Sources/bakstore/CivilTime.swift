// CivilTime: dates and times as people write them (proleptic Gregorian calendar, no leap seconds). The offset
// from UTC is passed in, because only BakPosix knows the machine's time zone.

import BakCore

/// A date and a time of day, with the zone if one was written.
struct CivilTime: Equatable, Sendable {
    var year: Int
    var month: Int
    var day: Int
    var hour = 0
    var minute = 0
    var second = 0
    /// Seconds east of UTC; nil for local time.
    var offsetSeconds: Int?

    /// Parses `2025-12-31`, `2025-12-31 23:59[:59]` with a space or a T, and with `Z` or `±hh:mm` behind.
    init?(_ text: String) {
        var rest = text.utf8[...]
        func digits(_ count: Int) -> Int? {
            guard rest.count >= count, let number = Int(String(rest.prefix(count)) ?? ""),
                rest.first.map({ $0 >= UInt8(ascii: "0") }) == true
            else { return nil }
            rest.removeFirst(count)
            return number
        }
        func skip(_ character: Unicode.Scalar) -> Bool {
            guard rest.first == UInt8(ascii: character) else { return false }
            rest.removeFirst()
            return true
        }
        guard let year = digits(4), skip("-"), let month = digits(2), skip("-"), let day = digits(2) else {
            return nil
        }
        (self.year, self.month, self.day) = (year, month, day)
        if skip(" ") || skip("T") {
            guard let hour = digits(2), skip(":"), let minute = digits(2) else { return nil }
            (self.hour, self.minute) = (hour, minute)
            if skip(":") {
                guard let second = digits(2) else { return nil }
                self.second = second
            }
            if skip("Z") {
                offsetSeconds = 0
            } else if let sign = rest.first, "+-".utf8.contains(sign) {
                rest.removeFirst()
                guard let hours = digits(2), skip(":"), let minutes = digits(2), hours < 24, minutes < 60
                else { return nil }
                offsetSeconds = (hours * 3600 + minutes * 60) * (sign == UInt8(ascii: "-") ? -1 : 1)
            }
        }
        guard rest.isEmpty, (1...12).contains(month), (1...Self.days(month, of: year)).contains(day),
            hour < 24, minute < 60, second < 60
        else { return nil }
    }

    /// The civil time of a moment, so many seconds east of UTC.
    init(_ time: Timestamp, offsetSeconds: Int) {
        let local = time.seconds + Int64(offsetSeconds)
        let dayNumber = Int((Double(local) / 86400).rounded(.down))
        let secondOfDay = Int(local - Int64(dayNumber) * 86400)
        // Howard Hinnant, "chrono-compatible low-level date algorithms": eras of 400 years from March 1.
        let shifted = dayNumber + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        (hour, minute, second) = (secondOfDay / 3600, secondOfDay / 60 % 60, secondOfDay % 60)
        self.offsetSeconds = offsetSeconds
    }

    /// The moment it names. `localOffset` gives seconds east of UTC at a moment, for a time without a zone.
    func timestamp(localOffset: (Timestamp) -> Int) -> Timestamp {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        let seconds = Int64(days) * 86400 + Int64(hour * 3600 + minute * 60 + second)
        if let offsetSeconds { return Timestamp(seconds: seconds - Int64(offsetSeconds)) }
        // The offset belongs to the moment sought; a second look settles it except within a clock change.
        let guess = Timestamp(seconds: seconds - Int64(localOffset(Timestamp(seconds: seconds))))
        return Timestamp(seconds: seconds - Int64(localOffset(guess)))
    }

    private static func days(_ month: Int, of year: Int) -> Int {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    /// `2025-12-31 23:59:59`.
    var text: String {
        "\(Formatting.padded(year, 4))-\(Formatting.padded(month, 2))-\(Formatting.padded(day, 2)) "
            + [hour, minute, second].map { Formatting.padded($0, 2) }.joined(separator: ":")
    }

    /// RFC 3339, such as `2025-12-31T23:59:59.000000001+01:00`, for JSON.
    static func rfc3339(_ time: Timestamp, offsetSeconds: Int) -> String {
        let civil = CivilTime(time, offsetSeconds: offsetSeconds)
        let minutes = abs(offsetSeconds) / 60
        let zone =
            offsetSeconds == 0
            ? "Z"
            : (offsetSeconds < 0 ? "-" : "+") + Formatting.padded(minutes / 60, 2) + ":"
                + Formatting.padded(minutes % 60, 2)
        let fraction = time.nanoseconds == 0 ? "" : "." + Formatting.padded(Int(time.nanoseconds), 9)
        return civil.text.split(separator: " ").joined(separator: "T") + fraction + zone
    }
}
