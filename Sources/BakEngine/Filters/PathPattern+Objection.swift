// PathPattern+Objection: finds patterns that cannot match anything, or that probably match something else than the user
// meant. Without a warning, a pattern that matches nothing would go unnoticed.

import BakCore

extension PathPattern {
    /// The pattern in quotes, for messages.
    public var quoted: String { "'\(String(decoding: text, as: UTF8.self))'" }

    /// The message for a pattern that decided about no entry.
    public var uselessness: String {
        "\(isNegated ? "took nothing back" : "left nothing out"): \(origin) \(quoted)"
    }

    /// Why the pattern matches nothing in any folder, or probably not what the user meant; nil if there is no
    /// objection. The text ends a message: `'../x' matches nothing, because ...`.
    public var objection: String? {
        let body = isNegated ? text.dropFirst() : text[...]
        let components = body.split(separator: UInt8(ascii: "/"))
        guard let first = components.first else { return nil }
        if components.contains(where: { $0.elementsEqual("..".utf8) }) {
            return "matches nothing, because no path in a backup contains '..'"
        }
        if first.first == UInt8(ascii: "~"), components.count > 1 {
            return "matches only a folder with that name: ~ is not replaced here. Write the path in full"
        }
        if Self.isVariable(first) {
            return
                "matches only a file with that name: variables are not replaced here. Write the path in full"
        }
        // A blank after a backslash is intended.
        switch body.dropLast().last == UInt8(ascii: "\\") ? nil : body.last {
        case UInt8(ascii: " "), UInt8(ascii: "\t"):
            return "ends with a blank, which counts as part of the name"
        case UInt8(ascii: "\r"):
            return
                "ends with a carriage return, which counts as part of the name. Is it from a Windows file?"
        default: break
        }
        if let quote = body.first, body.count > 2, quote == body.last, "'\"".utf8.contains(quote) {
            return "begins and ends with a quote, which counts as part of the name. Remove the quotes"
        }
        if holdsBraces(body) {
            return "contains braces, which match only themselves. Write a pattern for each alternative"
        }
        if body.first == UInt8(ascii: " ") { return "begins with a blank, which counts as part of the name" }
        if hasBackslashBeforeLetter(body) {
            return "contains a \\, which takes the next character as it is. Between folders write /"
        }
        return nil
    }

    /// Returns why the pattern can match nothing at or beneath `roots`, which are absolute paths without the leading
    /// slash.
    public func objection(beneath roots: [[UInt8]]) -> String? {
        if let objection { return objection }
        let canMatch = roots.contains { root in
            let folded = ignoresCase ? CaseFolding.fold(root) : root
            let components = folded.split(separator: UInt8(ascii: "/"))
            return components.isEmpty || mayMatchBeneath(components[...])
                || matches(components[...], isFolder: true)
        }
        guard !canMatch, let root = roots.first else { return nil }
        let name = "/" + String(decoding: root, as: UTF8.self)
        return "matches nothing, because it lies outside of \(name)"
            + (roots.count > 1 ? " and the other paths" : "")
    }

    private static func isVariable(_ component: ArraySlice<UInt8>) -> Bool {
        guard component.first == UInt8(ascii: "$"), component.count > 1 else { return false }
        return component.dropFirst().allSatisfy { byte in
            (0x61...0x7a).contains(byte | 0x20) || (0x30...0x39).contains(byte) || "_{}".utf8.contains(byte)
        }
    }

    /// True if a shell would expand the pattern to several words, such as `*.{jpg,JPG}`.
    private func holdsBraces(_ body: ArraySlice<UInt8>) -> Bool {
        guard let start = body.firstIndex(of: UInt8(ascii: "{")),
            body[..<start].last != UInt8(ascii: "\\"),
            let end = body[start...].firstIndex(of: UInt8(ascii: "}"))
        else { return false }
        return body[start..<end].contains(UInt8(ascii: ","))
    }

    private func hasBackslashBeforeLetter(_ body: ArraySlice<UInt8>) -> Bool {
        var isEscaped = false
        for byte in body {
            if isEscaped {
                isEscaped = false
                if (0x61...0x7a).contains(byte | 0x20) || (0x30...0x39).contains(byte) { return true }
            } else {
                isEscaped = byte == UInt8(ascii: "\\")
            }
        }
        return false
    }
}
