// HintBackup: measures how much time the container parsers add to a whole first backup. It makes pairs of backups of
// one folder into new repositories, one with the parsers and one without. The order within a pair alternates, so that
// neither kind of backup benefits from a quieter machine.

import BakCore
import BakEngine
import BakPosix
import BakRepository
import Glibc

/// The measurements of one kind of backup.
private struct HintBackupTimes {
    /// Wall-clock seconds, and processor seconds of all cores together.
    var wall = Samples()
    var processor = Samples()
    var storedBytes: UInt64 = 0
}

enum HintBackup {
    /// Runs the pairs and returns the table of results.
    static func run(folder: String, scratch: String, rounds: Int) throws -> MarkdownTable {
        let tree = try FileTree(roots: [Array(folder.utf8)])
        guard !tree.roots.isEmpty else { throw UsageError(message: "\(folder) is not there") }
        var times = [true: HintBackupTimes(), false: HintBackupTimes()]
        var bytes: UInt64 = 0
        // The first pair warms up the disk and the caches and does not count.
        for round in 0...rounds {
            for readsStructure in round % 2 == 0 ? [true, false] : [false, true] {
                let (wall, processor, report) = try backup(tree, scratch, readsStructure)
                bytes = report.counters.readBytes
                guard round > 0 else { continue }
                times[readsStructure]!.wall.values.append(wall)
                times[readsStructure]!.processor.values.append(processor)
                times[readsStructure]!.storedBytes = report.counters.addedStoredBytes
            }
        }
        var table = MarkdownTable(["first backup", "MB", "stored MB", "seconds", "processor seconds"])
        for (name, key) in [("with the structure of containers", true), ("without", false)] {
            let taken = times[key]!
            table.append([
                name, fixed(Double(bytes) / 1e6, 0), fixed(Double(taken.storedBytes) / 1e6, 1),
                fixed(taken.wall.median, 3), fixed(taken.processor.median, 3),
            ])
        }
        table.append([
            "longer %, median of pairs", "", "", ratio(times[true]!.wall, times[false]!.wall),
            ratio(times[true]!.processor, times[false]!.processor),
        ])
        return table
    }

    private static func ratio(_ with: Samples, _ without: Samples) -> String {
        var pairs = Samples()
        pairs.values = zip(with.values, without.values).map { ($0 / $1 - 1) * 100 }
        return fixed(pairs.median, 2)
    }

    private static func backup(
        _ tree: FileTree, _ scratch: String, _ readsStructure: Bool
    ) throws -> (wall: Double, processor: Double, BackupReport) {
        let place = scratch + "/hint-backup"
        func removePlace() throws { _ = try Command("rm", "-rf", place).run(log: "/dev/null") }
        try removePlace()
        defer { try? removePlace() }
        let repository = try Repository.create(
            in: try LocalStore.create(path: place + "/repository"),
            options: Repository.Options(classes: defaultChunkClasses),
            cache: FolderCache(path: place + "/cache"), time: SystemTime(), random: SystemRandom())
        var request = BackupRequest(
            paths: tree.roots, host: "benchmark", device: "benchmark", user: "benchmark", program: "benchmark"
        )
        request.workerCount = Machine.processorCount
        request.readsStructure = readsStructure
        let start = (wall: Stopwatch.now(), processor: processorSeconds())
        let report = try Backup(repository, of: tree).run(request)
        return (Stopwatch.now() - start.wall, processorSeconds() - start.processor, report)
    }

    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

extension Subcommand {
    static let hintBackup = Subcommand(
        name: "hint-backup", arguments: "FOLDER [--scratch FOLDER] [--rounds N]",
        explanation: [
            "what reading the structure of containers adds to a first backup of FOLDER, in pairs with and without",
            "--scratch FOLDER  where repositories are made (.)",
            "--rounds N        pairs (9)",
        ]
    ) { arguments in
        let scratch = try arguments.value("--scratch") ?? "."
        let rounds = try arguments.count("--rounds", default: 9)
        let folder = try arguments.operand("FOLDER")
        try arguments.expectEnd()
        print(try HintBackup.run(folder: folder, scratch: scratch, rounds: rounds).text)
    }
}
