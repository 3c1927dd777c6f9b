// MetadataEdit: measures how much a repository grows when users edit the metadata of photos and films, compared with
// the size of the edited files. Every program stores the same files before and after the same edits, which the usual
// tools make. Only sizes are measured, so load on the machine does not matter.

import Glibc

/// An edit, and the files to which it applies.
struct MetadataEdit: Sendable {
    var name: String
    /// The file name extensions.
    var endings: [String]
    /// The size of the smallest file that is edited, in bytes.
    var leastBytes = 0
    /// The script that prepares the files, which runs in their folder; nil if they need no preparation.
    var preparation: String?
    /// The script that makes the edit, run in the files' folder.
    var script: String
    /// The tool that the script calls.
    var tool: String
    /// The largest growth allowed, in per cent of the edited bytes; nil if there is no goal.
    var goal: Double?
}

extension MetadataEdit {
    private static let tag = """
        exiftool -m -q -q -overwrite_original -rating=4 -Orientation#=6 -GPSLatitude=48.2 -GPSLatitudeRef=N \
        -GPSLongitude=16.3 -GPSLongitudeRef=E -keywords=holiday -subject=holiday -ImageDescription='At the lake' . || :
        """
    private static let tagAgain = """
        exiftool -m -q -q -overwrite_original -rating=5 -subject='other words' . || :
        """

    /// Returns a script that replaces each file with a command's output. The command reads the file `$in` and writes
    /// the file `$out`.
    private static func each(_ command: String) -> String {
        """
        for in in *; do out=../out.${in##*.}
            if \(command) 2>/dev/null && [ -s "$out" ]; then mv -- "$out" "$in"; else rm -f -- "$out"; fi
        done
        """
    }
    private static let ffmpeg = #"ffmpeg -v error -nostdin -y -i "$in" -map 0 -c copy"#
    /// Remuxes twice, because ffmpeg keeps the order of the samples only the second time.
    private static let muxed = each(ffmpeg + #" "$out""#) + "\n" + each(ffmpeg + #" "$out""#)
    private static let faststart = each(ffmpeg + #" -movflags +faststart "$out""#)

    /// All edits, in the order of the table.
    static let all: [MetadataEdit] = {
        let photos = ["jpg", "jpeg"]
        let films = ["mp4", "mov"]
        let large = 500_000
        return [
            MetadataEdit(
                name: "JPEG of 500 KB or more, tagged", endings: photos, leastBytes: large, script: tag,
                tool: "exiftool", goal: 1),
            MetadataEdit(
                name: "the same, tagged again", endings: photos, leastBytes: large, preparation: tag,
                script: tagAgain, tool: "exiftool", goal: 1),
            MetadataEdit(name: "all JPEG, tagged", endings: photos, script: tag, tool: "exiftool"),
            MetadataEdit(
                name: "all JPEG, tagged again", endings: photos, preparation: tag, script: tagAgain,
                tool: "exiftool", goal: 1),
            MetadataEdit(
                name: "HEIC, tagged", endings: ["heic", "heif"], script: tag, tool: "exiftool", goal: 3),
            MetadataEdit(
                name: "PNG, WebP, AVIF, tagged", endings: ["png", "webp", "avif"], script: tag,
                tool: "exiftool"),
            MetadataEdit(name: "TIFF, tagged", endings: ["tif", "tiff"], script: tag, tool: "exiftool"),
            MetadataEdit(
                name: "MP4, MOV, tagged", endings: films, script: tag, tool: "exiftool", goal: 1),
            MetadataEdit(
                name: "MP4, MOV of ffmpeg, index moved to the front", endings: films,
                preparation: muxed, script: faststart, tool: "ffmpeg", goal: 1),
            MetadataEdit(
                name: "MP4, MOV of cameras, remuxed", endings: films, script: faststart, tool: "ffmpeg"),
            MetadataEdit(
                name: "JPEG, rotated without loss (all of it changes)", endings: photos,
                script: each(#"jpegtran -copy all -rotate 90 -outfile "$out" "$in""#), tool: "jpegtran"),
        ]
    }()
}

/// The cost of one edit.
struct MetadataEditRow {
    var edit: MetadataEdit
    var fileCount: Int
    /// The size of all edited files.
    var editedBytes: Int
    /// The growth of each program's repository.
    var growth: [(contender: String, bytes: Int)]

    func percent(_ contender: String) -> Double? {
        growth.first { $0.contender == contender }.map { Double($0.bytes) / Double(editedBytes) * 100 }
    }

    static func table(_ rows: [MetadataEditRow], _ contenders: [Contender]) -> MarkdownTable {
        var table = MarkdownTable(
            ["edit", "files", "MB", "goal %"] + contenders.flatMap { ["\($0.name), KB stored", "%"] })
        for row in rows {
            let goal = row.edit.goal.map { "< \(fixed($0, 0))" } ?? ""
            let figures = contenders.flatMap { contender in
                let bytes = row.growth.first { $0.contender == contender.name }?.bytes ?? 0
                return [
                    fixed(Double(bytes) / 1e3, 0), row.percent(contender.name).map { fixed($0, 2) } ?? "",
                ]
            }
            table.append(
                [row.edit.name, "\(row.fileCount)", fixed(Double(row.editedBytes) / 1e6, 1), goal] + figures)
        }
        return table
    }

    var json: JSONValue {
        [
            "edit": .string(edit.name), "files": .integer(fileCount), "edited_bytes": .integer(editedBytes),
            "goal_percent": edit.goal.map(JSONValue.number) ?? .null,
            "stored_bytes": .object(growth.map { ($0.contender, .integer($0.bytes)) }),
        ]
    }
}

/// Makes edits to copies of a folder's files and measures the cost.
struct MetadataEditBenchmark {
    /// The folder with the files, which are only read.
    let corpus: String
    let bakstore: String
    let contenders: [Contender]
    /// The scratch folder. The run makes it and leaves it behind.
    let folder: String

    private var log: String { folder + "/log" }

    /// Measures the edits. An edit whose tool or files are missing is reported and left out.
    func run(_ edits: [MetadataEdit]) throws -> [MetadataEditRow] {
        try Files.makeFolder(folder)
        let paths = Files.paths(beneath: corpus).sorted()
        return try edits.enumerated().compactMap { number, edit in
            try measure(edit, paths, folder: "\(folder)/\(number)")
        }
    }

    private func measure(_ edit: MetadataEdit, _ paths: [String], folder: String) throws -> MetadataEditRow? {
        let source = folder + "/files"
        try Files.makeFolder(source)
        var names: [String] = []
        for path in paths {
            let ending = path.split(separator: ".").last?.lowercased() ?? ""
            guard edit.endings.contains(ending), let bytes = Files.contents(path),
                bytes.count >= edit.leastBytes
            else { continue }
            names.append("\(source)/\(names.count).\(ending)")
            try Files.write(names.last!, bytes)
        }
        guard !names.isEmpty, Command("sh", "-c", "command -v \(edit.tool)").firstLine(log: log) != nil else {
            Benchmark.complain("left out: \(edit.name): no \(names.isEmpty ? "such files" : edit.tool)")
            return nil
        }
        if let preparation = edit.preparation { try shell(preparation, in: source) }
        let before = names.map { Files.contents($0) ?? [] }
        let sizes = try backUp(source, folder, .firstBackup)
        try shell(edit.script, in: source)
        var row = MetadataEditRow(edit: edit, fileCount: 0, editedBytes: 0, growth: [])
        for (name, old) in zip(names, before) {
            guard let new = Files.contents(name), new != old else { continue }
            row.fileCount += 1
            row.editedBytes += new.count
        }
        guard row.fileCount > 0 else {
            Benchmark.complain("left out: \(edit.name): \(edit.tool) changed nothing")
            return nil
        }
        let grown = try backUp(source, folder, .week)
        row.growth = zip(contenders, zip(sizes, grown)).map { ($0.name, $1.1 - $1.0) }
        try compareRestored(source, folder)
        return row
    }

    private func shell(_ script: String, in folder: String) throws {
        _ = try Command("sh", "-c", script, folder: folder).run(log: log)
    }

    /// Backs up the files with every program. Returns the sizes of the repositories.
    private func backUp(_ source: String, _ folder: String, _ operation: Operation) throws -> [Int] {
        try contenders.map { contender in
            let place = Place(source: source, folder: "\(folder)/\(contender.name)")
            try Files.makeFolder(place.folder)
            for step in contender.steps(operation, place) ?? [] { _ = try step.command.run(log: log) }
            return Files.totalBytes(beneath: place.repository)
        }
    }

    /// Checks that bakstore restores the files of the later snapshot. The files of the earlier one no longer exist, so
    /// it cannot be compared.
    private func compareRestored(_ source: String, _ folder: String) throws {
        let place = Place(source: source, folder: folder + "/bakstore")
        let variables = ["BAKSTORE_CACHE_DIR": place.cache]
        _ = try Command(
            bakstore, "restore", "latest:\(source)", "--target", place.target, "--repo", place.repository,
            "--quiet", variables: variables
        ).run(log: log)
        _ = try Command("diff", "-r", source, place.target).run(log: log, keepsOutput: true)
    }
}

extension Subcommand {
    static let metadataEdit = Subcommand(
        name: "metadata-edit",
        arguments: "--bakstore PROGRAM --scratch FOLDER --corpus FOLDER [--no-peers] [--json FILE]",
        explanation: [
            "what a repository grows by when metadata are edited; calls exiftool, ffmpeg and jpegtran",
            "--bakstore PROGRAM  the release build of bakstore",
            "--scratch FOLDER    where copies and repositories are made; some eight times the corpus",
            "--corpus FOLDER     photos and films; they are only read",
            "--no-peers          without restic and borg",
            "--json FILE         also as JSON",
        ]
    ) { arguments in
        func required(_ name: String) throws -> String {
            guard let value = try arguments.value(name) else {
                throw UsageError(message: "\(name) is missing")
            }
            return value
        }
        let comparesPeers = !arguments.flag("--no-peers")
        let json = try arguments.value("--json")
        let program = try required("--bakstore")
        let scratch = try required("--scratch") + "/bakstore-metadata-edit"
        let corpus = try required("--corpus")
        try arguments.expectEnd()
        let bakstore = try Files.realPath(program)
        try Files.makeFolder(scratch)
        let root = try Files.realPath(scratch)
        let log = root + "/log"
        guard let ours = Contender.bakstore(bakstore, log: log) else {
            throw UsageError(message: "'\(bakstore)' is no bakstore")
        }
        let peers = comparesPeers ? [Contender.restic(log: log), .borg(log: log)].compactMap { $0 } : []
        let contenders = [ours] + peers
        let rows = try MetadataEditBenchmark(
            corpus: corpus, bakstore: bakstore, contenders: contenders, folder: root
        ).run(MetadataEdit.all)
        print(contenders.map { "\($0.name): \($0.version)" }.joined(separator: "; ") + "\n")
        print(MetadataEditRow.table(rows, contenders).text)
        if let json {
            let text = JSONValue.array(rows.map(\.json)).text() + "\n"
            try Files.write(json, Array(text.utf8))
        }
        _ = try Command("rm", "-rf", root).run(log: "/dev/null")
    }
}
