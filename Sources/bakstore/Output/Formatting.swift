// Formatting: prints numbers, sizes, times and names for people. English, IEC units, no locale.
//
// Always holds: what `name` returns is safe to print on a terminal, whatever bytes a file's name has.

import BakCore

/// Text for people.
enum Formatting {
    /// `2.9 GiB`.
    static func size(_ bytes: UInt64) -> String { ByteSize.text(bytes) }

    /// `1,204`.
    static func count(_ number: UInt64) -> String {
        var text: [Character] = []
        for (index, digit) in String(number).reversed().enumerated() {
            if index > 0, index % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return String(text.reversed())
    }

    /// `1 file`, `1,204 files`.
    static func count(_ number: UInt64, _ singular: String, _ plural: String) -> String {
        "\(count(number)) \(word(number, singular, plural))"
    }

    /// `is`, `are`: a word that agrees with a number elsewhere in the sentence.
    static func word(_ number: UInt64, _ singular: String, _ plural: String) -> String {
        number == 1 ? singular : plural
    }

    /// `85.3 MiB/s`; empty if too little time has passed.
    static func rate(_ bytes: UInt64, seconds: Double) -> String {
        guard seconds >= 0.001 else { return "" }
        let perSecond = Double(bytes) / seconds
        return ByteSize.text(perSecond < 0x1p63 ? UInt64(perSecond) : .max) + "/s"
    }

    /// `0.4 s`, `14.2 s`, `3:05 min`, `2:03:05 h`.
    static func duration(seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0 else { return "0.0 s" }
        guard seconds >= 59.95 else { return "\(decimal(seconds, digits: 1)) s" }
        guard seconds < 1e9 else { return "years" }
        let whole = Int(seconds.rounded())
        let tail = padded(whole % 60, 2)
        if whole < 3600 { return "\(whole / 60):\(tail) min" }
        return "\(whole / 3600):\(padded(whole / 60 % 60, 2)):\(tail) h"
    }

    /// `12.3 %`; 100.0 % only if all is done, 0.0 % of nothing.
    static func percent(_ part: UInt64, of whole: UInt64) -> String {
        guard whole > 0 else { return "0.0 %" }
        guard part < whole else { return "100.0 %" }
        return "\(decimal(min(99.9, Double(part) / Double(whole) * 100), digits: 1)) %"
    }

    /// A number with `digits` digits after the point.
    static func decimal(_ number: Double, digits: Int) -> String {
        guard number.isFinite, abs(number) < 1e15 else { return "\(number)" }
        let scale = (0..<digits).reduce(1) { product, _ in product * 10 }
        let scaled = Int((abs(number) * Double(scale)).rounded())
        let sign = number < 0 && scaled > 0 ? "-" : ""
        return digits == 0 ? "\(sign)\(scaled)" : "\(sign)\(scaled / scale).\(padded(scaled % scale, digits))"
    }

    /// A number with leading zeros, so that it has at least `width` digits.
    static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Makes the bytes of a name or path visible. Control characters, bytes that are not UTF-8, and characters that
    /// change the direction or the look of other text become escapes such as `\n`, `\x1b` and `\u{202e}`. A backslash
    /// becomes two.
    static func name(_ bytes: some Collection<UInt8>) -> String {
        // Most names are plain, and a list may have many megabytes of them.
        if bytes.allSatisfy({ (0x20..<0x7f).contains($0) && $0 != UInt8(ascii: "\\") }) {
            return String(decoding: bytes, as: UTF8.self)
        }
        var text = ""
        var position = bytes.startIndex
        while position != bytes.endIndex {
            // The decoder swallows a malformed sequence whole, so each step takes a new decoder.
            var decoder = UTF8()
            var iterator = bytes[position...].makeIterator()
            if case .scalarValue(let scalar) = decoder.decode(&iterator) {
                text += visible(scalar)
                bytes.formIndex(&position, offsetBy: UTF8.width(scalar))
            } else {
                text += "\\x" + Hex.encode([bytes[position]])
                bytes.formIndex(after: &position)
            }
        }
        return text
    }

    private static func visible(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": return "\\n"
        case "\t": return "\\t"
        case "\r": return "\\r"
        case "\\": return "\\\\"
        default: break
        }
        switch scalar.properties.generalCategory {
        case .control where scalar.value < 0x80: return "\\x" + Hex.encode([UInt8(scalar.value)])
        case .control, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse:
            return "\\u{\(String(scalar.value, radix: 16))}"
        // Joiners belong to scripts and emoji; other format characters can hide or reorder text.
        case .format where scalar.value != 0x200c && scalar.value != 0x200d:
            return "\\u{\(String(scalar.value, radix: 16))}"
        default: return String(Character(scalar))
        }
    }

    /// Makes text safe to print that may hold pieces of names. It is like `name`, but backslashes stay.
    static func line(_ text: String) -> String {
        // Most lines are plain, and verbose output has a line for each file.
        if text.utf8.allSatisfy({ (0x20..<0x7f).contains($0) }) { return text }
        return text.unicodeScalars.map { $0 == "\\" ? "\\" : visible($0) }.joined()
    }

    /// `drwxr-xr-x`: a type and its permission bits, as `ls -l` shows them.
    static func permissions(_ type: FileType, mode: UInt16) -> String {
        let letter: Character =
            switch type {
            case .regular: "-"
            case .directory: "d"
            case .symlink: "l"
            case .fifo: "p"
            case .socket: "s"
            case .characterDevice: "c"
            case .blockDevice: "b"
            }
        var text = String(letter)
        for (shift, special) in [(6, ("s", "S", 11)), (3, ("s", "S", 10)), (0, ("t", "T", 9))] {
            let bits = mode >> UInt16(shift)
            text += bits & 4 != 0 ? "r" : "-"
            text += bits & 2 != 0 ? "w" : "-"
            let isSpecial = mode >> UInt16(special.2) & 1 != 0
            let isExecutable = bits & 1 != 0
            text += isSpecial ? (isExecutable ? special.0 : special.1) : (isExecutable ? "x" : "-")
        }
        return text
    }
}
