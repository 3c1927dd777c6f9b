// Glob: a pattern for one component of a path. `*` matches any run of bytes, `?` one character, `[a-z]` one character
// of a set, and `[!x]` and `[^x]` one character outside it. A backslash makes the next character literal.
//
// Always holds: a match takes at most pattern length times name length steps. On a mismatch only the last star takes
// one more byte. Earlier stars never have to, because the last star can take every byte that they could take. Names are
// bytes; a byte that is not valid UTF-8 counts as one character.

/// A pattern that cannot be compiled.
public struct PatternError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The pattern as it was written.
    public var pattern: String
    /// What is wrong with it.
    public var reason: String

    /// The message in one line.
    public var description: String { "the pattern '\(pattern)' \(reason)" }
}

/// A compiled pattern for one name.
struct Glob: Hashable, Sendable {
    private enum Token: Hashable, Sendable {
        case byte(UInt8)
        case anyCharacter
        case anyRun
        case set([ClosedRange<UInt32>], isNegated: Bool)
    }

    private var tokens: [Token] = []

    /// Compiles `pattern`, which must not contain a slash outside a set. The error says what is wrong.
    init(_ pattern: ArraySlice<UInt8>) throws(Malformed) {
        var position = pattern.startIndex
        while position < pattern.endIndex {
            let byte = pattern[position]
            position += 1
            switch byte {
            case UInt8(ascii: "*"):
                if tokens.last != .anyRun { tokens.append(.anyRun) }
            case UInt8(ascii: "?"): tokens.append(.anyCharacter)
            case UInt8(ascii: "["): tokens.append(try Self.set(pattern, &position))
            case UInt8(ascii: "\\"):
                guard position < pattern.endIndex else { throw .init("ends in a lone backslash") }
                tokens.append(.byte(pattern[position]))
                position += 1
            default: tokens.append(.byte(byte))
            }
        }
    }

    /// Why a pattern could not be compiled.
    struct Malformed: Error {
        var reason: String
        init(_ reason: String) { self.reason = reason }
    }

    /// Reads a set from behind its opening bracket to behind the closing one.
    private static func set(
        _ pattern: ArraySlice<UInt8>, _ position: inout Int
    ) throws(Malformed) -> Token {
        let unclosed = Malformed("has a '[' without its ']'")
        var isNegated = false
        if position < pattern.endIndex,
            pattern[position] == UInt8(ascii: "!") || pattern[position] == UInt8(ascii: "^")
        {
            isNegated = true
            position += 1
        }
        var ranges: [ClosedRange<UInt32>] = []
        // A ']' in first place is literal.
        while position < pattern.endIndex, ranges.isEmpty || pattern[position] != UInt8(ascii: "]") {
            let low = try member(pattern, &position, unclosed)
            var high = low
            if position + 1 < pattern.endIndex, pattern[position] == UInt8(ascii: "-"),
                pattern[position + 1] != UInt8(ascii: "]")
            {
                position += 1
                high = try member(pattern, &position, unclosed)
            }
            guard low <= high else { throw .init("has a range in [] that runs backwards") }
            ranges.append(low...high)
        }
        guard position < pattern.endIndex else { throw unclosed }
        position += 1
        return .set(ranges, isNegated: isNegated)
    }

    private static func member(
        _ pattern: ArraySlice<UInt8>, _ position: inout Int, _ unclosed: Malformed
    ) throws(Malformed) -> UInt32 {
        if pattern[position] == UInt8(ascii: "\\") { position += 1 }
        guard position < pattern.endIndex else { throw unclosed }
        let (scalar, length) = Self.character(pattern, position)
        position += length
        return scalar
    }

    /// True if `name` as a whole matches.
    func matches(_ name: ArraySlice<UInt8>) -> Bool {
        var token = 0
        var position = name.startIndex
        var retry: (token: Int, position: Int)?
        while position < name.endIndex {
            if token < tokens.count {
                if tokens[token] == .anyRun {
                    token += 1
                    retry = (token, position)
                    continue
                }
                if let length = length(of: tokens[token], in: name, at: position) {
                    token += 1
                    position += length
                    continue
                }
            }
            guard let last = retry else { return false }
            token = last.token
            position = last.position + 1
            retry = (token, position)
        }
        return tokens[token...].allSatisfy { $0 == .anyRun }
    }

    /// Returns how many bytes `token` takes at `position`; nil if it does not match there.
    private func length(of token: Token, in name: ArraySlice<UInt8>, at position: Int) -> Int? {
        switch token {
        case .byte(let byte): return name[position] == byte ? 1 : nil
        case .anyCharacter: return Self.character(name, position).length
        case .set(let ranges, let isNegated):
            let (scalar, length) = Self.character(name, position)
            return ranges.contains { $0.contains(scalar) } != isNegated ? length : nil
        case .anyRun: preconditionFailure("the caller handles runs")
        }
    }

    /// Returns the character at `position`: its number and its length in bytes. A byte that begins no UTF-8 sequence is
    /// a separate character, numbered above all of Unicode.
    private static func character(_ bytes: ArraySlice<UInt8>, _ position: Int) -> (UInt32, length: Int) {
        let lead = bytes[position]
        guard lead >= 0x80 else { return (UInt32(lead), 1) }
        let length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2
        guard lead >= 0xc2, lead < 0xf5, position + length <= bytes.endIndex,
            bytes[position + 1..<position + length].allSatisfy({ $0 & 0xc0 == 0x80 })
        else { return (0x11_0000 + UInt32(lead), 1) }
        let first = UInt32(lead & (0x7f >> UInt8(length)))
        return (bytes[position + 1..<position + length].reduce(first) { $0 << 6 | UInt32($1 & 0x3f) }, length)
    }
}

/// Compares text without regard to case.
enum CaseFolding {
    /// Returns lower case by Unicode's mapping of each character. If the text is not UTF-8, only ASCII letters change.
    static func fold(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.contains(where: { $0 >= 0x80 }), let text = String(validating: bytes, as: UTF8.self) {
            return text.unicodeScalars.flatMap { Array($0.properties.lowercaseMapping.utf8) }
        }
        return bytes.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
    }
}
