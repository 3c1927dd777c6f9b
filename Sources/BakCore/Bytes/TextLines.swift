// TextLines: the lines of every text file that a user writes for the program: lists of paths and patterns, the
// configuration, the files that name a repository or hold a password.
//
// Always holds: a byte-order mark in front is no part of the first line, and a carriage return before a newline is none
// of its line. Other encodings than UTF-8 are recognised and named, never read as if they were UTF-8.

/// A line and where it stands.
public struct TextLine: Equatable, Sendable {
    /// Counted from 1.
    public var number: Int
    /// Without its end.
    public var bytes: [UInt8]
}

/// Why bytes are not text that can be read.
public enum TextFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// They begin with the mark of UTF-16 or UTF-32.
    case wideEncoding(String)
    /// A line holds a NUL byte.
    case zeroByte(line: Int)

    /// What it is and what to do; follows the name of the file.
    public var description: String {
        switch self {
        case .wideEncoding(let name): "it is in \(name); save it as UTF-8"
        case .zeroByte(let line):
            "line \(line) holds a zero byte, as UTF-16 text and lists of names ended by zero bytes do"
        }
    }
}

/// Reads text.
public enum TextLines {
    private static let mark: [UInt8] = [0xef, 0xbb, 0xbf]

    /// How many bytes of a byte-order mark stand in front.
    ///
    /// Throws if the mark is that of another encoding than UTF-8.
    public static func markLength(_ bytes: some Collection<UInt8>) throws(TextFault) -> Int {
        if bytes.starts(with: mark) { return mark.count }
        if bytes.starts(with: [0xff, 0xfe, 0, 0]) || bytes.starts(with: [0, 0, 0xfe, 0xff]) {
            throw .wideEncoding("UTF-32")
        }
        if bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) {
            throw .wideEncoding("UTF-16")
        }
        return 0
    }

    /// The bytes behind a byte-order mark.
    ///
    /// Throws if the mark is that of another encoding than UTF-8.
    public static func withoutMark(_ bytes: [UInt8]) throws(TextFault) -> ArraySlice<UInt8> {
        bytes[try markLength(bytes)...]
    }

    /// The lines of `bytes`, empty ones included; none behind a newline at the end.
    ///
    /// Throws if it is no UTF-8 text as far as its mark and zero bytes tell. What else is not UTF-8 passes: names of
    /// files need not be.
    public static func split(_ bytes: [UInt8]) throws(TextFault) -> [TextLine] {
        var lines: [TextLine] = []
        let content = try withoutMark(bytes)
        for part in content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            let line = part.last == UInt8(ascii: "\r") ? part.dropLast() : part
            if line.contains(0) { throw .zeroByte(line: lines.count + 1) }
            lines.append(TextLine(number: lines.count + 1, bytes: Array(line)))
        }
        if lines.last?.bytes.isEmpty == true { lines.removeLast() }
        return lines
    }
}
