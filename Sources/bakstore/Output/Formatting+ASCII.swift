// Formatting+ASCII: converts text to ASCII for terminals that have nothing else, and printed names back to their bytes.

import BakCore

extension Formatting {
    /// Returns text in ASCII. Any other character becomes its number, such as `\u{e9}`, as in names that cannot be
    /// printed. The program's own words are ASCII, so other characters come from names. A character is not replaced by
    /// a similar one, because `\u{2026}` and `...` are two different names.
    static func ascii(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text }
        return text.unicodeScalars.map { scalar in
            scalar.isASCII
                ? String(Character(scalar)) : "\\u{\(String(scalar.value, radix: 16))}"
        }.joined()
    }

    /// Returns JSON in ASCII. Only strings can have other characters, and there `\u00e9` means the same.
    static func asciiJSON(_ line: [UInt8]) -> [UInt8] {
        if line.allSatisfy({ $0 < 0x80 }) { return line }
        var result: [UInt8] = []
        for unit in String(decoding: line, as: UTF8.self).utf16 {
            if unit < 0x80 {
                result.append(UInt8(unit))
            } else {
                let digits = String(unit, radix: 16)
                result += Array("\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8)
            }
        }
        return result
    }

    /// Returns the bytes of a name that `name` has printed. Nil if the text has no escapes, or if `name` cannot have
    /// printed it.
    static func unescaped(_ text: [UInt8]) -> [UInt8]? {
        guard text.contains(UInt8(ascii: "\\")) else { return nil }
        var result: [UInt8] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "n"): result.append(0x0a)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "r"): result.append(0x0d)
            case UInt8(ascii: "\\"): result.append(UInt8(ascii: "\\"))
            case UInt8(ascii: "x"):
                guard let value = number(rest.prefix(2)), rest.count >= 2 else { return nil }
                result.append(UInt8(truncatingIfNeeded: value))
                rest = rest.dropFirst(2)
            case UInt8(ascii: "u"):
                guard rest.popFirst() == UInt8(ascii: "{"), let end = rest.firstIndex(of: UInt8(ascii: "}")),
                    let scalar = number(rest[..<end]).flatMap(Unicode.Scalar.init)
                else { return nil }
                result += Array(String(Character(scalar)).utf8)
                rest = rest[(end + 1)...]
            default: return nil
            }
        }
        return result
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt32? {
        guard (1...8).contains(digits.count),
            digits.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") })
        else { return nil }
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
