// ArchiveHistory: a source that changes from backup to backup. It also determines what an archive must have, only from
// what each backup could see.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

/// An item that an archive must have at a path.
struct ArchivedItem: Equatable, CustomStringConvertible {
    var type: FileType
    var content: [UInt8]
    var goneSince: Timestamp?

    var description: String { "\(type) of \(content.count) bytes, gone \(goneSince?.seconds ?? -1)" }
}

/// A changing source, and the expected archive of it.
struct ArchiveHistory {
    var random: SeededRandom
    var entries: [[UInt8]: FakeEntry] = [:]
    /// The items that the archive must have after the last backup.
    var expected: [[UInt8]: ArchivedItem] = [:]
    private var clock: Int64 = 1000

    init(_ seed: UInt64) {
        random = SeededRandom(seed: seed)
        add(.other("s", .directory))
        for _ in 0..<60 { grow() }
    }

    mutating func add(_ entry: FakeEntry) { entries[entry.path] = entry }

    mutating func remove(_ path: String) {
        let path = Array(path.utf8)
        entries = entries.filter { !PathOrder.isAtOrBeneath($0.key, path) }
    }

    /// Adds a file, and its folder if necessary.
    mutating func grow() {
        let folder = "s/f\(Int.random(in: 0..<6, using: &random))"
        if entries[Array(folder.utf8)]?.stat.type != .directory {
            remove(folder)
            add(.other(folder, .directory))
        }
        clock += 1
        let now = clock
        let content = random.bytes(Int.random(in: 0..<1500, using: &random))
        add(
            .file("\(folder)/\(Int.random(in: 0..<60, using: &random)).jpg", content) {
                $0.stat.mtime.seconds += now
                $0.stat.ctime.seconds += now
            })
    }

    /// Changes the source: adds, removes and changes files, and removes folders. With `displacing`, a file may also
    /// take a folder's name and the reverse.
    mutating func change(displacing: Bool) {
        for _ in 0..<Int.random(in: 0..<6, using: &random) { grow() }
        for path in entries.keys.sorted(by: { PathOrder.precedes($0, $1) })
        where Int.random(in: 0..<12, using: &random) == 0 && path.count > 1 {
            remove(String(decoding: path, as: UTF8.self))
        }
        guard displacing, Int.random(in: 0..<2, using: &random) == 0 else { return }
        let folder = "s/f\(Int.random(in: 0..<6, using: &random))"
        remove(folder)
        clock += 1
        let now = clock
        add(
            .file(folder, random.bytes(300)) {
                $0.stat.mtime.seconds += now
                $0.stat.ctime.seconds += now
            })
    }

    /// Returns the source with faults at some paths.
    func tree(faults: [[UInt8]: String] = [:]) -> FakeTree {
        var entries = entries
        for (path, fault) in faults {
            entries[path]?.fault = fault
            if fault == "list" {
                entries = entries.filter { $0.key == path || !PathOrder.isAtOrBeneath($0.key, path) }
            }
        }
        return FakeTree(entries.values.sorted { PathOrder.precedes($0.path, $1.path) })
    }

    /// Returns the name under which an archive keeps a file whose name another file has taken.
    static func displaced(_ path: [UInt8], at time: Timestamp) -> [UInt8] {
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let clock = [time.seconds / 3600, time.seconds / 60 % 60, time.seconds % 60].map(two).joined()
        return path.dropLast(4) + Array("~gone-1970-01-01-\(clock)".utf8) + path.suffix(4)
    }

    /// Determines what an archive must have after a backup of `tree` at `time`. `unseen` is true for the paths of which
    /// the backup learns nothing.
    mutating func expectBackup(at time: Timestamp, _ tree: FakeTree, unseen: ([UInt8]) -> Bool) {
        var now: [[UInt8]: ArchivedItem] = [:]
        for entry in tree.entries where !unseen(entry.path) || entry.fault == "list" {
            now[entry.path] = ArchivedItem(type: entry.stat.type, content: entry.content)
        }
        for (path, item) in expected {
            if let new = now[path] {
                // Another file has the name of a file that was gone. The archive keeps both.
                if item.goneSince != nil, item.type == .regular, new.content != item.content {
                    now[Self.displaced(path, at: time)] = item
                }
                continue
            }
            now[path] = item
            if !unseen(path) { now[path]?.goneSince = item.goneSince ?? time }
        }
        expected = now
    }
}

/// A stop signal that comes after a number of polls.
private final class Polls: Sendable {
    private let limit: Int?
    private let count = Mutex(0)

    init(until limit: Int?) { self.limit = limit }

    func areOver() -> Bool {
        guard let limit else { return false }
        return count.withLock {
            $0 += 1
            return $0 > limit
        }
    }
}

extension MemoryBench {
    /// Backs up to an archive.
    @discardableResult
    func archive(
        _ tree: any SourceTree, at time: Int64, _ events: EventLog = EventLog(), verbosely: Bool = false,
        excluding patterns: [String] = [], stoppingAfter stops: Int? = nil,
        _ change: (inout BackupRequest) -> Void = { _ in }
    ) throws -> BackupReport {
        var request = Self.request()
        request.time = Timestamp(seconds: time)
        request.archive = .yes
        change(&request)
        var exclusions = BackupExclusions()
        for pattern in patterns {
            exclusions.patterns.append(try PathPattern(Array(pattern.utf8), origin: "test"))
        }
        let polls = Polls(until: stops)
        let look: @Sendable (ManifestEntry, BackupEvent.Change) -> Void = { _, _ in }
        let backup = Backup(
            repository, of: tree, exclusions: exclusions, onEvent: events.note,
            onEntry: verbosely ? look : nil,
            stop: StopSignal { polls.areOver() })
        return try backup.run(request)
    }

    /// Returns the items of a snapshot, from its manifest and the restored content of its files.
    func archived(_ snapshot: CommitRecord) throws -> [[UInt8]: ArchivedItem] {
        let log = RestoreLog()
        let restored = try Self.restore(repository, snapshot, log).items
        #expect(log.failures.isEmpty)
        let reader = try ManifestReader(snapshot, repository: repository, index: try BlobIndex(repository))
        var items: [[UInt8]: ArchivedItem] = [:]
        while let record = try reader.next() {
            guard case .entry(let entry) = record else { continue }
            var content: [UInt8] = []
            if case .file(let bytes)? = restored[entry.path] { content = bytes }
            items[entry.path] = ArchivedItem(
                type: entry.stat.type, content: content, goneSince: entry.goneSince)
        }
        return items
    }

    /// Expects that a snapshot's counters count these items.
    func expectCounters(_ snapshot: CommitRecord, _ items: [[UInt8]: ArchivedItem], _ comment: Comment) {
        let files = items.values.filter { $0.type == .regular }
        #expect(snapshot.counters.files == UInt64(files.count), comment)
        #expect(snapshot.counters.bytes == UInt64(files.reduce(0) { $0 + $1.content.count }), comment)
        #expect(
            snapshot.counters.goneFiles == UInt64(files.filter { $0.goneSince != nil }.count), comment)
    }
}
