// GrowthBenchmark: measures how the cost of a backup grows with the number of files and with their bytes. Memory must
// not grow with either. The metadata that a repository stores for each file must not grow either.

import BakCore
import BakFormat
import BakPosix
import BakRepository
import BakStorage

/// A point of a curve.
struct GrowthStep: Sendable {
    var name: String
    var library: LibraryDescription
}

/// The measurements for a point.
struct GrowthRow {
    var step: GrowthStep
    var libraryBytes = 0
    var first = Measurement()
    var unchanged = Measurement()
    /// The size of the repository's metadata after the first backup, and after a second backup of the same files.
    var metadataBytes = 0
    var secondMetadataBytes = 0

    static func table(_ rows: [GrowthRow]) -> MarkdownTable {
        var table = MarkdownTable([
            "library", "files", "MB", "first backup, s", "us a file", "peak, MB", "unchanged, s", "us a file",
            "peak, MB", "metadata, bytes a file", "added by the second snapshot, bytes",
        ])
        for row in rows {
            let files = Double(row.step.library.fileCount)
            table.append([
                row.step.name, "\(row.step.library.fileCount)", fixed(Double(row.libraryBytes) / 1e6, 0),
                row.first.seconds.text(3), fixed(row.first.seconds.median / files * 1e6, 1),
                fixed(Double(row.first.peakBytes) / 1e6, 0), row.unchanged.seconds.text(3),
                fixed(row.unchanged.seconds.median / files * 1e6, 1),
                fixed(Double(row.unchanged.peakBytes) / 1e6, 0),
                fixed(Double(row.metadataBytes) / files, 1),
                "\(row.secondMetadataBytes - row.metadataBytes)",
            ])
        }
        return table
    }

    var json: JSONValue {
        [
            "name": .string(step.name), "files": .integer(step.library.fileCount),
            "bytes": .integer(libraryBytes), "first_seconds": first.seconds.json,
            "first_peak_bytes": .integer(first.peakBytes), "unchanged_seconds": unchanged.seconds.json,
            "unchanged_peak_bytes": .integer(unchanged.peakBytes), "metadata_bytes": .integer(metadataBytes),
            "second_metadata_bytes": .integer(secondMetadataBytes),
        ]
    }
}

/// Measures the curves.
struct GrowthBenchmark {
    let steps: [GrowthStep]
    /// The number of rounds that count. One more round is run before them and does not count.
    let rounds: Int
    /// A folder that does not exist yet.
    let folder: String
    let bakstore: String
    let generator: String

    private var log: String { folder + "/log" }

    /// Returns the points: small files in 1, 4 and 16 times the number, and media with 1 and 4 times the bytes.
    static func steps(files: Int, bytes: Int) -> [GrowthStep] {
        let small = [1, 4, 16].map { factor in
            GrowthStep(
                name: "small files, \(factor)x",
                library: LibraryDescription(
                    kind: .small, fileCount: files * factor, byteCount: files * factor * 10_000, seed: 3))
        }
        let media = [1, 4].map { factor in
            GrowthStep(
                name: "media, \(factor)x the bytes",
                library: LibraryDescription(kind: .media, fileCount: 100, byteCount: bytes * factor, seed: 4))
        }
        return small + media
    }

    func run() throws -> [GrowthRow] {
        // Everything beneath `folder` is made before the measurements, because its time is stored in the snapshots.
        try Files.makeFolder(folder + "/cache")
        var rows = steps.map { GrowthRow(step: $0) }
        for (number, step) in steps.enumerated() {
            var command = Command(generator)
            command.words += step.library.words(folder: source(number))
            _ = try command.run(log: log)
            rows[number].libraryBytes = Files.totalBytes(beneath: source(number))
        }
        guard let contender = Contender.bakstore(bakstore, log: log) else {
            throw UsageError(message: "'\(bakstore)' is no bakstore")
        }
        for round in 0...rounds {
            for number in steps.indices { try measure(&rows[number], number, round, contender) }
        }
        return rows
    }

    private func source(_ number: Int) -> String { "\(folder)/library-\(number)" }

    private func measure(
        _ row: inout GrowthRow, _ number: Int, _ round: Int, _ contender: Contender
    ) throws {
        let place = Place(source: source(number), folder: "\(folder)/\(round)-\(number)")
        try Files.makeFolder(place.folder)
        func cost(_ operation: Operation) throws -> Command.Cost {
            var cost = Command.Cost()
            for step in contender.steps(operation, place) ?? [] {
                let part = try step.command.run(log: log)
                if step.isTimed { cost = cost + part }
            }
            return cost
        }
        let first = try cost(.firstBackup)
        if round == rounds { row.metadataBytes = try metadataBytes(place.repository) }
        let unchanged = try cost(.unchanged)
        if round == rounds { row.secondMetadataBytes = try metadataBytes(place.repository) }
        guard round > 0 else { return }
        row.first.costs[round] = first
        row.unchanged.costs[round] = unchanged
    }

    /// Returns the size of everything in a repository except the packs of chunks.
    private func metadataBytes(_ path: String) throws -> Int {
        let store = try LocalStore(path: path)
        let repository = try Repository.open(
            store, cache: FolderCache(path: folder + "/cache"), time: SystemTime(), random: SystemRandom())
        let manifests = try BlobIndex(repository).packs.filter { $0.kind == .manifestPack }
        let records = try [ObjectNames.index, ObjectNames.snapshots, ObjectNames.sessions].flatMap(store.list)
        return manifests.reduce(0) { $0 + Int($1.size) } + records.reduce(0) { $0 + $1.size }
    }
}

extension Subcommand {
    static let growth = Subcommand(
        name: "growth",
        arguments: "--bakstore PROGRAM --scratch FOLDER [--files N] [--bytes B] [--json FILE]",
        explanation: [
            "time, memory and metadata at 1, 4 and 16 times the files and at 1 and 4 times the bytes",
            "--files N    small files at 1x (5000)",
            "--bytes B    bytes of media at 1x (250M)",
            "--rounds N   rounds that count (5)",
            "--keep       does not remove what was made in the scratch folder",
        ]
    ) { arguments in
        let files = try arguments.count("--files", default: 5000)
        let bytes = try arguments.size("--bytes", default: 250 << 20)
        let rounds = try arguments.count("--rounds", default: 5)
        guard files >= 8 else { throw UsageError(message: "--files is under 8") }
        guard let bakstore = try arguments.value("--bakstore"), let scratch = try arguments.value("--scratch")
        else { throw UsageError(message: "--bakstore and --scratch must be given") }
        let keeps = arguments.flag("--keep")
        let json = try arguments.value("--json")
        try arguments.expectEnd()
        let folder = scratch + "/bakstore-growth"
        let machine = MachineDescription(folder: scratch)
        let rows = try GrowthBenchmark(
            steps: GrowthBenchmark.steps(files: files, bytes: bytes), rounds: rounds, folder: folder,
            bakstore: bakstore, generator: try Files.realPath("/proc/self/exe")
        ).run()
        if !keeps { _ = try Command("rm", "-rf", folder).run(log: "/dev/null") }
        print(machine.text + "\n\n" + GrowthRow.table(rows).text)
        let value: JSONValue = ["machine": machine.json, "growth": .array(rows.map(\.json))]
        if let json { try Files.write(json, Array((value.text() + "\n").utf8)) }
    }
}
