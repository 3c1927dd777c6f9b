// Labels: parses lists with commas, and finds characters in a name or label that are surely a mistake.

/// Tags and other lists of words.
enum Labels {
    /// Returns the words between the commas, without the blanks around them.
    static func split(_ text: String) -> [String] {
        text.split(separator: ",").map(trimmed).filter { !$0.isEmpty }
    }

    /// Returns a word without the blanks around it.
    static func trimmed(_ word: some StringProtocol) -> String {
        let rest = word.drop(while: \.isWhitespace)
        return String(rest.dropLast(rest.reversed().prefix(while: \.isWhitespace).count))
    }
}

/// Finds characters that no name has on purpose.
enum NameSlip {
    /// Says what is wrong with a name that the user wrote; nil if it may be intended. The result is the middle of a
    /// message.
    static func objection(to name: [UInt8]) -> String? {
        if !name.isEmpty, name.allSatisfy({ $0 == UInt8(ascii: " ") || (0x09...0x0d).contains($0) }) {
            return "is blank"
        }
        guard name.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { return nil }
        return name.last == UInt8(ascii: "\r") || name.last == UInt8(ascii: "\n")
            ? "ends with a line break, as from a Windows file. Remove it"
            : "contains a control character, such as a line break"
    }
}
