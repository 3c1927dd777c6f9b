// MemoryBench: a repository in memory with helpers to back up fake trees, restore and check.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Glibc
import Synchronization
import TestSupport
import Testing

/// Whether the slow forms of tests were asked for.
let isLong = getenv("BAKSTORE_LONG") != nil

/// A generator that gives one sequence for one seed.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

/// A clock that stands still.
struct FixedTime: TimeSource {
    var seconds: Int64

    func now() -> Timestamp { Timestamp(seconds: seconds) }
    func monotonicNanoseconds() -> UInt64 { 0 }
}

struct MemoryBench {
    let store: MemoryStore
    let cache: MemoryCache
    let repository: Repository

    static let options: Repository.Options = {
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

    init(
        time: any TimeSource = TickingTime.shared, options: Repository.Options = Self.options,
        file: String = #fileID, line: Int = #line
    ) throws {
        store = MemoryStore()
        cache = MemoryCache()
        repository = try Repository.create(
            in: store, options: options, cache: cache, time: time, random: TestSeed.unique(file, line))
    }

    /// Opens what a store holds, with an empty cache unless one is given.
    static func open(
        _ store: any ObjectStore, cache: MemoryCache = MemoryCache(),
        time: any TimeSource = TickingTime.shared, file: String = #fileID, line: Int = #line
    ) throws -> Repository {
        try Repository.open(store, cache: cache, time: time, random: TestSeed.unique(file, line))
    }

    static func request(_ paths: [String] = ["s"]) -> BackupRequest {
        BackupRequest(
            paths: paths.map { Array($0.utf8) }, host: "h", device: "d", user: "u", program: "p")
    }

    @discardableResult
    func backup(
        _ tree: any SourceTree, _ events: EventLog = EventLog(),
        _ change: (inout BackupRequest) -> Void = { _ in },
        exclusions: BackupExclusions = BackupExclusions()
    ) throws -> BackupReport {
        var request = Self.request()
        change(&request)
        return try Backup(repository, of: tree, exclusions: exclusions, onEvent: events.note).run(request)
    }

    /// Restores a snapshot of any repository; what was reported as failed stands in the log.
    static func restore(
        _ repository: Repository, _ snapshot: CommitRecord, _ log: RestoreLog = RestoreLog(),
        to target: MemoryTarget = MemoryTarget()
    ) throws -> MemoryTarget {
        let index = try BlobIndex(repository) { _ in }
        var request = RestoreRequest(snapshot: snapshot)
        request.isPrivileged = true
        _ = try Restore(repository, index: index, to: target, onEvent: log.note).run(request)
        return target
    }

    static func check(_ repository: Repository, depth: CheckDepth = .readData)
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

extension FakeTree {
    /// What a restore of everything gives.
    var expected: [[UInt8]: MemoryTarget.Item] {
        Dictionary(
            entries.map { entry in
                switch entry.stat.type {
                case .regular: (entry.path, .file(entry.content))
                case .directory: (entry.path, .folder)
                default: (entry.path, .other(entry.stat.type))
                }
            }, uniquingKeysWith: { first, _ in first })
    }
}
