// CivilTime+Text: dates and times as people and programs write them.

import BakCore

extension CivilTime {
    /// Parses `2025-12-31`, `2025-12-31 23:59[:59]` with a space or a T, and with an optional `Z` or `±hh:mm` at the
    /// end.
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
        self.init(year: year, month: month, day: day)
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
        guard rest.isEmpty, (1...12).contains(month), (1...Self.days(inMonth: month, of: year)).contains(day),
            hour < 24, minute < 60, second < 60
        else { return nil }
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
