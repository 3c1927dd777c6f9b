// Duration: parses stretches of time as people write them.

/// The parser of stretches of time.
enum Duration {
    private static let units: [(letter: Character, seconds: UInt64)] = [
        ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1),
    ]

    /// Parses a stretch of time such as `45s`, `30m`, `2h`, `1d` or `1h30m`, and returns its seconds. Each unit occurs
    /// at most once, and larger units come first. Nil for any other text, and for zero.
    static func parse(_ text: String) -> UInt64? {
        var rest = text[...]
        var total: UInt64 = 0
        for unit in units where !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            // Nine digits are more than anyone needs, and even as days their seconds fit into 64 bits.
            guard digits.count <= 9, let number = UInt64(digits) else { return nil }
            guard rest.dropFirst(digits.count).first == unit.letter else { continue }
            total += number * unit.seconds
            rest = rest.dropFirst(digits.count + 1)
        }
        return rest.isEmpty && total > 0 ? total : nil
    }
}
