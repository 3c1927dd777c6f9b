// TextTable: columns that line up, for lists on a terminal.

/// Rows of cells. Widths count characters, of which East Asian wide ones and emoji take two places.
struct TextTable {
    /// How a column's cells stand. Where a line is limited, `path` gives way: it keeps its start and its end.
    enum Alignment { case left, right, path }

    private let alignments: [Alignment]
    private var rows: [[String]] = []
    private let hasHeader: Bool

    /// What gives way, in this order, and how far: paths, then other text. Numbers stay.
    private static let giving: [(alignment: Alignment, narrowest: Int)] = [(.path, 12), (.left, 6)]

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

    /// The lines, without spaces at their ends, none wider than `width`.
    func lines(width: Int? = nil, isASCII: Bool = false) -> [String] {
        let rows = isASCII ? self.rows.map { $0.map(Formatting.ascii) } : self.rows
        let widths = widths(of: rows, within: width)
        let mark = TextWidth.mark(isASCII)
        var lines = rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let cell = TextWidth.cutWithin(cell, to: widths[column], mark: mark)
                let padding = String(repeating: " ", count: widths[column] - TextWidth.of(cell))
                line +=
                    (column > 0 ? "  " : "")
                    + (alignments[column] == .right ? padding + cell : cell + padding)
            }
            while line.last == " " { line.removeLast() }
            return width.map { TextWidth.cut(line, to: $0, mark: mark) } ?? line
        }
        if hasHeader {
            let total = widths.reduce(0, +) + 2 * (widths.count - 1)
            lines.insert(String(repeating: "-", count: min(total, width ?? total)), at: 1)
        }
        return lines
    }

    /// The columns' widths: what their cells need, or less, the widest first.
    private func widths(of rows: [[String]], within width: Int?) -> [Int] {
        var widths = alignments.indices.map { column in rows.map { TextWidth.of($0[column]) }.max() ?? 0 }
        guard let width else { return widths }
        var surplus = widths.reduce(0, +) + 2 * (widths.count - 1) - width
        for (alignment, narrowest) in Self.giving {
            let columns = alignments.indices.filter { alignments[$0] == alignment }
            while surplus > 0, let widest = columns.max(by: { widths[$0] < widths[$1] }),
                widths[widest] > narrowest
            {
                widths[widest] -= 1
                surplus -= 1
            }
        }
        return widths
    }
}

/// How much room text takes on a terminal.
enum TextWidth {
    /// The places that `text` takes.
    static func of(_ text: String) -> Int { text.reduce(0) { $0 + of($1) } }

    /// What stands where something was cut.
    static func mark(_ isASCII: Bool) -> String { isASCII ? "..." : "…" }

    /// The longest start of `text` that fits, ended with a mark when something is cut.
    static func cut(_ text: String, to width: Int, mark: String = "…") -> String {
        guard of(text) > width else { return text }
        return width < of(mark) ? start(of: text, width) : start(of: text, width - of(mark)) + mark
    }

    /// The start and the end of `text` with a mark between them; what is longer than that fits.
    static func cutWithin(_ text: String, to width: Int, mark: String = "…") -> String {
        guard of(text) > width else { return text }
        let room = width - of(mark)
        guard room > 2 else { return cut(text, to: width, mark: mark) }
        let end = String(start(of: String(text.reversed()), room - room / 3).reversed())
        return start(of: text, room - of(end)) + mark + end
    }

    private static func start(of text: String, _ width: Int) -> String {
        var result = ""
        var used = 0
        for character in text {
            used += of(character)
            guard used <= width else { break }
            result.append(character)
        }
        return result
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
