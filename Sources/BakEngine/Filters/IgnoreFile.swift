// IgnoreFile: reading lists of patterns, `--exclude-file` and `.bakignore`. In both a line is a pattern; blank
// lines and lines that begin with '#' are none; spaces at the end do not count unless a backslash precedes
// them; "\#" and "\!" begin a pattern with that character.

import BakCore

/// A pattern list's lines.
enum PatternLines {
    /// The patterns of `bytes` with their lines.
    ///
    /// Throws if it is no UTF-8 text.
    static func split(_ bytes: [UInt8]) throws(TextFault) -> [TextLine] {
        var lines: [TextLine] = []
        for var line in try TextLines.split(bytes) {
            line.bytes = Array(trimmed(line.bytes[...]))
            if !line.bytes.isEmpty, line.bytes.first != UInt8(ascii: "#") { lines.append(line) }
        }
        return lines
    }

    private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var line = line
        while let last = line.last, last == UInt8(ascii: " ") || last == UInt8(ascii: "\t") {
            let backslashes = line.dropLast().reversed().prefix { $0 == UInt8(ascii: "\\") }.count
            if backslashes % 2 == 1 { break }
            line.removeLast()
        }
        return line
    }
}

extension PathPattern {
    /// Compiles the lines of an `--exclude-file`.
    ///
    /// - Parameters:
    ///   - origin: the file as messages name it.
    ///   - expand: what a line stands for.
    ///
    /// Throws `PatternError` for the first line that is malformed, `TextFault` if the file is no UTF-8 text.
    public static func list(
        _ bytes: [UInt8], origin: String, expand: (_ line: [UInt8], _ origin: String) throws -> PathPattern
    ) throws -> [PathPattern] {
        try PatternLines.split(bytes).map { try expand($0.bytes, "\(origin):\($0.number)") }
    }
}

/// The rules of one `.bakignore`.
struct IgnoreRules: Sendable {
    /// The file's name in each folder.
    static let fileName = Array(".bakignore".utf8)
    /// A longer file is not an ignore file, and is not read.
    static let maximumBytes = 1 << 20

    private let patterns: [PathPattern]
    /// Which of them have had the last word on something.
    private var haveMatched: [Bool]
    /// Lines that match nothing, or hardly what was meant, and why.
    let remarks: [String]

    /// Compiles a file. A malformed line matches nothing, as in git: more is backed up rather than less.
    ///
    /// - Parameter path: the file's path as messages name it.
    init(_ bytes: [UInt8], path: String) {
        var patterns: [PathPattern] = []
        var remarks: [String] = []
        do throws(TextFault) {
            for line in try PatternLines.split(bytes) {
                let origin = "\(path):\(line.number)"
                do throws(PatternError) {
                    let pattern = try PathPattern(gitignore: line.bytes, origin: origin)
                    if let doubt = pattern.doubt { remarks.append("\(origin): \(pattern.quoted) \(doubt)") }
                    patterns.append(pattern)
                } catch {
                    remarks.append("\(origin): \(error), so it leaves nothing out")
                }
            }
        } catch {
            remarks.append("\(path): \(error); it leaves nothing out")
        }
        (self.patterns, self.remarks) = (patterns, remarks)
        haveMatched = Array(repeating: false, count: patterns.count)
    }

    /// Lines that have had the last word on nothing so far; those that can have it on nothing are told of at once.
    var unmatched: [PathPattern] {
        patterns.indices.filter { !haveMatched[$0] && patterns[$0].doubt == nil }.map { patterns[$0] }
    }

    /// The last rule that matches a path, given relative to the file's folder; nil when none does.
    mutating func lastMatch(
        _ components: ArraySlice<ArraySlice<UInt8>>, isFolder: Bool
    ) -> PathPattern? {
        guard let place = patterns.lastIndex(where: { $0.matches(components, isFolder: isFolder) }) else {
            return nil
        }
        haveMatched[place] = true
        return patterns[place]
    }
}
