// MarkdownTable: formats results for people.

/// A table with a header.
struct MarkdownTable {
    private(set) var rows: [[String]] = []
    let header: [String]

    init(_ header: [String]) { self.header = header }

    mutating func append(_ cells: [String]) {
        precondition(cells.count == header.count, "a row of \(cells.count) cells under \(header.count)")
        rows.append(cells)
    }

    var text: String {
        let lines = [header, header.map { _ in "---" }] + rows
        return lines.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
    }
}
