// PruneBenchmark: measures the cost of removing half of a repository's snapshots and freeing their space, compared with
// restic, and how it grows with the number of snapshots.
//
// A history is made once, from a library of small files. In the first half of the snapshots, a tenth of the files are
// edited. So only the first half of the snapshots needs the earlier content of these files. Every round works on a copy
// of the history. The copy is always at the same path, so that the program's cache is valid for it.

import Glibc

/// A history of snapshots.
struct PruneHistory: Sendable {
    var files: Int
    var snapshots: Int
    /// True if peers take part.
    var hasPeers: Bool

    var name: String { "\(files) files, \(snapshots) snapshots" }
    /// Before each snapshot but the first, one in this many files is edited. These are other files each time.
    var editPeriod: Int { 5 * snapshots }
}

/// The measurements of one program.
struct PruneRow {
    var history: PruneHistory
    var program: String
    /// The prune, and a second one with nothing to do.
    var prune = Measurement()
    var again = Measurement()
    /// The repository's size before and after the prune, and the bytes that the prune wrote.
    var bytesBefore = 0
    var bytesAfter = 0
    var bytesWritten = 0

    static func table(_ rows: [PruneRow]) -> MarkdownTable {
        var table = MarkdownTable([
            "history", "program", "prune, s", "of restic's", "peak, MB", "rewritten, MB", "repository, MB",
            "afterwards, MB", "prune again, s", "peak, MB",
        ])
        for row in rows {
            let restic = rows.first {
                $0.program == "restic" && $0.history.snapshots == row.history.snapshots
            }
            let ratio = restic.map { row.prune.seconds.median / $0.prune.seconds.median }
            func megabytes(_ bytes: Int) -> String { fixed(Double(bytes) / 1e6, 1) }
            table.append([
                row.history.name, row.program, row.prune.seconds.text(2), ratio.map { fixed($0, 3) } ?? "",
                fixed(Double(row.prune.peakBytes) / 1e6, 0), megabytes(row.bytesWritten),
                megabytes(row.bytesBefore), megabytes(row.bytesAfter), row.again.seconds.text(2),
                fixed(Double(row.again.peakBytes) / 1e6, 0),
            ])
        }
        return table
    }

    var json: JSONValue {
        [
            "files": .integer(history.files), "snapshots": .integer(history.snapshots),
            "program": .string(program), "seconds": prune.seconds.json,
            "peak_bytes": .integer(prune.peakBytes), "again_seconds": again.seconds.json,
            "again_peak_bytes": .integer(again.peakBytes), "bytes_before": .integer(bytesBefore),
            "bytes_after": .integer(bytesAfter), "bytes_written": .integer(bytesWritten),
        ]
    }
}

/// Measures prunes.
struct PruneBenchmark {
    let contenders: [Contender]
    let rounds: Int
    /// The scratch folder. The run makes it if it is missing, and reuses histories in it.
    let folder: String
    let bakstore: String
    let generator: String

    private var log: String { folder + "/log" }
    private var listing: String { folder + "/listing" }

    func run(_ histories: [PruneHistory]) throws -> [PruneRow] {
        try Files.makeFolder(folder)
        var rows: [PruneRow] = []
        for history in histories {
            let present = contenders.filter { history.hasPeers || !$0.isPeer }
            try make(history, present)
            var measured = present.map { PruneRow(history: history, program: $0.name) }
            for round in 0...rounds {
                for turn in present.indices {
                    let index = (turn + round) % present.count
                    try measure(&measured[index], present[index], history, round)
                }
            }
            rows += measured
        }
        return rows
    }

    // MARK: Histories

    private func place(_ history: PruneHistory, _ contender: Contender) -> Place {
        let home = "\(folder)/\(history.snapshots)"
        return Place(source: home + "/library", folder: "\(home)/\(contender.name)")
    }

    /// Returns the folder in which a history is kept. No program works in it.
    private func kept(_ history: PruneHistory, _ contender: Contender) -> String {
        place(history, contender).folder + ".history"
    }

    private func make(_ history: PruneHistory, _ contenders: [Contender]) throws {
        let missing = contenders.filter { !Files.exists(kept(history, $0)) }
        if missing.isEmpty { return }
        Benchmark.complain("making \(history.name) for \(missing.map(\.name).joined(separator: ", "))")
        let source = place(history, missing[0]).source
        try shell("rm -rf \(source)")
        let library = LibraryDescription(
            kind: .small, fileCount: history.files, byteCount: history.files * 4000, seed: 6)
        var command = Command(generator)
        command.words += library.words(folder: source)
        _ = try command.run(log: log)
        try shell("find \(source) -type f | LC_ALL=C sort >\(listing)")
        for contender in missing {
            try shell("rm -rf \(place(history, contender).folder)")
            try Files.makeFolder(place(history, contender).folder)
        }
        for number in 0..<history.snapshots {
            if number > 0 {
                let chosen = "awk 'NR % \(history.editPeriod) == \(number % history.editPeriod)' \(listing)"
                try shell("\(chosen) | while read -r file; do echo \(number) >>\"$file\"; done")
            }
            for contender in missing {
                var place = place(history, contender)
                place.serial = number
                for step in contender.steps(number == 0 ? .firstBackup : .unchanged, place) ?? [] {
                    _ = try step.command.run(log: log)
                }
            }
        }
        for contender in missing {
            try Files.rename(place(history, contender).folder, to: kept(history, contender))
        }
    }

    private func shell(_ script: String) throws { _ = try Command("sh", "-c", script).run(log: log) }

    // MARK: Rounds

    private func measure(
        _ row: inout PruneRow, _ contender: Contender, _ history: PruneHistory, _ round: Int
    ) throws {
        let place = place(history, contender)
        try shell(
            "rm -rf \(place.folder) && cp -a \(kept(history, contender)) \(place.folder) && sync -f \(place.folder)"
        )
        let command = try Self.prune(
            contender.name, bakstore: bakstore, place, keeping: history.snapshots / 2)
        let before = Files.totalBytes(beneath: place.repository)
        let objects = "find \(place.repository) -type f -printf '%p %s\\n' | LC_ALL=C sort"
        try shell("\(objects) >\(listing).before")
        let cost = try command.run(log: log)
        try shell("\(objects) >\(listing).after")
        let again = try command.run(log: log)
        row.bytesBefore = before
        row.bytesAfter = Files.totalBytes(beneath: place.repository)
        row.bytesWritten = try sum("comm -13 \(listing).before \(listing).after")
        guard round > 0 else { return }
        row.prune.costs[round] = cost
        row.again.costs[round] = again
    }

    /// Returns the sum of the last words of the lines that a script prints.
    private func sum(_ script: String) throws -> Int {
        let add = "awk '{ sum += $NF } END { printf \"%d\\n\", sum }'"
        guard let line = Command("sh", "-c", "\(script) | \(add)").firstLine(log: log), let sum = Int(line)
        else { throw UsageError(message: "cannot add up what was written") }
        return sum
    }

    /// Returns the command that removes all but the last `count` snapshots and frees their space.
    private static func prune(
        _ name: String, bakstore: String, _ place: Place, keeping count: Int
    ) throws -> Command {
        var command: Command
        switch name {
        case "bakstore":
            command = Command(
                bakstore, "prune", "--keep-last", "\(count)", "--repo", place.repository, "--quiet")
            command.variables = ["BAKSTORE_CACHE_DIR": place.cache]
        case "restic":
            command = Command("restic", "--quiet", "forget", "--keep-last", "\(count)", "--prune")
            command.variables = [
                "RESTIC_REPOSITORY": place.repository, "RESTIC_PASSWORD": "benchmark",
                "RESTIC_CACHE_DIR": place.cache,
            ]
        default: throw UsageError(message: "\(name) is not asked to prune")
        }
        return command
    }
}

extension Subcommand {
    static let prune = Subcommand(
        name: "prune",
        arguments:
            "--bakstore PROGRAM --scratch FOLDER [--files N] [--snapshots N] [--no-peers] [--json FILE]",
        explanation: [
            "dropping half of the snapshots and giving their space back, beside restic; and with 4 times the snapshots",
            "--files N      small files (100000)",
            "--snapshots N  snapshots at 1x (100)",
            "--rounds N     rounds that count (3)",
            "--keep         keeps the histories in the scratch folder, for another run with the same numbers",
        ]
    ) { arguments in
        let files = try arguments.count("--files", default: 100_000)
        let snapshots = try arguments.count("--snapshots", default: 100)
        let rounds = try arguments.count("--rounds", default: 3)
        guard snapshots >= 2 else { throw UsageError(message: "--snapshots is under 2") }
        guard let bakstore = try arguments.value("--bakstore"), let scratch = try arguments.value("--scratch")
        else { throw UsageError(message: "--bakstore and --scratch must be given") }
        let comparesPeers = !arguments.flag("--no-peers")
        let keeps = arguments.flag("--keep")
        let json = try arguments.value("--json")
        try arguments.expectEnd()
        let folder = scratch + "/bakstore-prune"
        try Files.makeFolder(folder)
        let log = folder + "/log"
        guard let program = Contender.bakstore(bakstore, log: log) else {
            throw UsageError(message: "'\(bakstore)' is no bakstore")
        }
        let peers = comparesPeers ? [Contender.restic(log: log)].compactMap { $0 } : []
        let machine = MachineDescription(folder: scratch)
        let rows = try PruneBenchmark(
            contenders: [program] + peers, rounds: rounds, folder: folder, bakstore: bakstore,
            generator: try Files.realPath("/proc/self/exe")
        ).run([
            PruneHistory(files: files, snapshots: snapshots, hasPeers: true),
            PruneHistory(files: files, snapshots: 4 * snapshots, hasPeers: false),
        ])
        if !keeps { _ = try Command("rm", "-rf", folder).run(log: "/dev/null") }
        let versions = ([program] + peers).map { "\($0.name): \($0.version)" }.joined(separator: "; ")
        print("\(machine.text)\n\(versions)\n\n" + PruneRow.table(rows).text)
        let value: JSONValue = ["machine": machine.json, "prune": .array(rows.map(\.json))]
        if let json { try Files.write(json, Array((value.text() + "\n").utf8)) }
    }
}
