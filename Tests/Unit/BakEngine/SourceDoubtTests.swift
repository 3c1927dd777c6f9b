// Doubts: if a path has lost all or more than half of its files, perhaps a disk is not mounted. The snapshot is then in
// doubt, until a later backup confirms or refutes the doubt.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@Suite struct SourceDoubtTests {
    /// Returns a source with a number of files in each folder. A number below 0 makes a folder that cannot be listed.
    private static func tree(_ counts: KeyValuePairs<String, Int>, generation: Int = 0) -> FakeTree {
        var entries: [FakeEntry] = []
        for (folder, count) in counts {
            entries.append(.other(folder, .directory) { if count < 0 { $0.fault = "list" } })
            for number in 0..<max(0, count) {
                entries.append(
                    .file("\(folder)/\(number).jpg", Array("\(folder) \(number) \(generation)".utf8)))
            }
        }
        return FakeTree(entries.sorted { PathOrder.precedes($0.path, $1.path) })
    }

    /// Backs up two paths, a and b. Returns the names of those that are in doubt.
    private func doubted(
        _ bench: MemoryBench, _ a: Int, _ b: Int, at time: Int64, generation: Int = 0,
        _ change: (inout BackupRequest) -> Void = { _ in }
    ) throws -> String {
        let report = try bench.archive(Self.tree(["a": a, "b": b], generation: generation), at: time) {
            $0.paths = [Array("b".utf8), Array("a".utf8)]
            $0.archive = .asBefore
            change(&$0)
        }
        let record = try #require(report.snapshot)
        #expect(
            record.doubtfulPaths.map { record.paths[$0] } == report.doubts.shrunken.map(\.path))
        return report.doubts.shrunken.map { String(decoding: $0.path, as: UTF8.self) }.sorted().joined()
    }

    private func standing(_ bench: MemoryBench) throws -> [Int64] {
        let all = try bench.repository.snapshots().readable
        let doubts = SnapshotDoubts(among: all)
        return all.filter { doubts.standing.contains($0.id) }.map(\.time.seconds)
    }

    @Test(arguments: [
        (1, 0, true), (5, 0, true), (5, 5, false), (5, 3, false), (5, 2, true), (10, 5, false),
        (10, 4, true), (2, 1, false), (3, 1, true), (0, 0, false), (0, 9, false), (4, 9, false),
        (1000, 500, false), (1000, 499, true), (3, -1, true),
    ])
    func moreThanHalf(_ before: Int, _ now: Int, _ isInDoubt: Bool) throws {
        for parent in [BackupRequest.ParentChoice.latest, .none] {
            for isArchive in [false, true] {
                let bench = try MemoryBench()
                let archive: BackupRequest.ArchiveChoice = isArchive ? .yes : .no
                _ = try doubted(bench, before, 7, at: 1) { $0.archive = archive }
                let found = try doubted(bench, now, 7, at: 2) { ($0.parent, $0.archive) = (parent, archive) }
                #expect(found == (isInDoubt ? "a" : ""))
                #expect(try standing(bench) == (isInDoubt ? [2] : []))
            }
        }
    }

    @Test func theNextBackupAgreesOrRefutes() throws {
        for isArchive in [false, true] {
            let archive: BackupRequest.ArchiveChoice = isArchive ? .yes : .no
            func bench() throws -> MemoryBench {
                let bench = try MemoryBench()
                _ = try doubted(bench, 20, 20, at: 1) { $0.archive = archive }
                #expect(try doubted(bench, 0, 20, at: 2) { $0.archive = archive } == "a")
                #expect(try standing(bench) == [2])
                return bench
            }
            // The same state again confirms nothing, however often, with or without new snapshots.
            let same = try bench()
            for night in Int64(3)...5 {
                #expect(try doubted(same, 0, 20, at: night) == "a")
                #expect(try standing(same) == Array(2...night))
                let skipped = try same.archive(Self.tree(["a": 0, "b": 20]), at: night) {
                    $0.paths = [Array("a".utf8), Array("b".utf8)]
                    ($0.archive, $0.skipsIfUnchanged) = (.asBefore, true)
                }
                #expect(skipped.wasUnchanged && skipped.doubts.shrunken.map(\.before) == [20])
            }
            #expect(try doubted(same, 0, 20, at: 6) { $0.allowsEmpty = true } == "")
            #expect(try standing(same) == [])
            #expect(try doubted(same, 0, 20, at: 7) == "")
            // The path has less than half of its files, and again. The second backup confirms that this is intended.
            let less = try MemoryBench()
            _ = try doubted(less, 20, 20, at: 1) { $0.archive = archive }
            #expect(try doubted(less, 9, 20, at: 2) == "a")
            #expect(try doubted(less, 9, 20, at: 3) { $0.skipsIfUnchanged = true } == "")
            #expect(try standing(less) == [])
            // The files are back, which refutes the doubtful snapshot.
            let back = try bench()
            #expect(try doubted(back, 20, 20, at: 3) == "")
            #expect(try standing(back) == [])
            let all = try back.repository.snapshots().readable
            #expect(SnapshotDoubts(among: all).refuted == [all[1].id])
            // Only some files are back, which neither confirms nor refutes.
            let some = try bench()
            #expect(try doubted(some, 5, 20, at: 3) == "a")
            #expect(try standing(some) == [2, 3])
            #expect(try doubted(some, 5, 20, at: 4) == "")
            #expect(try standing(some) == [])
            // The other path is empty now, too.
            let other = try bench()
            #expect(try doubted(other, 0, 0, at: 3) == "ab")
            #expect(try doubted(other, 0, 0, at: 4) == "ab")
            #expect(try standing(other) == [2, 3, 4])
            // A path that is confirmed stays in doubt as long as the other path is.
            #expect(try doubted(other, 0, 5, at: 5) == "ab")
            #expect(try doubted(other, 0, 5, at: 6) == "ab")
            #expect(try doubted(other, 20, 5, at: 7) == "")
            #expect(try standing(other) == [])
            // The other path is empty instead.
            let instead = try bench()
            #expect(try doubted(instead, 20, 0, at: 3) == "b")
            #expect(try standing(instead) == [2, 3])
            // The folder cannot even be read, so the backup confirms nothing.
            let unread = try bench()
            #expect(try doubted(unread, -1, 20, at: 3) == "a")
            #expect(try standing(unread) == [2, 3])
            // The user says that the empty folder is intended.
            let meant = try bench()
            #expect(try doubted(meant, 0, 20, at: 3) { $0.allowsEmpty = true } == "")
            #expect(try standing(meant) == [])
        }
    }

    /// Files that come back after a doubt need not be read again.
    @Test func whatComesBackIsNotReadAgain() throws {
        for isArchive in [false, true] {
            let bench = try MemoryBench()
            func back(_ a: Int, at time: Int64) throws -> BackupReport {
                try bench.archive(Self.tree(["a": a, "b": 20]), at: time) {
                    $0.paths = [Array("a".utf8), Array("b".utf8)]
                    $0.archive = isArchive ? .yes : .no
                }
            }
            _ = try back(20, at: 1)
            _ = try back(0, at: 2)
            let report = try back(20, at: 3)
            #expect(report.counters.unmodifiedFiles == 40 && report.counters.readBytes == 0)
        }
    }

    /// When all snapshots with the files are forgotten, nothing shows how many files there were.
    @Test func nothingConfirmsNothingThoughNoOneKnowsBetter() throws {
        let bench = try MemoryBench()
        _ = try doubted(bench, 20, 20, at: 1) { $0.archive = .no }
        let first = try #require(bench.repository.snapshots().readable.first)
        #expect(try doubted(bench, 0, 20, at: 2) == "a")
        try bench.repository.forget([first.id], host: "h", program: "p")
        #expect(try doubted(bench, 0, 20, at: 3) == "a")
        #expect(try standing(bench) == [2, 3])
        #expect(try doubted(bench, 3, 20, at: 4) == "")
        #expect(try standing(bench) == [])
    }

    @Test func aFirstBackupTellsOfEmptyFolders() throws {
        func empty(_ tree: FakeTree, _ paths: [String], excluding patterns: [String] = []) throws -> [String]
        {
            let bench = try MemoryBench()
            let request = { (request: inout BackupRequest) in
                (request.paths, request.archive) = (paths.map { Array($0.utf8) }, .no)
            }
            let first = try bench.archive(tree, at: 1, excluding: patterns, request)
            let second = try bench.archive(tree, at: 2, excluding: patterns, request)
            #expect(second.emptyFolders.isEmpty)
            return first.emptyFolders.map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(try empty(Self.tree(["a": 0, "b": 0, "c": 1]), ["c", "b", "a"]) == ["b", "a"])
        #expect(try empty(Self.tree(["a": 0, "a/b": 0]), ["a"]) == ["a"])
        #expect(try empty(Self.tree(["a": 0, "a/b": 1]), ["a"]) == [])
        #expect(try empty(Self.tree(["a": -1]), ["a"]) == [])
        #expect(try empty(Self.tree(["a": 1]), ["a"], excluding: ["*.jpg"]) == [])
    }

    @Test func theFirstSnapshotAndOtherPathsAreNoDoubt() throws {
        let bench = try MemoryBench()
        #expect(try doubted(bench, 0, 0, at: 1) == "")
        _ = try doubted(bench, 9, 9, at: 2)
        let alone = try bench.archive(Self.tree(["a": 0]), at: 3) { $0.paths = [Array("a".utf8)] }
        #expect(alone.doubts.isEmpty && alone.snapshot?.doubtfulPaths == [])
    }

    /// Files that a rule excludes are not gone, as long as some files are stored.
    @Test func aRuleThatLeavesOutSomeIsNoDoubt() throws {
        let bench = try MemoryBench()
        try bench.archive(Self.tree(["s": 20]), at: 1) { $0.archive = .no }
        for patterns in [["/s/1?.jpg", "/s/2.jpg"], ["/s/1?.jpg", "/s/[1-9].jpg"]] {
            let report = try bench.archive(
                Self.tree(["s": 20]), at: 2, excluding: patterns
            ) { $0.archive = .no }
            #expect(report.doubts.isEmpty && report.counters.newlyGoneFiles == 0)
        }
    }

    /// An interrupted run causes no doubt, however few files it reached.
    @Test func anInterruptedRunIsNoDoubt() throws {
        for isArchive in [false, true] {
            let bench = try MemoryBench()
            try bench.archive(Self.tree(["s": 200]), at: 1) { $0.archive = isArchive ? .yes : .no }
            for stops in stride(from: 1, to: 400, by: 37) {
                let report = try bench.archive(
                    Self.tree(["s": 190], generation: stops), at: 2, stoppingAfter: stops
                ) { $0.archive = isArchive ? .yes : .no }
                #expect(report.doubts.isEmpty)
                guard report.wasInterrupted, let partial = report.snapshot, isArchive else { continue }
                // No file that the walk had not reached counts as gone.
                let gone = try bench.archived(partial).filter { $0.value.goneSince != nil }
                #expect(gone.count <= 10)
            }
        }
    }

    /// A moved file is not gone, although its old path is. The backup reports the paths of files that are gone.
    @Test func whatHasGoneIsCountedAndNamed() throws {
        let bench = try MemoryBench()
        try bench.archive(Self.tree(["s": 9]), at: 1) { $0.archive = .no }
        let events = EventLog()
        let report = try bench.archive(Self.tree(["s": 6]), at: 2, events) { $0.archive = .no }
        let gone = events.all.compactMap { event -> String? in
            if case .gone(let path) = event { String(decoding: path, as: UTF8.self) } else { nil }
        }
        #expect(gone == ["s/6.jpg", "s/7.jpg", "s/8.jpg"])
        #expect(report.counters.newlyGoneFiles == 3 && report.snapshot?.counters.newlyGoneFiles == 3)
        #expect(report.snapshot?.counters.goneFiles == 0)
    }
}
