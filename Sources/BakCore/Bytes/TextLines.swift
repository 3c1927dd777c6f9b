// TextLines: splits text files that a user writes for the program into lines. Such files are lists of paths and
// patterns, the configuration, and files with a repository's name or a password.
//
// Always holds: a line never contains a leading byte-order mark or the carriage return before its newline. Text in
// UTF-16 or UTF-32 is refused with the name of that encoding, and never read as if it were UTF-8.

/// A line and its number.
public struct TextLine: Equatable, Sendable {
    /// The line's number, counted from 1.
    public var number: Int
    /// The line without its end.
    public var bytes: [UInt8]
}

/// A reason why bytes cannot be read as text.
public enum TextFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The bytes begin with the byte-order mark of UTF-16 or UTF-32.
    case wideEncoding(String)
    /// A line contains a NUL byte.
    case zeroByte(line: Int)

    /// The problem and what to do about it. The text follows the name of the file.
    public var description: String {
        switch self {
        case .wideEncoding(let name): "it is in \(name). Save it as UTF-8"
        case .zeroByte(let line):
            "line \(line) contains a zero byte, as UTF-16 text and lists of names ended by zero bytes do"
        }
    }
}

/// Splits text into lines.
public enum TextLines {
    private static let mark: [UInt8] = [0xef, 0xbb, 0xbf]

    /// Returns the length of the byte-order mark at the start; 0 if there is none.
    ///
    /// Throws `TextFault` if the mark is that of UTF-16 or UTF-32.
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

    /// Returns the bytes after the byte-order mark.
    ///
    /// Throws `TextFault` if the mark is that of UTF-16 or UTF-32.
    public static func withoutMark(_ bytes: [UInt8]) throws(TextFault) -> ArraySlice<UInt8> {
        bytes[try markLength(bytes)...]
    }

    /// Returns the lines of `bytes`, including empty ones. A newline at the end does not start another line.
    ///
    /// Throws `TextFault` if the mark or a NUL byte shows that the bytes are not UTF-8 text. Other bytes that are not
    /// UTF-8 pass, because file names may contain them.
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
