// IgnoreFile: reads lists of patterns, from `--exclude-file` and `.bakignore`. In both, each line is a pattern, except
// blank lines and lines that begin with '#'. Spaces at the end are dropped unless a backslash precedes them. "\#" and
// "\!" begin a pattern with that character.

import BakCore

/// The lines of a pattern list.
enum PatternLines {
    /// Returns the patterns in `bytes`, with their line numbers. Throws if the text is not UTF-8.
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
    ///   - origin: the file's name for messages.
    ///   - expand: returns the pattern for a line.
    ///
    /// - Throws: `PatternError` for the first malformed line; `TextFault` if the file is not UTF-8 text.
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
    /// A longer file is not an ignore file and is ignored.
    static let maximumBytes = 1 << 20

    private let patterns: [PathPattern]
    /// For each pattern: true if the pattern has decided about an entry.
    private var haveMatched: [Bool]
    /// Messages about lines that match nothing, or probably not what the user meant.
    let remarks: [String]

    /// Compiles a file. A malformed line matches nothing, as in git, so that too much is backed up rather than too
    /// little.
    ///
    /// - Parameter path: the file's path for messages.
    init(_ bytes: [UInt8], path: String) {
        var patterns: [PathPattern] = []
        var remarks: [String] = []
        do throws(TextFault) {
            for line in try PatternLines.split(bytes) {
                let origin = "\(path):\(line.number)"
                do throws(PatternError) {
                    let pattern = try PathPattern(gitignore: line.bytes, origin: origin)
                    if let objection = pattern.objection {
                        remarks.append("\(origin): \(pattern.quoted) \(objection)")
                    }
                    patterns.append(pattern)
                } catch {
                    remarks.append("\(origin): \(error), so it leaves nothing out")
                }
            }
        } catch {
            remarks.append("\(path): \(error), so it leaves nothing out")
        }
        (self.patterns, self.remarks) = (patterns, remarks)
        haveMatched = Array(repeating: false, count: patterns.count)
    }

    /// The lines that have decided about no entry so far, except those that `remarks` reports.
    var unmatched: [PathPattern] {
        patterns.indices.filter { !haveMatched[$0] && patterns[$0].objection == nil }.map { patterns[$0] }
    }

    /// Returns the last rule that matches a path, given relative to the file's folder; nil if none does.
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
