// MemoryBench: a repository in memory, with functions that back up to it, restore from it and check it.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestSupport

/// A repository in memory. Its chunks and packs are small, so that a little content makes many chunks and packs.
public struct MemoryBench: Sendable {
    /// The store that holds the repository.
    public let store: MemoryStore
    /// The repository's cache.
    public let cache: MemoryCache
    /// The repository.
    public let repository: Repository

    /// The options of a new repository.
    public static let options: Repository.Options = {
        var options = Repository.Options(
            classes: defaultChunkClasses.map { sizes in
                var sizes = sizes
                (sizes.minimum, sizes.average, sizes.maximum) = (256, 512, 768)
                return sizes
            })
        options.packBytes = 1 << 20
        options.inlineBytes = 64
        return options
    }()

    /// Makes a repository whose ids differ from those of every other repository of the run.
    public init(
        time: any TimeSource = TickingTime.shared, options: Repository.Options = Self.options,
        file: String = #fileID, line: Int = #line
    ) throws {
        store = MemoryStore()
        cache = MemoryCache()
        repository = try Repository.create(
            in: store, options: options, cache: cache, time: time, random: TestSeed.unique(file, line))
    }

    /// Opens the repository in a store, with an empty cache unless a test gives one.
    public static func open(
        _ store: any ObjectStore, cache: MemoryCache = MemoryCache(),
        time: any TimeSource = TickingTime.shared, file: String = #fileID, line: Int = #line
    ) throws -> Repository {
        try Repository.open(store, cache: cache, time: time, random: TestSeed.unique(file, line))
    }

    /// Returns the request of a backup of `paths`.
    public static func request(_ paths: [String] = ["s"]) -> BackupRequest {
        BackupRequest(
            paths: paths.map { Array($0.utf8) }, host: "h", device: "d", user: "u", program: "p")
    }

    /// Backs up a source. `change` may change the request.
    @discardableResult
    public func backup(
        _ tree: any SourceTree, _ events: EventLog = EventLog(),
        _ change: (inout BackupRequest) -> Void = { _ in },
        exclusions: BackupExclusions = BackupExclusions()
    ) throws -> BackupReport {
        var request = Self.request()
        change(&request)
        return try Backup(repository, of: tree, exclusions: exclusions, onEvent: events.note).run(request)
    }

    /// Restores a snapshot of any repository. The log gets the events.
    public static func restore(
        _ repository: Repository, _ snapshot: CommitRecord, _ log: RestoreLog = RestoreLog(),
        to target: MemoryTarget = MemoryTarget()
    ) throws -> MemoryTarget {
        let index = try BlobIndex(repository) { _ in }
        var request = RestoreRequest(snapshot: snapshot)
        request.isPrivileged = true
        _ = try Restore(repository, index: index, to: target, onEvent: log.note).run(request)
        return target
    }

    /// Checks a repository with one worker.
    public static func check(_ repository: Repository, depth: CheckDepth = .readData)
        throws -> (report: CheckReport, events: [CheckEvent])
    {
        let events = Mutex<[CheckEvent]>([])
        let report = try RepositoryCheck(
            repository, depth: depth, workerCount: 1,
            onEvent: { event in events.withLock { $0.append(event) } }
        ).run()
        return (report, events.withLock { $0 })
    }
}
