// TextTable: columns that line up, for lists on a terminal.

/// Rows of cells. Widths count characters, of which East Asian wide ones and emoji take two places.
struct TextTable {
    /// How a column's cells stand.
    enum Alignment { case left, right }

    private let alignments: [Alignment]
    private var rows: [[String]] = []
    private let hasHeader: Bool

    /// Makes a table; a header row is underlined.
    init(_ alignments: [Alignment], header: [String]? = nil) {
        self.alignments = alignments
        hasHeader = header != nil
        if let header { append(header) }
    }

    /// Adds a row with a cell for each column.
    mutating func append(_ cells: [String]) {
        precondition(cells.count == alignments.count)
        rows.append(cells)
    }

    /// The lines, without spaces at their ends.
    func lines() -> [String] {
        let widths = alignments.indices.map { column in
            rows.map { TextWidth.of($0[column]) }.max() ?? 0
        }
        var lines = rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - TextWidth.of(cell))
                line +=
                    (column > 0 ? "  " : "") + (alignments[column] == .left ? cell + padding : padding + cell)
            }
            while line.last == " " { line.removeLast() }
            return line
        }
        if hasHeader {
            let total = widths.reduce(0, +) + 2 * (widths.count - 1)
            lines.insert(String(repeating: "-", count: total), at: 1)
        }
        return lines
    }
}

/// How much room text takes on a terminal.
enum TextWidth {
    /// The places that `text` takes.
    static func of(_ text: String) -> Int { text.reduce(0) { $0 + of($1) } }

    /// The longest start of `text` that fits, ended with `…` when something is cut.
    static func cut(_ text: String, to width: Int) -> String {
        guard of(text) > width else { return text }
        guard width > 0 else { return "" }
        var result = ""
        var used = 1
        for character in text {
            used += of(character)
            guard used <= width else { break }
            result.append(character)
        }
        return result + "…"
    }

    private static func of(_ character: Character) -> Int {
        let scalar = character.unicodeScalars.first!
        guard scalar.value >= 0x300 else { return 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        if scalar.properties.isEmojiPresentation { return 2 }
        switch scalar.value {
        case 0x1100...0x115f, 0x2e80...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f,
            0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1f64f, 0x20000...0x3fffd:
            return 2
        default: return 1
        }
    }
}
