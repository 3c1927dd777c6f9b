// TextTable: prints lists on a terminal in columns.
//
// Always holds: if the width is limited, numbers, fixed cells and the endings of rows are never shortened. A table that
// is too wide first shortens its text, and then drops its least useful columns. The rest of a row that is still too
// wide is printed in further lines.

/// Rows of cells. Widths count the terminal's columns: East Asian wide characters and emoji take two.
struct TextTable {
    /// How a column's cells are aligned and shortened. A shortened path keeps its end. Other text (`left`) keeps its
    /// start and its end. Numbers (`right`) and fixed cells are not shortened.
    enum Alignment { case left, right, fixed, path }

    private let alignments: [Alignment]
    private let dropping: [Int]
    private var rows: [(cells: [String], ending: String)] = []
    private let hasHeader: Bool

    /// The kinds of columns that are shortened, in this order, and their least widths.
    private static let giving: [(alignment: Alignment, narrowest: Int)] = [(.path, 8), (.left, 6)]
    private static let gap = "  "

    /// Makes a table. A header row is underlined. `dropping` are the columns that a narrow table drops, the least
    /// useful first.
    init(_ alignments: [Alignment], header: [String]? = nil, dropping: [Int] = []) {
        self.alignments = alignments
        self.dropping = dropping
        hasHeader = header != nil
        if let header { append(header) }
    }

    /// Adds a row with a cell for each column, and with an ending that is never cut.
    mutating func append(_ cells: [String], ending: String = "") {
        precondition(cells.count == alignments.count)
        rows.append((cells, ending))
    }

    /// Returns the lines, without spaces at their ends, none wider than `width`.
    func lines(width: Int? = nil, isASCII: Bool = false) -> [String] {
        let rows =
            isASCII
            ? self.rows.map { ($0.cells.map(Formatting.ascii), Formatting.ascii($0.ending)) } : self.rows
        let (columns, widths) = layout(of: rows.map(\.0), within: width)
        let mark = TextWidth.mark(isASCII)
        let written = rows.map { cells, ending in
            var line = ""
            for (place, (column, room)) in zip(columns, widths).enumerated() {
                let cell =
                    alignments[column] == .path
                    ? TextWidth.cutPath(cells[column], to: room, mark: mark)
                    : TextWidth.cutWithin(cells[column], to: room, mark: mark)
                let padding = String(repeating: " ", count: max(0, room - TextWidth.of(cell)))
                let isLast = place == columns.count - 1
                line += place == 0 ? "" : Self.gap
                line += alignments[column] == .right ? padding + cell : isLast ? cell : cell + padding
            }
            return TextWidth.wrapped(line, ending: ending, width: width)
        }
        var lines = written.flatMap { $0 }
        if hasHeader {
            let total = written.map { TextWidth.of($0[0]) }.max() ?? 0
            lines.insert(String(repeating: "-", count: total), at: written[0].count)
        }
        return lines
    }

    /// Returns the columns that are shown and their widths. Columns are as wide as their cells need. If the table is
    /// then too wide, the path columns are narrowed to at least 8, and after them the left columns to at least 6; the
    /// widest column of a kind is narrowed first. If this is not enough, columns are dropped.
    private func layout(of rows: [[String]], within width: Int?) -> (columns: [Int], widths: [Int]) {
        let needed = alignments.indices.map { column in rows.map { TextWidth.of($0[column]) }.max() ?? 0 }
        var columns = Array(alignments.indices)
        var left = dropping[...]
        while true {
            var widths = columns.map { needed[$0] }
            guard let width else { return (columns, widths) }
            var surplus = widths.reduce(0, +) + Self.gap.count * (widths.count - 1) - width
            for (alignment, narrowest) in Self.giving {
                let giving = columns.indices.filter { alignments[columns[$0]] == alignment }
                while surplus > 0, let widest = giving.max(by: { widths[$0] < widths[$1] }),
                    widths[widest] > narrowest
                {
                    widths[widest] -= 1
                    surplus -= 1
                }
            }
            guard surplus > 0, let next = left.popFirst() else { return (columns, widths) }
            columns.removeAll { $0 == next }
        }
    }
}

/// Measures and cuts text for a terminal.
enum TextWidth {
    /// Returns the terminal columns that `text` takes.
    static func of(_ text: String) -> Int {
        // Dividing text into characters would cost more than everything else in a long list. Plain ASCII needs no
        // division.
        let isPlain = text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
        return isPlain ? text.utf8.count : text.reduce(0) { $0 + of($1) }
    }

    /// Returns the mark that stands where something was cut.
    static func mark(_ isASCII: Bool) -> String { isASCII ? "..." : "…" }

    /// Returns the longest start of `text` that fits, with a mark at its end if something was cut.
    static func cut(_ text: String, to width: Int, mark: String = "…") -> String {
        guard of(text) > width else { return text }
        return width < of(mark) ? start(of: text, width) : start(of: text, width - of(mark)) + mark
    }

    /// Returns `text`, or its start and its end with a mark between them if it is too long.
    static func cutWithin(_ text: String, to width: Int, mark: String = "…") -> String {
        guard of(text) > width else { return text }
        let room = width - of(mark)
        guard room > 2 else { return cut(text, to: width, mark: mark) }
        let end = String(start(of: String(text.reversed()), room - room / 3).reversed())
        return start(of: text, room - of(end)) + mark + end
    }

    /// Returns a path, or, if it is too long, a mark and the path's end, with as many whole names as fit. If not even
    /// the last name fits, returns the start and the end of that name.
    static func cutPath(_ path: String, to width: Int, mark: String = "…") -> String {
        guard of(path) > width else { return path }
        let room = width - of(mark)
        var rest = path[...]
        while let slash = rest.dropFirst().firstIndex(of: "/") {
            rest = rest[slash...]
            if of(String(rest)) <= room { return mark + rest }
        }
        let name = String(rest.first == "/" ? rest.dropFirst() : rest)
        return of(name) <= room ? mark + name : cutWithin(name, to: width, mark: mark)
    }

    /// Returns a line, two spaces and an ending. If these do not fit into the width, the ending moves to further
    /// lines, which are indented. A line that is too long by itself is also continued there.
    static func wrapped(_ line: String, ending: String = "", width: Int?) -> [String] {
        let end = line.lastIndex { $0 != " " }.map(line.index(after:)) ?? line.startIndex
        let start = String(line[..<end])
        let gap = start.isEmpty || line.hasSuffix("  ") ? "" : "  "
        let whole = ending.isEmpty ? start : line + gap + ending
        guard let width, of(whole) > width else { return [whole] }
        let first = of(start) <= width ? [start] : filled(start, width - 2)
        return (first + filled(ending, width - 2)).filter { !$0.isEmpty }.enumerated()
            .map { $0 == 0 ? $1 : "  " + $1 }
    }

    /// Returns a line of columns, a path and an ending that is never cut. Each of `starts` is a text to put before the
    /// path: the first shows all columns of the table, each further one shows fewer, and the last is empty. The first
    /// text is used that leaves room for the whole path, or for 16 characters of it.
    static func lines(
        _ path: String, ending: String, behind starts: [String], width: Int?, isASCII: Bool
    ) -> [String] {
        let shown = { (text: String) in isASCII ? Formatting.ascii(text) : text }
        let (path, ending, starts) = (shown(path), shown(ending), starts.map(shown))
        guard let width else { return wrapped(starts[0] + path, ending: ending, width: nil) }
        let start = starts.first { width - of($0) >= min(of(path), 16) } ?? ""
        let line = start + cutPath(path, to: width - of(start), mark: mark(isASCII))
        return wrapped(line, ending: ending, width: width)
    }

    /// Fills lines with words. Breaks a word only if it is wider than a line.
    private static func filled(_ text: String, _ width: Int) -> [String] {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            var word = String(word)
            if let last = lines.last, of(last) + 1 + of(word) <= width {
                lines[lines.count - 1] = last + " " + word
                continue
            }
            while of(word) > width {
                let piece = start(of: word, width)
                guard !piece.isEmpty else { break }
                lines.append(piece)
                word.removeFirst(piece.count)
            }
            lines.append(word)
        }
        return lines
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
