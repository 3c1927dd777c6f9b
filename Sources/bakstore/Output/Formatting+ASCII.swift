// Formatting+ASCII: text for terminals that know nothing but ASCII, and names back from the way that they are printed.

import BakCore

extension Formatting {
    /// Text in ASCII: any other character by its number, as names show what cannot be printed: `\u{e9}`. What says
    /// something itself is written in ASCII: what is not comes from a name, and `\u{2026}` and `...` are two names.
    static func ascii(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text }
        return text.unicodeScalars.map { scalar in
            scalar.isASCII
                ? String(Character(scalar)) : "\\u{\(String(scalar.value, radix: 16))}"
        }.joined()
    }

    /// JSON in ASCII: outside of texts it is anyway, and in them `\u00e9` means the same.
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

    /// The bytes of a name that was printed by `name`; nil if nothing in it was made visible, or not by `name`.
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
