// HostileRun: runs the engine's operations on a hostile repository. Each operation may throw any error. It must not
// trap, and it must end.

import BakChunking
import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestSupport

/// Runs operations on one hostile repository. For one thread.
public struct HostileRun {
    private let hostile: HostileRepository
    private let time = SimulatedTime(Timestamp(seconds: 1_767_300_000))
    private let random = SeededRandom(seed: 1)

    /// Makes a run for a repository.
    public init(_ hostile: HostileRepository) { self.hostile = hostile }

    /// Opens a fresh copy of the repository, without the changes of earlier operations. Returns nil if its
    /// configuration is refused.
    private func open() -> Repository? {
        try? Repository.open(
            SimulatedStore(hostile.objects), cache: MemoryCache(), time: time, random: random)
    }

    /// True if a check finds at least one snapshot and nothing wrong.
    public var isSound: Bool {
        guard let repository = open(),
            let report = try? RepositoryCheck(
                repository, depth: .readData, workerCount: 1, onEvent: { print("\($0)") }
            ).run()
        else { return false }
        return report.snapshots > 0 && report.damagedObjects == 0 && report.affectedSnapshots == 0
            && report.affectedFiles == 0
    }

    /// Runs all operations.
    public func everything() {
        guard open() != nil else { return }
        for action in [look, check, restore, count, copy, decide, prune, repair, backUp, undo] {
            attempt { if let repository = open() { try action(repository) } }
        }
    }

    /// Runs an operation that may throw.
    private func attempt(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            // Describing the error must not trap either.
            _ = "\(error)"
        }
    }

    private func index(_ repository: Repository) throws -> BlobIndex { try BlobIndex(repository) { _ in } }

    private func look(_ repository: Repository) throws {
        let list = try repository.snapshotList()
        for name in ["latest", "latest~1", "0"] { attempt { _ = try list.find(name) } }
        let index = try index(repository)
        for snapshot in list.readable {
            attempt {
                let reader = try ManifestReader(snapshot, repository: repository, index: index)
                while try reader.next() != nil {}
            }
            for entry in hostile.entries.prefix(3) {
                attempt {
                    let view = try SnapshotView(snapshot, repository: repository, index: index)
                    try view.children(of: entry.path) { _ in true }
                    guard let file = try view.content(of: entry.path) else { return }
                    var buffer = [UInt8](repeating: 0, count: 1 << 16)
                    // A hole may be as long as the longest file, so the test reads only its first MiB and its end.
                    for offset in stride(from: UInt64(0), to: 1 << 20, by: buffer.count) {
                        _ = try buffer.withUnsafeMutableBytes { try file.read(into: $0, at: offset) }
                    }
                    _ = try buffer.withUnsafeMutableBytes { try file.read(into: $0, at: entry.stat.size) }
                }
            }
            attempt {
                let cache = BlobCache(repository, index, mostBytes: 1 << 20)
                let view = try SnapshotView(snapshot, repository: repository, index: index, cache: cache)
                try view.list([], .children, onDamage: { _, _ in }) { entry in
                    attempt {
                        var buffer = [UInt8](repeating: 0, count: 1 << 16)
                        _ = try buffer.withUnsafeMutableBytes {
                            try view.content(of: entry.path)?.read(into: $0, at: 0)
                        }
                    }
                    return true
                }
            }
        }
    }

    private func check(_ repository: Repository) throws {
        for depth in [CheckDepth.readData, .readData(.percent(10))] {
            _ = try RepositoryCheck(repository, depth: depth, workerCount: 1, onEvent: { _ in }).run()
        }
    }

    private func restore(_ repository: Repository) throws {
        let index = try index(repository)
        for snapshot in try repository.snapshots().readable {
            for isDry in [true, false] {
                for overwrite in [RestoreRequest.Overwrite.ifChanged, .always] {
                    attempt {
                        var request = RestoreRequest(snapshot: snapshot)
                        (request.isDryRun, request.overwrite, request.takesGroups) = (isDry, overwrite, isDry)
                        _ = try Restore(repository, index: index, to: SinkTarget()).run(request)
                    }
                }
            }
            attempt {
                let selection = RestoreSelection(
                    RestoreRequest(snapshot: snapshot), RestoreFilter(), repository: repository, index: index)
                _ = try selection.missingRoom(of: 1, over: nil)
                _ = try selection.unmatched()
            }
        }
    }

    private func count(_ repository: Repository) throws {
        let snapshots = try repository.snapshots().readable
        _ = try StatsRun(repository, try index(repository)).run(snapshots)
    }

    private func copy(_ repository: Repository) throws {
        let snapshots = try repository.snapshots().readable
        for isAlike in [true, false] {
            attempt {
                var options = Repository.Options(like: repository.config)
                if !isAlike {
                    (options.secret, options.classes) = (nil, defaultChunkClasses)
                }
                let other = try Repository.create(
                    in: SimulatedStore(), options: options, cache: MemoryCache(), time: time, random: random)
                let request = CopyRequest(host: "h", program: "p")
                _ = try SnapshotCopy(request, from: repository, to: other).run(snapshots)
            }
        }
    }

    private func decide(_ repository: Repository) throws {
        let list = try repository.snapshotList()
        var policy = RetentionPolicy()
        policy.counts = [.last: 1, .daily: 2, .yearly: .max]
        policy.spans = [.monthly: RetentionSpan("10000y")!]
        let retention = Retention(policy, now: time.now()) { _ in 3600 }
        _ = retention.decide(list.readable, among: list.readable, list.order)
        _ = retention.forecast(list.readable, list.order, backupsAhead: 20)
        attempt { _ = try repository.outlook(ifOnly: list.readable) }
        let tree = HostileSource(hostile.entries)
        let terms = DeletionTerms()
        _ = try DeletionCheck(
            repository, of: tree, roots: [Array("a".utf8)], terms: terms, onVerdict: { _ in }
        ).run()
    }

    private func prune(_ repository: Repository) throws {
        for snapshot in try repository.snapshots().readable.prefix(1) {
            attempt { try repository.forget([snapshot.id], host: "h", program: "p") }
        }
        var options = PruneOptions()
        (options.isAlone, options.graceSeconds) = (true, 0)
        options.pause = { [time] in time.advance(seconds: 1 + Int64($0 / 1_000_000_000)) }
        for isDry in [true, false] {
            options.isDryRun = isDry
            attempt { _ = try Prune(repository, options, host: "h", program: "p").run() }
        }
    }

    private func repair(_ repository: Repository) throws {
        let request = RepairRequest(host: "h", program: "p")
        for kind in [RepairIndex.self, RepairPacks.self, RepairSnapshots.self] as [RepositoryRepair.Type] {
            attempt { _ = try kind.init(repository, request).run() }
        }
        attempt { try check(repository) }
    }

    private func backUp(_ repository: Repository) throws {
        var request = BackupRequest(
            paths: [Array("a".utf8)], host: "host", device: "device", user: "user", program: "program")
        request.workerCount = 1
        for archive in [BackupRequest.ArchiveChoice.asBefore, .yes] {
            request.archive = archive
            attempt {
                _ = try Backup(repository, of: HostileSource(hostile.entries)).run(request)
            }
        }
    }

    private func undo(_ repository: Repository) throws {
        for forgotten in try repository.forgottenSnapshots() {
            attempt { _ = try repository.takeBack(forgotten.snapshot, host: "h", program: "p") }
        }
        for snapshot in try repository.snapshots().readable {
            attempt {
                let request = ArchiveRemovalRequest(
                    snapshot: snapshot, paths: [Array("a".utf8)], host: "h", program: "p")
                _ = try ArchiveRemoval(request, from: repository).run()
            }
        }
    }
}
