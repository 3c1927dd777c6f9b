// LocalTime: a point in time as the clocks on the wall show it, for people.

import BakCore
import Glibc

/// Date and time of day in the local time zone.
public struct LocalTime: Hashable, Sendable, CustomStringConvertible {
    /// The year, such as 2026.
    public var year: Int
    /// The month, 1 to 12.
    public var month: Int
    /// The day of the month, 1 to 31.
    public var day: Int
    /// The hour, 0 to 23.
    public var hour: Int
    /// The minute, 0 to 59.
    public var minute: Int
    /// The second, 0 to 60.
    public var second: Int
    /// The day of the week, 0 for Sunday.
    public var weekday: Int
    /// How far the zone is ahead of UTC at that time, in seconds.
    public var utcOffsetSeconds: Int

    /// Breaks a point in time down; nil when its year is beyond what the system can count.
    public init?(_ time: Timestamp) {
        var seconds = time_t(time.seconds)
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { return nil }
        year = Int(parts.tm_year) + 1900
        month = Int(parts.tm_mon) + 1
        day = Int(parts.tm_mday)
        hour = Int(parts.tm_hour)
        minute = Int(parts.tm_min)
        second = Int(parts.tm_sec)
        weekday = Int(parts.tm_wday)
        utcOffsetSeconds = Int(parts.tm_gmtoff)
    }

    /// The point in time in UTC that `year` … `second` name in the local zone, for dates that people type;
    /// nil when there is none. Where clocks go back, the system chooses one of the two.
    public static func timestamp(
        year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0
    ) -> Timestamp? {
        guard (-1_000_000...1_000_000).contains(year), (1...12).contains(month), (1...31).contains(day),
            (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        var parts = tm()
        parts.tm_year = Int32(year - 1900)
        parts.tm_mon = Int32(month - 1)
        parts.tm_mday = Int32(day)
        parts.tm_hour = Int32(hour)
        parts.tm_min = Int32(minute)
        parts.tm_sec = Int32(second)
        parts.tm_isdst = -1
        let seconds = mktime(&parts)
        // The system turns 31 April into 1 May; a person meant neither.
        guard parts.tm_mday == day else { return nil }
        return Timestamp(seconds: Int64(seconds))
    }

    /// "2026-03-01 14:05:09", as people read it.
    public var description: String {
        "\(Self.padded(year, 4))-\(Self.padded(month))-\(Self.padded(day)) "
            + "\(Self.padded(hour)):\(Self.padded(minute)):\(Self.padded(second))"
    }

    /// "+01:00", the distance from UTC.
    public var utcOffset: String {
        let minutes = abs(utcOffsetSeconds) / 60
        return (utcOffsetSeconds < 0 ? "-" : "+") + Self.padded(minutes / 60) + ":"
            + Self.padded(minutes % 60)
    }

    private static func padded(_ number: Int, _ width: Int = 2) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }
}
