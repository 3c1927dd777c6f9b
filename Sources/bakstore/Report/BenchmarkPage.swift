// BenchmarkPage: makes one HTML file of a benchmark's findings, which a browser can open from disk.
//
// Always holds: the page fetches nothing and runs nothing. Its Content-Security-Policy makes browsers enforce this. All
// text from outside, such as names of files, goes through `escaped`.

import BakAnalysis
import BakChunking
import BakCore
import BakEngine
import BakPosix

/// Makes the page.
struct BenchmarkPage {
    private let findings: BenchmarkFindings
    private var report: LibraryReport { findings.report }

    init(_ findings: BenchmarkFindings) { self.findings = findings }

    /// The line that shows that a file is a report.
    private static let mark = #"<meta name="generator" content="bakstore benchmark">"#

    /// Throws unless a report may be written at the path: the file there, if any, must be empty or a report.
    static func expectPlace(_ path: String) throws {
        try SmallFile.expectReplaceable(path: path)
        guard Machine.status(Array(path.utf8)).map({ $0.size > 0 }) == true else { return }
        let start = try? SmallFile.readStart(path: path, count: 1024)
        guard start.map({ String(decoding: $0, as: UTF8.self).contains(mark) }) == true else {
            throw CommandFailure(
                code: .failed,
                message: "\(path) exists already and is not a benchmark report. Name a new file")
        }
    }

    /// The whole file.
    var html: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        \(Self.mark)
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>How much space a backup of this library would take</title>
        <style>
        \(BenchmarkStyle.sheet)
        </style>
        </head>
        <body>
        <main>
        \(sections.joined(separator: "\n"))
        </main>
        </body>
        </html>

        """
    }

    private var sections: [String] {
        var sections = [header]
        guard report.files > 0 else { return sections }
        sections += [headline, types, duplicates, schemes]
        if let changes = report.changes, let baseline = findings.baseline {
            sections.append(since(changes, baseline))
        }
        return sections + [stages, notes]
    }

    // MARK: What matters

    private var header: String {
        let paths = findings.roots.map { "<code>\(Self.name($0))</code>" }.joined(separator: ", ")
        let folders = Formatting.count(report.folders, "folder", "folders")
        var lines = [
            "<header>", "<p class=\"where\">\(paths)</p>",
            "<h1>\(Formatting.count(report.files, "file", "files")), \(Formatting.size(report.bytes))</h1>",
            "<p class=\"quiet\">in \(folders), measured on \(Self.escaped(findings.time))</p>",
        ]
        if report.wasInterrupted {
            lines.append("<p class=\"warning\">Interrupted: these are the results so far.</p>")
        }
        if report.failedItems > 0 {
            let items = Formatting.count(report.failedItems, "item", "items")
            lines.append("<p class=\"warning\">\(items) could not be read; not counted.</p>")
        }
        return (lines + ["</header>"]).joined(separator: "\n")
    }

    private var headline: String {
        let total = max(report.bytes, 1)
        let largest = findings.groups.first
        let about = BenchmarkFindings.about(report.areDuplicatesEstimated)
        let stored = report.repositoryBytes
        let doubles = Formatting.count(report.duplicateFiles, "file", "files")
        let parts = [
            ("stored", "in the repository", stored), ("double", "duplicates", findings.savedByDuplicates),
            ("gained", "saved by compression", findings.savedByCompression),
        ]
        return """
            <section class="cards">
            \(card("A repository would take", Formatting.size(stored), Formatting.percent(stored, of: total) + " of the library"))
            \(card("Duplicates", about + Formatting.size(report.duplicateBytes), "in \(doubles)"))
            \(card("Most of the space", largest.map { Self.title($0.group) } ?? "", largest.map { Formatting.percent($0.bytes, of: total) + " of the library" } ?? ""))
            </section>
            <section>
            \(stackedBar(parts.map { ($0.0, $0.2) }, of: max(total, parts.reduce(0) { $0 &+ $1.2 })))
            <ul class="legend">
            \(parts.map { "<li><i class=\"\($0.0)\"></i>\($0.1) <b>\(Formatting.size($0.2))</b></li>" }.joined(separator: "\n"))
            </ul>
            </section>
            """
    }

    private func card(_ title: String, _ value: String, _ text: String) -> String {
        "<div class=\"card\"><h2>\(title)</h2><p class=\"value\">\(value)</p><p class=\"quiet\">\(text)</p></div>"
    }

    // MARK: Types

    private var types: String {
        let total = report.bytes
        let ring = findings.groups.map { ($0.group.rawValue, $0.bytes) }
        let legend = findings.groups.map { group in
            "<li><i class=\"\(group.group.rawValue)\"></i>\(Self.title(group.group)) "
                + "<b>\(Formatting.size(group.bytes))</b> <span class=\"quiet\">"
                + "\(Formatting.count(group.files, "file", "files"))</span></li>"
        }
        let largest = max(report.types.first?.bytes ?? 1, 1)
        let rows = report.types.map { row in
            [
                "<i class=\"\(row.type.group.rawValue)\"></i>\(Self.capitalised(row.type.name))",
                Formatting.count(row.files),
                Formatting.size(row.bytes) + bar(row.type.group.rawValue, row.bytes, of: largest),
                Formatting.percent(row.bytes, of: total), Formatting.size(row.duplicateBytes),
                Formatting.size(row.storedBytes),
            ]
        }
        return """
            <section>
            <h2>What takes the space</h2>
            <div class="ring">
            \(Self.ring(ring, of: total))
            <ul class="legend">
            \(legend.joined(separator: "\n"))
            </ul>
            </div>
            \(table(["Type", "Files", "Size", "Share", "Duplicates", "Stored"], rows, main: 2))
            <p class="quiet">Types are recognised by content, not by name. Stored: without duplicates, after compression.</p>
            </section>
            """
    }

    // MARK: Duplicates

    private var duplicates: String {
        guard report.duplicateFiles > 0 else {
            return "<section>\n<h2>Duplicates</h2>\n<p>No duplicates.</p>\n</section>"
        }
        let about = BenchmarkFindings.about(report.areDuplicatesEstimated)
        let files = Formatting.count(report.duplicateFiles, "file is a duplicate", "files are duplicates")
        let first = report.duplicates.prefix(Self.groupsShown).map(list)
        let rest = report.duplicates.dropFirst(Self.groupsShown).map(list)
        let more =
            rest.isEmpty
            ? ""
            : "<details>\n<summary>\(rest.count) more</summary>\n<ol class=\"groups\" start=\"\(first.count + 1)\">\n"
                + rest.joined(separator: "\n") + "\n</ol>\n</details>"
        let named = first.isEmpty ? "" : " The largest ones:"
        return """
            <section>
            <h2>Duplicates</h2>
            <p>\(about)\(files), \(Formatting.size(report.duplicateBytes)) in all. \
            A repository stores each content once, so you need not delete duplicates first.\(named)</p>
            <ol class="groups">
            \(first.joined(separator: "\n"))
            </ol>
            \(more)
            </section>
            """
    }

    /// This many groups of equal files are visible at first; the others are folded away.
    private static let groupsShown = 5

    private func list(_ group: DuplicateGroup) -> String {
        let paths = group.paths.map { "<li><code>\(Self.name(shortened($0.absolute)))</code></li>" }
        let more = group.files > UInt64(group.paths.count) ? ["<li>and others</li>"] : []
        return """
            <li><p><b>\(Formatting.size(group.wastedBytes))</b> <span class="quiet">\(Formatting.count(group.files)) \
            times \(Formatting.size(group.fileBytes))</span></p>
            <ul>\((paths + more).joined())</ul></li>
            """
    }

    /// Returns a path relative to the folder that was read, if there is only one.
    private func shortened(_ path: [UInt8]) -> [UInt8] {
        guard findings.roots.count == 1, let root = findings.roots.first, path.count > root.count + 1,
            PathOrder.isAtOrBeneath(path, root)
        else { return path }
        return Array(path.dropFirst(root.count + 1))
    }

    // MARK: Chunks

    private var schemes: String {
        """
        <section>
        <h2>Other chunk sizes</h2>
        <p>Files are split into content-defined chunks, and each chunk is stored once. Smaller chunks find more duplicates, but \
        there are more of them, and each needs a header and an index entry.</p>
        \(schemeTable(report.schemes, of: report.schemes.first?.bytes ?? 0))
        <p class="quiet">Compression was measured in the first line. The other lines are estimated from the compression of each type \
        of file. FastCDC is the method of other programs.</p>
        </section>
        """
    }

    private func schemeTable(_ rows: [LibraryReport.SchemeRow], of bytes: UInt64) -> String {
        let largest = max(rows.map(\.totalBytes).max() ?? 1, 1)
        return table(
            ["Chunks", "Would take", "More", "Share", "Average", "Unique", "Per core"],
            rows.enumerated().map { number, row in
                [
                    Self.capitalised(row.scheme.title),
                    BenchmarkFindings.about(row.isEstimate) + Formatting.size(row.totalBytes)
                        + bar(row.scheme == .standard ? "stored" : "other", row.totalBytes, of: largest),
                    number > 0 ? BenchmarkFindings.difference(row.totalBytes, rows[0].totalBytes) : "",
                    Formatting.percent(row.totalBytes, of: bytes), Formatting.size(row.averageChunkBytes),
                    Formatting.count(row.differentChunks), row.speed,
                ]
            }, main: 1)
    }

    private func since(_ changes: LibraryReport.Changes, _ baseline: CommitRecord) -> String {
        let changed = Formatting.count(changes.changedFiles, "file has", "files have")
        let rows =
            changes.changedFiles > 0
            ? "<p>What a backup of the changed files would store:</p>\n"
                + schemeTable(changes.rows, of: changes.changedBytes) : ""
        return """
            <section>
            <h2>Since snapshot \(baseline.id.short)</h2>
            <p>\(changed) changed, \(Formatting.size(changes.changedBytes)). New files: \
            \(Formatting.count(changes.newFiles)), \(Formatting.size(changes.newBytes)).</p>
            \(rows)
            </section>
            """
    }

    // MARK: How it was found

    private var stages: String {
        let rows = report.stages.map { [Self.capitalised($0.name.title), BenchmarkFindings.speed($0)] }
        let seconds = Formatting.duration(seconds: Double(report.nanoseconds) / 1e9)
        return """
            <section>
            <h2>How fast it went</h2>
            <p>\(Formatting.size(report.readBytes)) were read once and split in \(report.schemes.count) ways in \
            \(seconds). A backup splits in one way, on several cores at a time.</p>
            \(table(["Stage", "On one core"], rows, main: 1))
            </section>
            """
    }

    private var notes: String {
        let standard = report.schemes.first
        var rows = [
            ["Content", Formatting.size(standard?.storedBytes ?? 0)],
            ["Its index and headers", Formatting.size(standard?.overheadBytes ?? 0)],
            ["Lists of files", Formatting.size(report.metadataBytes)],
            ["Folders", Formatting.count(report.folders)],
            ["Links and special files", Formatting.count(report.others)],
            ["Further names of files (hard links)", Formatting.count(report.furtherNames)],
        ]
        if report.excludedItems > 0 { rows.append(["Left out", Formatting.count(report.excludedItems)]) }
        return """
            <section>
            <h2>The repository in detail</h2>
            \(table(["", ""], rows, main: 1))
            <p class="quiet">Made by \(programName). Nothing was stored, and nothing was sent anywhere.</p>
            </section>
            """
    }

    // MARK: Pieces

    /// Makes a table of cells that are HTML. The first column is text, the others are numbers. A phone shows each row
    /// as a block. The block begins with the first cell and the cell of the `main` column in large letters, and the
    /// other cells follow.
    private func table(_ header: [String], _ rows: [[String]], main: Int) -> String {
        let head =
            header.contains { !$0.isEmpty }
            ? "<thead><tr>\(header.map { "<th>\($0)</th>" }.joined())</tr></thead>\n" : ""
        let body = rows.map { row in
            let cells = row.enumerated().map { column, cell in
                "<td\(column == main ? " class=\"main\"" : "") data-name=\"\(header[column])\">\(cell)</td>"
            }
            return "<tr>\(cells.joined())</tr>"
        }
        return "<table>\n\(head)<tbody>\n\(body.joined(separator: "\n"))\n</tbody>\n</table>"
    }

    private func bar(_ kind: String, _ value: UInt64, of whole: UInt64) -> String {
        "<svg class=\"bar\" aria-hidden=\"true\"><rect class=\"\(kind)\" width=\"\(Self.share(value, whole))%\" "
            + "height=\"100%\" rx=\"2\"/></svg>"
    }

    private func stackedBar(_ parts: [(kind: String, bytes: UInt64)], of whole: UInt64) -> String {
        var start = 0.0
        let rects = parts.map { part in
            let share = Double(part.bytes) / Double(whole) * 100
            defer { start += share }
            return "<rect class=\"\(part.kind)\" x=\"\(Formatting.decimal(start, digits: 2))%\" "
                + "width=\"\(Formatting.decimal(share, digits: 2))%\" height=\"100%\"/>"
        }
        return "<svg class=\"stack\" role=\"img\" aria-label=\"How the size divides\">\(rects.joined())</svg>"
    }

    /// Draws a ring whose arcs are parts of a whole. Its circumference is 100.
    private static func ring(_ parts: [(kind: String, bytes: UInt64)], of whole: UInt64) -> String {
        var start = 0.0
        let arcs = parts.map { part in
            let share = Double(part.bytes) / Double(max(whole, 1)) * 100
            defer { start += share }
            return
                "<circle class=\"\(part.kind)\" cx=\"21\" cy=\"21\" r=\"15.9155\" fill=\"none\" stroke-width=\"7\" "
                + "stroke-dasharray=\"\(Formatting.decimal(share, digits: 2)) 100\" "
                + "stroke-dashoffset=\"\(Formatting.decimal(-start, digits: 2))\"/>"
        }
        return
            "<svg class=\"donut\" viewBox=\"0 0 42 42\" role=\"img\" aria-label=\"Shares of kinds of files\">"
            + arcs.joined() + "</svg>"
    }

    private static func share(_ part: UInt64, _ whole: UInt64) -> String {
        Formatting.decimal(min(100, Double(part) / Double(max(whole, 1)) * 100), digits: 2)
    }

    private static func title(_ group: ContentType.Group) -> String {
        group == .others ? "Other files" : capitalised(group.rawValue)
    }

    private static func capitalised(_ text: String) -> String {
        text.prefix(1).uppercased() + text.dropFirst()
    }

    /// Returns a path that is safe to show, whatever bytes it has.
    private static func name(_ path: [UInt8]) -> String { escaped(Formatting.name(path)) }

    /// Escapes text, so that it is neither markup nor the end of an attribute.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
