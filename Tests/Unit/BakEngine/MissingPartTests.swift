// A snapshot records which parts could not be read. A restore uses this and does not replace a complete file by a part
// of it. The next backup and copies use it, too.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

@Suite struct MissingPartTests {
    private static let whole: [UInt8] = Array(repeating: 3, count: 2000)

    /// Returns a source. If it is faulty, `short` has less content than its size, and `bare` and a folder lack an
    /// attribute.
    private static func tree(isFaulty: Bool) -> FakeTree {
        let attribute = ExtendedAttribute(name: Array("user.a".utf8), value: [1])
        var entries: [FakeEntry] = [.other("s", .directory), .other("s/folder", .directory)]
        for name in ["bare", "fine", "short"] {
            entries.append(.file("s/folder/\(name)", whole))
        }
        for number in entries.indices {
            entries[number].attributes.extendedAttributes = [attribute]
            guard isFaulty else { continue }
            switch expected[String(decoding: entries[number].path, as: UTF8.self)] {
            case .content: entries[number].content = Array(whole.prefix(600))
            case .attributes:
                entries[number].fault = "an attribute"
                entries[number].attributes.extendedAttributes = []
            default: break
            }
        }
        return FakeTree(entries.sorted { PathOrder.precedes($0.path, $1.path) })
    }

    private static func missing(
        _ repository: Repository, _ snapshot: CommitRecord
    ) throws -> [String: MissingParts] {
        let reader = try ManifestReader(snapshot, repository: repository, index: try BlobIndex(repository))
        var missing: [String: MissingParts] = [:]
        while let record = try reader.next() {
            guard case .entry(let entry) = record, !entry.missing.isEmpty else { continue }
            missing[String(decoding: entry.path, as: UTF8.self)] = entry.missing
        }
        return missing
    }

    private static let expected: [String: MissingParts] = [
        "s/folder": .attributes, "s/folder/bare": .attributes, "s/folder/short": .content,
    ]

    /// Returns a snapshot of the faulty source.
    private func faulty(_ bench: MemoryBench) throws -> CommitRecord {
        let report = try bench.archive(Self.tree(isFaulty: true), at: 2) { $0.archive = .no }
        return try #require(report.snapshot)
    }

    @Test func aSnapshotSaysWhatItLacks() throws {
        let bench = try MemoryBench()
        let snapshot = try faulty(bench)
        #expect(snapshot.counters.failedItems == 3)
        #expect(try Self.missing(bench.repository, snapshot) == Self.expected)
        // Later backups read the incomplete items again until they are complete.
        let again = try bench.archive(Self.tree(isFaulty: true), at: 3) { $0.archive = .no }
        #expect(try Self.missing(bench.repository, try #require(again.snapshot)) == Self.expected)
        #expect(again.counters.failedItems == 3)
        let whole = try bench.archive(Self.tree(isFaulty: false), at: 4) { $0.archive = .no }
        #expect(try Self.missing(bench.repository, try #require(whole.snapshot)).isEmpty)
        #expect(whole.counters.failedItems == 0)
    }

    @Test(arguments: [false, true], [false, true])
    func aRestoreReplacesNothingByAPart(_ isTold: Bool, _ isThere: Bool) throws {
        let bench = try MemoryBench()
        let snapshot = try faulty(bench)
        let target = MemoryTarget()
        let path = Array("s/folder/short".utf8)
        if isThere {
            target.items = [
                Array("s".utf8): .folder, Array("s/folder".utf8): .folder, path: .file(Self.whole),
            ]
        }
        let told = Mutex<[String]>([])
        var request = RestoreRequest(snapshot: snapshot)
        request.replacesWithParts = isTold
        let index = try BlobIndex(bench.repository)
        let report = try Restore(
            bench.repository, index: index, to: target,
            onEvent: { event in
                switch event {
                case .incomplete(let path, _):
                    told.withLock { $0.append(String(decoding: path, as: UTF8.self)) }
                default: break
                }
            }
        ).run(request)
        let stays = isThere && !isTold
        #expect(target.items[path] == .file(stays ? Self.whole : Array(Self.whole.prefix(600))))
        #expect(report.failed == (stays ? 1 : 0) && report.incomplete == (stays ? 2 : 3))
        #expect(
            told.withLock { $0.sorted() }
                == Self.expected.keys.filter { !stays || $0 != "s/folder/short" }.sorted())
    }

    /// A copy records the same missing parts as its original, whether its manifest is copied or made anew.
    @Test(arguments: [false, true])
    func aCopyLacksWhatItsOriginalLacks(_ isVerbatim: Bool) throws {
        let bench = try MemoryBench()
        let snapshot = try faulty(bench)
        var options = MemoryBench.options
        if isVerbatim {
            options.secret = bench.repository.config.secret
            options.idAlgorithm = bench.repository.config.idAlgorithm
        }
        let cache = MemoryCache()
        let copies = try Repository.create(
            in: MemoryStore(), options: options, cache: cache, time: SimulatedTime(Timestamp(seconds: 9)),
            random: bench.repository.random)
        let report = try SnapshotCopy(
            CopyRequest(host: "h", program: "p"), from: bench.repository, to: copies
        ).run([snapshot])
        #expect(report.isVerbatim == isVerbatim && report.copied == 1 && report.failedFiles == 0)
        let copy = try #require(try copies.snapshots().readable.first)
        #expect(copy.counters.failedItems == 3)
        #expect(try Self.missing(copies, copy) == Self.expected)
        // The incomplete items do not count as unchanged.
        var next = MemoryBench.request()
        (next.time, next.archive) = (Timestamp(seconds: 20), .no)
        let after = try Backup(copies, of: Self.tree(isFaulty: true)).run(next)
        #expect(after.counters.failedItems == 3)
        #expect(try Self.missing(copies, try #require(after.snapshot)) == Self.expected)
    }

    /// A removal from an archive keeps the record of the missing parts of all other items.
    @Test func anArchiveWithoutSomethingLacksTheRest() throws {
        let bench = try MemoryBench()
        let report = try bench.archive(Self.tree(isFaulty: true), at: 2)
        let request = ArchiveRemovalRequest(
            snapshot: try #require(report.snapshot), paths: [Array("s/folder/fine".utf8)], host: "h",
            program: "p")
        var forced = request
        forced.takesPresent = true
        let removal = try ArchiveRemoval(forced, from: bench.repository).run()
        let snapshot = try #require(removal.snapshot)
        #expect(snapshot.counters.failedItems == 3)
        #expect(try Self.missing(bench.repository, snapshot) == Self.expected)
    }
}
