import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@Suite struct SourceFaultTests {
    private let random: [UInt8] = {
        let generator = SeededRandom(seed: 1)
        return generator.bytes(5000)
    }()

    /// Backs up and restores a source, and compares the result with the source, except for the entries in `missing`.
    private func run(
        _ tree: FakeTree, without missing: [String] = [], failures: Int,
        _ change: (inout BackupRequest) -> Void = { _ in }
    ) throws -> (EventLog, BackupReport) {
        let bench = try MemoryBench()
        let events = EventLog()
        let report = try bench.backup(tree, events, change)
        #expect(events.failures.count == failures, "\(events.failures)")
        #expect(report.counters.failedItems == UInt64(failures))
        let snapshot = try #require(report.snapshot)
        #expect(snapshot.isComplete)
        let log = RestoreLog()
        let target = try MemoryBench.restore(bench.repository, snapshot, log)
        #expect(log.failures.isEmpty)
        var expected = tree.expected
        for path in missing { expected[Array(path.utf8)] = nil }
        #expect(target.items == expected)
        #expect(try MemoryBench.check(bench.repository).report.isClean)
        return (events, report)
    }

    @Test(arguments: ["open", "vanish", "fstat", "read"])
    func aFileThatCannotBeReadIsAFailedItem(fault: String) throws {
        let tree = FakeTree([
            .other("s", .directory), .file("s/a", random),
            .file("s/b", random.reversed()) { ($0.fault, $0.faultOffset) = (fault, 2000) },
            .file("s/c", [1, 2, 3]),
        ])
        let (_, report) = try run(tree, without: ["s/b"], failures: 1)
        #expect(report.counters.files == 2)
    }

    @Test func whatIsBeneathAFolderWithUnreadableAttributesComesBack() throws {
        let tree = FakeTree([
            .other("s", .directory), .other("s/d", .directory) { $0.fault = "attributes" },
            .file("s/d/a", random), .other("s/link", .symlink) { $0.fault = "attributes" },
            .file("s/x", random) { $0.fault = "attributes" },
        ])
        let (_, report) = try run(tree, without: ["s/link"], failures: 3)
        #expect(report.counters.folders == 2)
    }

    @Test func unlistableFoldersAndUnknownEntriesAreFailedItems() throws {
        let tree = FakeTree([
            .other("s", .directory), .file("s/a") { $0.fault = "stat" },
            .other("s/d", .directory) { $0.fault = "list" }, .file("s/z", random),
        ])
        _ = try run(tree, without: ["s/a"], failures: 2)
    }

    @Test func specialFilesAreRecordedAndNeverOpened() throws {
        let tree = FakeTree([
            .other("s", .directory), .other("s/block", .blockDevice), .other("s/char", .characterDevice),
            .other("s/fifo", .fifo), .file("s/file", random), .other("s/link", .symlink),
            .other("s/socket", .socket),
        ])
        let (_, report) = try run(tree, failures: 0)
        #expect(report.counters.others == 5)
        #expect(tree.opened.withLock { $0 } == [Array("s/file".utf8)])
    }

    @Test func pathsOutOfOrderTwiceOrImpossibleAreFailedItems() throws {
        let tree = FakeTree([
            .other("s", .directory), .file("s/b", random), .file("s/a", random), .file("s/b", random),
            .file("s/c/../d", random), .file("s/e//f", random),
            .file("s/" + String(repeating: "n", count: 2000), random),
            .file("s/o") { $0.attributes.userName = [UInt8](repeating: 1, count: 2000) },
            .file("s/x") {
                $0.attributes.extendedAttributes = ["b", "a"].map {
                    ExtendedAttribute(name: Array($0.utf8), value: [])
                }
            },
            .file("s/z", random),
        ])
        let kept = ["s", "s/b", "s/z"].map { Array($0.utf8) }
        let missing = tree.entries.map(\.path).filter { !kept.contains($0) }
        _ = try run(tree, without: missing.map { String(decoding: $0, as: UTF8.self) }, failures: 7)
    }

    @Test func aRequestThatNoRecordCanHoldIsRefusedBeforeAnythingIsStored() throws {
        let bench = try MemoryBench()
        let before = bench.store.contents.count
        #expect(throws: RepositoryError.self) {
            try bench.backup(FakeTree([.file("s")])) { $0.tags = [String(repeating: "t", count: 2000)] }
        }
        #expect(throws: RepositoryError.self) {
            try bench.backup(FakeTree([.file("s")])) {
                $0.paths += (0..<100_000).map { Array("\($0)/a path of more than forty bytes in all".utf8) }
            }
        }
        #expect(bench.store.contents.count == before)
    }

    @Test func excludedEntriesAreToldAndNeitherReadNorEntered() throws {
        let bench = try MemoryBench()
        let tree = FakeTree([
            .other("s", .directory), .other("s/d", .directory), .file("s/d/a", random), .file("s/e", random),
        ])
        let events = EventLog()
        var exclusions = BackupExclusions()
        exclusions.patterns = [try PathPattern(Array("d".utf8), origin: "test")]
        let report = try bench.backup(tree, events, exclusions: exclusions)
        #expect(report.excludedItems == 1)
        #expect(report.counters.files == 1)
        #expect(tree.opened.withLock { $0 } == [Array("s/e".utf8)])
    }

    @Test(arguments: [["s", "t"], [""]])
    func oneFileSystemStaysOnTheOneOfTheNearestRoot(paths: [String]) throws {
        let bench = try MemoryBench()
        func on(_ device: UInt64) -> (inout FakeEntry) -> Void { { $0.stat.device = device } }
        let tree = FakeTree(
            [
                .other("s", .directory, on(1)), .file("s/a", random, on(1)), .file("s/bind", [1], on(2)),
                .other("s/mount", .directory, on(2)), .file("s/mount/x", random, on(2)),
                .other("t", .directory, on(2)), .file("t/b", random, on(2)),
                .other("t/mount", .directory, on(1)), .file("t/mount/y", random, on(1)),
            ], topDevice: 1)
        var exclusions = BackupExclusions()
        exclusions.oneFileSystem = true
        let report = try bench.backup(
            tree, EventLog(), { $0.paths = paths.map { Array($0.utf8) } }, exclusions: exclusions)
        let target = try MemoryBench.restore(bench.repository, try #require(report.snapshot))
        let found = target.items.keys.map { String(decoding: $0, as: UTF8.self) }.sorted()
        #expect(
            found
                == (paths == [""]
                    ? ["s", "s/a", "s/mount", "t"] : ["s", "s/a", "s/mount", "t", "t/b", "t/mount"]))
    }

    /// Several names of one inode. When the backup opens the first name, the file there is not the one that the walk
    /// saw.
    @Test func aNameWhoseFirstNameIsGoneOrReplacedIsReadByItself() throws {
        func linked(_ path: String, _ inode: UInt64, _ fault: String? = nil, replaced: Bool = false)
            -> FakeEntry
        {
            .file(path, random) {
                ($0.stat.inode, $0.stat.linkCount, $0.fault) = (inode, 3, fault)
                guard replaced else { return }
                var stat = $0.stat
                (stat.inode, stat.size, stat.linkCount) = (77, 100, 1)
                $0.replacement = (stat, [UInt8](repeating: 7, count: 100))
            }
        }
        let tree = FakeTree([
            .other("s", .directory), linked("s/a", 5, "vanish"), linked("s/b", 5), linked("s/c", 5),
            linked("s/d", 6, replaced: true), linked("s/e", 6), linked("s/f", 6),
        ])
        let bench = try MemoryBench()
        let report = try bench.backup(tree)
        #expect(report.counters.failedItems == 1)
        let target = try MemoryBench.restore(bench.repository, try #require(report.snapshot))
        for name in ["s/b", "s/c", "s/e", "s/f"] { #expect(target.items[Array(name.utf8)] == .file(random)) }
        #expect(target.items[Array("s/d".utf8)] == .file([UInt8](repeating: 7, count: 100)))
    }

    @Test func linkCountsThatChangeDuringTheWalkHarmNothing() throws {
        var entries: [FakeEntry] = [.other("s", .directory)]
        for (number, count) in [2, 3, 3, 1, 9, 2, 2].enumerated() {
            entries.append(
                .file("s/\(number)", random) { ($0.stat.inode, $0.stat.linkCount) = (5, UInt32(count)) })
        }
        _ = try run(FakeTree(entries), failures: 0)
    }
}
