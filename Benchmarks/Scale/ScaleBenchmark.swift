// ScaleBenchmark: measures how the cost of each operation grows with the number of entries, up to many millions.
// Memory must not grow with it, and time must not grow faster. The source is computed, so it takes no disk.
//
// Each operation runs in a process of its own, so each has a peak of memory of its own.

import Glibc

/// An operation at one size.
enum ScaleOperation: String, CaseIterable, Sendable {
    case first = "first backup"
    case unchanged = "unchanged backup"
    case edited = "backup, 1 % edited"
    case snapshots = "snapshots"
    case listFolder = "ls of a folder"
    case listAll = "ls -R"
    case restoreFolder = "restore of a folder"
    case check = "check"
    case readData = "check --read-data"
    case prune = "forget --keep-last 1 --prune"

    var isBackup: Bool { self == .first || self == .unchanged || self == .edited }
}

/// The measurements at one size.
struct ScaleResult: Sendable {
    var entryCount: Int
    var costs: [ScaleOperation: Command.Cost] = [:]
    /// What the backups counted.
    var counts: [ScaleOperation: ScaleCounts] = [:]
    /// The size of the repository after an operation that changes it.
    var repositoryBytes: [ScaleOperation: Int] = [:]

    private func perEntry(_ value: Double) -> String { fixed(value / Double(entryCount), 2) }

    /// Returns a table with a row for each operation and size.
    static func table(_ results: [ScaleResult]) -> MarkdownTable {
        var table = MarkdownTable([
            "operation", "entries", "s", "processor s", "us an entry", "peak, MB", "anonymous, MB",
            "repository, bytes an entry",
        ])
        for operation in ScaleOperation.allCases {
            for result in results {
                guard let cost = result.costs[operation] else { continue }
                table.append([
                    operation.rawValue, "\(result.entryCount)", fixed(cost.seconds, 2),
                    fixed(cost.processorSeconds, 2), result.perEntry(cost.seconds * 1e6),
                    fixed(Double(cost.peakBytes) / 1e6, 0), fixed(Double(cost.peakAnonymousBytes) / 1e6, 0),
                    result.repositoryBytes[operation].map { result.perEntry(Double($0)) } ?? "",
                ])
            }
        }
        return table
    }

    var json: JSONValue {
        let operations = ScaleOperation.allCases.compactMap { operation -> JSONValue? in
            guard let cost = costs[operation] else { return nil }
            return [
                "operation": .string(operation.rawValue), "seconds": .number(cost.seconds),
                "processor_seconds": .number(cost.processorSeconds), "peak_bytes": .integer(cost.peakBytes),
                "peak_anonymous_bytes": .integer(cost.peakAnonymousBytes),
                "repository_bytes": repositoryBytes[operation].map { .integer($0) } ?? .null,
            ]
        }
        return ["entries": .integer(entryCount), "operations": .array(operations)]
    }
}

/// Measures all operations at each size.
struct ScaleBenchmark {
    let bakstore: String
    /// This program.
    let benchmark: String
    /// A folder that does not exist yet.
    let folder: String
    /// True if the repositories stay in the folder.
    var keeps = false

    private var log: String { folder + "/log" }

    func run(_ entryCounts: [Int]) throws -> [ScaleResult] {
        try Files.makeFolder(folder)
        return try entryCounts.map(measure)
    }

    private func measure(_ entryCount: Int) throws -> ScaleResult {
        let home = "\(folder)/\(entryCount)"
        try Files.makeFolder(home + "/cache")
        _ = try bakstore(["init"], home).run(log: log)
        var result = ScaleResult(entryCount: entryCount)
        for operation in ScaleOperation.allCases {
            var command = command(operation, entryCount, home)
            command.watchesMemory = true
            let cost = try command.run(log: log, keepsOutput: operation.isBackup)
            result.costs[operation] = cost
            if operation.isBackup {
                let output = Files.contents(log) ?? []
                result.counts[operation] = ScaleCounts(String(decoding: output.dropLast(), as: UTF8.self))
            }
            if operation.isBackup || operation == .prune {
                result.repositoryBytes[operation] = Files.totalBytes(beneath: home + "/repository")
            }
            Benchmark.complain("\(entryCount) entries, \(operation.rawValue): \(fixed(cost.seconds, 2)) s")
        }
        if !keeps { Files.removeForGood(home) }
        return result
    }

    private func command(_ operation: ScaleOperation, _ entryCount: Int, _ home: String) -> Command {
        func backup(_ flags: [String] = []) -> Command {
            var command = Command(benchmark)
            command.words += ["scale-backup", home + "/repository", "--entries", "\(entryCount)"]
            command.words += ["--cache", home + "/cache"] + flags
            return command
        }
        func bakstore(_ words: String...) -> Command { self.bakstore(words, home) }
        let middle =
            "latest:/" + String(decoding: GeneratedTree.folder(ofFile: entryCount / 2), as: UTF8.self)
        return switch operation {
        case .first, .unchanged: backup()
        case .edited: backup(["--later"])
        case .snapshots: bakstore("snapshots")
        case .listFolder: bakstore("ls", middle)
        case .listAll: bakstore("ls", "-R", "latest")
        case .restoreFolder: bakstore("restore", middle, "--target", home + "/restored")
        case .check: bakstore("check")
        case .readData: bakstore("check", "--read-data")
        case .prune: bakstore("forget", "--keep-last", "1", "--prune")
        }
    }

    private func bakstore(_ words: [String], _ home: String) -> Command {
        var command = Command(bakstore)
        command.words += words + ["--repo", home + "/repository", "--quiet"]
        command.variables = ["BAKSTORE_CACHE_DIR": home + "/cache"]
        return command
    }
}

extension Subcommand {
    static let scale = Subcommand(
        name: "scale", arguments: "--bakstore PROGRAM --scratch FOLDER [--entries N] [--json FILE]",
        explanation: [
            "time and memory of each operation with a sixteenth, a quarter and all of N entries that take no disk",
            "--entries N  the largest number of files and folders (10000000)",
            "--keep       does not remove what was made in the scratch folder",
        ]
    ) { arguments in
        let entries = try arguments.count("--entries", default: 10_000_000)
        guard (1000...GeneratedTree.mostEntries).contains(entries) else {
            throw UsageError(message: "--entries is not in 1000...\(GeneratedTree.mostEntries)")
        }
        guard let bakstore = try arguments.value("--bakstore"), let scratch = try arguments.value("--scratch")
        else { throw UsageError(message: "--bakstore and --scratch must be given") }
        let keeps = arguments.flag("--keep")
        let json = try arguments.value("--json")
        try arguments.expectEnd()
        let folder = scratch + "/bakstore-scale"
        let machine = MachineDescription(folder: scratch)
        let results = try ScaleBenchmark(
            bakstore: bakstore, benchmark: try Files.realPath("/proc/self/exe"), folder: folder, keeps: keeps
        ).run([entries / 16, entries / 4, entries])
        if !keeps { Files.removeForGood(folder) }
        print(machine.text + "\n\n" + ScaleResult.table(results).text)
        let value: JSONValue = ["machine": machine.json, "scale": .array(results.map(\.json))]
        if let json { try Files.write(json, Array((value.text() + "\n").utf8)) }
    }
}
