// BenchmarkOutput: prints what a benchmark does while it runs, and its findings, for people and as JSON.

import BakAnalysis
import BakChunking
import BakEngine

/// Prints a benchmark's events and findings. Called from the benchmark's threads.
final class BenchmarkOutput: Reporter, @unchecked Sendable {
    /// The files and bytes that there are to read.
    let totals = SourceTotals()

    /// Without -v, at most this many groups of equal files are named.
    private static let duplicatesShown = 5

    // MARK: While it runs

    @Sendable func note(_ event: LibraryEvent) {
        switch event {
        case .failed(let path, let reason):
            complain(
                "skipped \(Formatting.name(path.absolute)): \(reason)", reason: reason, during: "reading",
                item: path.absolute)
        case .ignoreFile(let text): remark(text)
        case .excluded(let path, let reason):
            guard invocation.verbosity >= 1 else { return }
            remark("\(Formatting.name(path.absolute)): left out: \(reason)")
        }
    }

    func show(_ state: LibraryProgress) {
        reporter.update {
            totals.progress { progress in
                progress.files = state.files
                progress.bytes = state.bytes
                progress.newBytes = state.differentBytes
                progress.errors = state.failedItems
                progress.currentFiles = state.currentPath.isEmpty ? [] : [state.currentPath.absolute]
            }
        }
    }

    // MARK: At its end

    func show(_ findings: BenchmarkFindings) throws {
        if invocation.has(.json) { return try context.tell(.benchmark) { $0.members(of: findings) } }
        let report = findings.report
        if report.wasInterrupted { try context.print("interrupted. These are the results so far") }
        try printHeadline(findings)
        guard report.files > 0 else { return }
        try printTypes(report)
        try printDuplicates(report)
        try printSchemes(report)
        try printChanges(findings)
        try printStages(report)
    }

    private func print(_ table: TextTable, _ title: String? = nil) throws {
        try context.print("")
        if let title { try context.print(title) }
        try context.print(table)
    }

    private func printHeadline(_ findings: BenchmarkFindings) throws {
        let report = findings.report
        let files = Formatting.count(report.files, "file", "files")
        let folders = Formatting.count(report.folders, "folder", "folders")
        try context.print("\(files) in \(folders), \(Formatting.size(report.bytes))")
        guard let standard = report.schemes.first else { return }
        var table = TextTable([.left, .right, .right])
        func row(_ name: String, _ bytes: UInt64) {
            table.append([name, Formatting.size(bytes), Formatting.percent(bytes, of: report.bytes)])
        }
        row("a repository would take", report.repositoryBytes)
        row("  content", standard.storedBytes)
        row("  its index and headers", standard.overheadBytes)
        row("  lists of files", report.metadataBytes)
        row("saved by storing duplicates once", findings.savedByDuplicates)
        row("saved by compression", findings.savedByCompression)
        try print(table)
        if standard.isEstimate {
            try context.print("duplicates are estimated from a part of the chunks")
        }
        if report.failedItems > 0 {
            let items = Formatting.count(report.failedItems, "item", "items")
            try context.print("\(items) could not be read; not counted")
        }
        if report.excludedItems > 0 {
            let items = Formatting.count(report.excludedItems, "item", "items")
            try context.print("\(items) left out")
        }
    }

    private func printTypes(_ report: LibraryReport) throws {
        var table = TextTable(
            [.left, .right, .right, .right, .right, .right],
            header: ["Type", "Files", "Size", "Share", "Duplicates", "Stored"])
        for row in report.types {
            table.append([
                row.type.name, Formatting.count(row.files), Formatting.size(row.bytes),
                Formatting.percent(row.bytes, of: report.bytes), Formatting.size(row.duplicateBytes),
                Formatting.size(row.storedBytes),
            ])
        }
        try print(table)
    }

    private func printDuplicates(_ report: LibraryReport) throws {
        try context.print("")
        guard report.duplicateFiles > 0 else { return try context.print("no duplicates") }
        let about = BenchmarkFindings.about(report.areDuplicatesEstimated)
        let files = Formatting.count(report.duplicateFiles, "file is a duplicate", "files are duplicates")
        try context.print("\(about)\(files), \(Formatting.size(report.duplicateBytes))")
        let shown =
            invocation.verbosity >= 1
            ? report.duplicates[...] : report.duplicates.prefix(Self.duplicatesShown)
        for group in shown {
            try context.print("  \(Formatting.count(group.files)) times \(Formatting.size(group.fileBytes))")
            for path in group.paths { try context.print("    \(Formatting.name(path.absolute))") }
            if group.files > UInt64(group.paths.count) { try context.print("    and others") }
        }
    }

    private func schemeTable(_ rows: [LibraryReport.SchemeRow], of bytes: UInt64) -> TextTable {
        var table = TextTable(
            [.left, .right, .right, .right, .right, .right, .right],
            header: ["Chunks", "Average", "Number", "Would take", "More", "Share", "Per core"])
        for row in rows {
            table.append([
                row.scheme.title, Formatting.size(row.averageChunkBytes),
                Formatting.count(row.differentChunks), Formatting.size(row.totalBytes),
                row.scheme == .standard
                    ? "" : BenchmarkFindings.difference(row.totalBytes, rows[0].totalBytes),
                Formatting.percent(row.totalBytes, of: bytes), row.speed,
            ])
        }
        return table
    }

    private func printSchemes(_ report: LibraryReport) throws {
        try print(schemeTable(report.schemes, of: report.schemes.first?.bytes ?? 0))
        try context.print(
            "Would take: size after compression, with index and headers; measured in the first line,")
        try context.print("estimated in the others from the compression of each type of file")
    }

    private func printChanges(_ findings: BenchmarkFindings) throws {
        guard let changes = findings.report.changes, let baseline = findings.baseline else { return }
        let changed = Formatting.count(changes.changedFiles, "file has", "files have")
        try context.print("")
        try context.print(
            "since snapshot \(baseline.id.short): \(changed) changed, \(Formatting.size(changes.changedBytes)); "
                + "new files: \(Formatting.count(changes.newFiles)), \(Formatting.size(changes.newBytes))"
        )
        if changes.unreadableFiles > 0 {
            let files = Formatting.count(changes.unreadableFiles, "file", "files")
            try context.print("the snapshot's content of \(files) could not be read")
        }
        guard changes.changedFiles > 0 else { return }
        try print(
            schemeTable(changes.rows, of: changes.changedBytes),
            "what a backup of the changed files would store:")
    }

    private func printStages(_ report: LibraryReport) throws {
        var table = TextTable([.left, .right], header: ["Stage", "On one core"])
        for stage in report.stages { table.append([stage.name.title, BenchmarkFindings.speed(stage)]) }
        try print(table)
        let seconds = Formatting.duration(seconds: Double(report.nanoseconds) / 1e9)
        try context.print("read and split in \(report.schemes.count) ways in \(seconds)")
    }
}

extension JSONWriter {
    fileprivate mutating func members(of findings: BenchmarkFindings) {
        let report = findings.report
        member("paths", bytes: findings.roots)
        member("was_interrupted", report.wasInterrupted)
        member("total_file_count", report.files)
        member("total_folder_count", report.folders)
        member("total_other_count", report.others)
        member("further_name_count", report.furtherNames)
        member("total_bytes", report.bytes)
        member("bytes_read", report.readBytes)
        member("excluded_count", report.excludedItems)
        member("error_count", report.failedItems)
        member("seconds", Double(report.nanoseconds) / 1e9)
        object("repository") { json in
            json.member("total_size", report.repositoryBytes)
            json.member("content_size", report.schemes.first?.storedBytes ?? 0)
            json.member("index_and_header_size", report.schemes.first?.overheadBytes ?? 0)
            json.member("manifest_size", report.metadataBytes)
        }
        array("types") { array in
            for row in report.types { array.elementObject { $0.members(of: row) } }
        }
        object("duplicates") { json in
            json.member("file_count", report.duplicateFiles)
            json.member("bytes", report.duplicateBytes)
            json.member("is_estimate", report.areDuplicatesEstimated)
            json.array("largest") { array in
                for group in report.duplicates {
                    array.elementObject { json in
                        json.member("file_count", group.files)
                        json.member("file_bytes", group.fileBytes)
                        json.member("paths", bytes: group.paths.map(\.absolute))
                    }
                }
            }
        }
        array("chunkings") { array in
            for row in report.schemes { array.elementObject { $0.members(of: row) } }
        }
        if let changes = report.changes, let baseline = findings.baseline {
            object("since") { json in
                json.member("snapshot_id", baseline.id.description)
                json.member("changed_file_count", changes.changedFiles)
                json.member("changed_bytes", changes.changedBytes)
                json.member("new_file_count", changes.newFiles)
                json.member("new_bytes", changes.newBytes)
                json.member("unreadable_file_count", changes.unreadableFiles)
                json.array("chunkings") { array in
                    for row in changes.rows { array.elementObject { $0.members(of: row) } }
                }
            }
        }
        array("stages") { array in
            for stage in report.stages {
                array.elementObject { json in
                    json.member("name", stage.name.rawValue)
                    json.member(stage.name == .walk ? "entries" : "bytes", stage.amount)
                    json.member("seconds", Double(stage.nanoseconds) / 1e9)
                }
            }
        }
    }

    private mutating func members(of row: LibraryReport.TypeRow) {
        member("type", row.type.name)
        member("group", row.type.group.rawValue)
        member("file_count", row.files)
        member("bytes", row.bytes)
        member("duplicate_file_count", row.duplicateFiles)
        member("duplicate_bytes", row.duplicateBytes)
        member("different_bytes", row.differentBytes)
        member("stored_bytes", row.storedBytes)
    }

    private mutating func members(of row: LibraryReport.SchemeRow) {
        member("name", row.scheme.json.name)
        if let bytes = row.scheme.json.bytes { member("chunk_size", bytes) }
        member("chunk_count", row.chunks)
        member("different_chunk_count", row.differentChunks)
        member("average_chunk_size", row.averageChunkBytes)
        member("bytes", row.bytes)
        member("different_bytes", row.differentBytes)
        member("stored_bytes", row.storedBytes)
        member("index_and_header_bytes", row.overheadBytes)
        member("is_compression_measured", row.isCompressionMeasured)
        member("is_estimate", row.isEstimate)
        member("cut_seconds", Double(row.cutNanoseconds) / 1e9)
    }
}
