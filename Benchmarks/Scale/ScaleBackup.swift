// ScaleBackup: the subcommand `scale-backup`, which `scale` runs for each backup. A backup has a process of its own, so
// that its memory can be measured.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository

/// The counts of a backup of the tree.
struct ScaleCounts: Equatable, Sendable {
    var files = 0
    var folders = 0
    var newFiles = 0
    var changedFiles = 0
    var unmodifiedFiles = 0

    init() {}

    init(_ counters: SnapshotCounters) {
        (files, folders) = (Int(counters.files), Int(counters.folders))
        (newFiles, changedFiles) = (Int(counters.newFiles), Int(counters.changedFiles))
        unmodifiedFiles = Int(counters.unmodifiedFiles)
    }

    /// Reads the text that another process printed. Returns nil if it is something else.
    init?(_ text: String) {
        let numbers = text.split(separator: " ").compactMap { Int($0) }
        guard numbers.count == 5 else { return nil }
        (files, folders, newFiles) = (numbers[0], numbers[1], numbers[2])
        (changedFiles, unmodifiedFiles) = (numbers[3], numbers[4])
    }

    var text: String {
        [files, folders, newFiles, changedFiles, unmodifiedFiles].map(String.init).joined(separator: " ")
    }
}

extension Subcommand {
    static let scaleBackup = Subcommand(
        name: "scale-backup", arguments: "REPOSITORY --entries N --cache FOLDER [--later]",
        explanation: [
            "a backup of the tree of `scale` into a repository that `bakstore init` made",
            "--later  the tree's second state, in which a hundredth of the files are edited",
        ]
    ) { arguments in
        let entries = try arguments.count("--entries", default: 10_000_000)
        guard entries <= GeneratedTree.mostEntries else {
            throw UsageError(message: "--entries is too large")
        }
        let isLater = arguments.flag("--later")
        guard let cache = try arguments.value("--cache") else {
            throw UsageError(message: "--cache must be given")
        }
        let path = try arguments.operand("REPOSITORY")
        try arguments.expectEnd()
        let store = try LocalStore(path: path)
        let repository = try Repository.open(
            store, cache: FolderCache(path: "\(cache)/\(try Repository.identity(of: store).id)"),
            time: SystemTime(), random: SystemRandom())
        var request = BackupRequest(
            paths: [GeneratedTree.root], host: "benchmark", device: "benchmark", user: "benchmark",
            program: "benchmark")
        request.workerCount = Machine.workerCount
        let tree = GeneratedTree(entryCount: entries, isLater: isLater)
        let report = try Backup(repository, of: tree).run(request)
        guard report.snapshot?.isComplete == true else {
            throw UsageError(message: "the snapshot is not complete")
        }
        print(ScaleCounts(report.counters).text)
    }
}
