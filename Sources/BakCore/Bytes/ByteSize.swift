// ByteSize: sizes as text for people, in IEC units only (1 KiB is 1,024 bytes).

/// Conversion of byte counts to text and back.
public enum ByteSize {
    private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    /// Returns a size with one decimal, such as `2.9 GiB`. Below 1 KiB it returns whole bytes.
    public static func text(_ bytes: UInt64) -> String {
        guard bytes >= 1024 else { return "\(bytes) B" }
        var unit = 1
        while unit + 1 < units.count, bytes >> (10 * UInt64(unit + 1)) > 0 { unit += 1 }
        var tenths = tenths(bytes, shift: 10 * UInt64(unit))
        // 1023.96 KiB rounds to 1024.0, which is written as 1.0 MiB.
        if tenths >= 10240, unit + 1 < units.count {
            unit += 1
            tenths = 10
        }
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }

    /// Returns `bytes / 2^shift` in tenths, rounded half up, without overflow.
    private static func tenths(_ bytes: UInt64, shift: UInt64) -> UInt64 {
        let whole = bytes >> shift
        let rest = bytes & (1 << shift - 1)
        return whole * 10 + UInt64((Double(rest) * 10 / Double(UInt64(1) << shift)).rounded())
    }

    /// Reads `100`, `100K`, `1.5M`, `2GiB`, `10 MB`. Every unit is a power of 1,024. Returns nil for anything else, and
    /// for a size that does not fit.
    public static func parse(_ text: some StringProtocol) -> UInt64? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        guard let shift = shift(ofUnit: unit), let first = digits.first, first.isNumber,
            digits.last != "."
        else { return nil }
        if let whole = UInt64(digits) {
            let (size, overflow) = whole.multipliedReportingOverflow(by: 1 << shift)
            return overflow ? nil : size
        }
        guard let number = Double(String(digits)), shift > 0 else { return nil }
        let size = number * Double(UInt64(1) << shift)
        return size < 0x1p63 ? UInt64(size) : nil
    }

    private static func shift(ofUnit unit: String) -> UInt64? {
        if unit.isEmpty || unit == "b" { return 0 }
        let prefixes: [Character] = ["k", "m", "g", "t", "p", "e"]
        guard let power = prefixes.firstIndex(of: unit.first!),
            ["", "b", "ib"].contains(String(unit.dropFirst()))
        else { return nil }
        return 10 * UInt64(power + 1)
    }
}
