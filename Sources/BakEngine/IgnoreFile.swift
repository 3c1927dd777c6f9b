// IgnoreFile: reading lists of patterns, `--exclude-file` and `.bakignore`. In both a line is a pattern; blank
// lines and lines that begin with '#' are none; spaces at the end do not count unless a backslash precedes
// them; "\#" and "\!" begin a pattern with that character.

/// A pattern list's lines.
enum PatternLines {
    /// The patterns of `bytes` with their line numbers, counted from 1.
    static func split(_ bytes: [UInt8]) -> [(number: Int, pattern: [UInt8])] {
        var lines: [(Int, [UInt8])] = []
        // A byte-order mark is no part of the first pattern.
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        let content = bytes.starts(with: mark) ? bytes.dropFirst(mark.count) : bytes[...]
        for (index, line) in content.split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
        ).enumerated() {
            let pattern = trimmed(line)
            if !pattern.isEmpty, pattern.first != UInt8(ascii: "#") {
                lines.append((index + 1, Array(pattern)))
            }
        }
        return lines
    }

    private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var line = line
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        while let last = line.last, last == UInt8(ascii: " ") || last == UInt8(ascii: "\t") {
            let backslashes = line.dropLast().reversed().prefix { $0 == UInt8(ascii: "\\") }.count
            if backslashes % 2 == 1 { break }
            line.removeLast()
        }
        return line
    }
}

extension PathPattern {
    /// Compiles the lines of an `--exclude-file`; throws for the first that is malformed.
    ///
    /// - Parameter origin: the file as messages name it.
    public static func list(_ bytes: [UInt8], origin: String, ignoringCase: Bool = false)
        throws(PatternError) -> [PathPattern]
    {
        var patterns: [PathPattern] = []
        for line in PatternLines.split(bytes) {
            patterns.append(
                try PathPattern(line.pattern, origin: "\(origin):\(line.number)", ignoringCase: ignoringCase))
        }
        return patterns
    }
}

/// The rules of one `.bakignore`.
struct IgnoreRules: Sendable {
    /// The file's name in each folder.
    static let fileName = Array(".bakignore".utf8)
    /// A longer file is not an ignore file, and is not read.
    static let maximumBytes = 1 << 20

    private let patterns: [PathPattern]

    /// Compiles a file. A malformed line matches nothing, as in git: more is backed up rather than less.
    ///
    /// - Parameter path: the file's path as messages name it.
    init(_ bytes: [UInt8], path: String) {
        patterns = PatternLines.split(bytes).compactMap { line in
            try? PathPattern(gitignore: line.pattern, origin: "\(path):\(line.number)")
        }
    }

    /// The last rule that matches a path, given relative to the file's folder; nil when none does.
    func lastMatch(_ components: ArraySlice<ArraySlice<UInt8>>, isFolder: Bool) -> PathPattern? {
        patterns.last { $0.matches(components, isFolder: isFolder) }
    }
}
