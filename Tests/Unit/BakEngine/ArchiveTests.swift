// Archives: items that the source no longer has stay in every later snapshot, whatever happens in between.

import BakCore
import BakEngine
import BakFormat
import BakStorage
import TestBench
import TestSupport
import Testing

@testable import BakRepository

@Suite struct ArchiveTests {
    private static let seeds = UInt64(1)...(isLong ? 300 : 25)

    /// Random histories with rules, and with folders that cannot be listed. Each archive is compared with
    /// `ArchiveHistory.expected`.
    @Test func everyHistoryGivesTheArchiveThatItMust() throws {
        var carried = 0
        for seed in Self.seeds {
            let bench = try MemoryBench()
            var history = ArchiveHistory(seed)
            var last: CommitRecord?
            for round in 0..<8 {
                let comment: Comment = "seed \(seed) round \(round)"
                if round > 0 { history.change(displacing: false) }
                var choice = SeededRandom(seed: seed &* 100 &+ UInt64(round))
                /// Sometimes returns a folder that exists. A folder that does not exist would count as gone, even if a
                /// rule excludes it.
                func folder(_ path: String) -> String? {
                    let isThere = history.entries[Array(path.utf8)] != nil
                    return Int.random(in: 0..<4, using: &choice) == 0 && isThere ? path : nil
                }
                let left = folder("s/f1")
                let unlisted = folder("s/f2").map { Array($0.utf8) }
                let tree = history.tree(faults: unlisted.map { [$0: "list"] } ?? [:])
                let time = Int64(5000 + round)
                let report = try bench.archive(
                    tree, at: time, verbosely: Int.random(in: 0..<3, using: &choice) == 0,
                    excluding: left.map { ["/" + $0] } ?? []
                ) { request in
                    if Int.random(in: 0..<4, using: &choice) == 0 { request.parent = .none }
                    if let last, Int.random(in: 0..<5, using: &choice) == 0 {
                        request.parent = .snapshot(last.id)
                    }
                }
                history.expectBackup(at: Timestamp(seconds: time), tree) { path in
                    left.map { PathOrder.isAtOrBeneath(path, Array($0.utf8)) } == true
                        || unlisted.map { path != $0 && PathOrder.isAtOrBeneath(path, $0) } == true
                }
                let snapshot = try #require(report.snapshot)
                let items = try bench.archived(snapshot)
                for (path, item) in history.expected where items[path] != item {
                    Issue.record("\(comment): \(path.absoluteText): \(items[path] as Any), not \(item)")
                }
                #expect(items.count == history.expected.count, comment)
                #expect(snapshot.isArchive, comment)
                bench.expectCounters(snapshot, items, comment)
                carried += Int(snapshot.counters.goneFiles)
                if last == nil { last = snapshot }
            }
            #expect(try MemoryBench.check(bench.repository).report.isClean)
        }
        #expect(carried > 100)
    }

    /// Files and folders take each other's names. No content is lost, and all of it restores, each item under a name of
    /// its own.
    @Test func whatTakesAnothersNameDoesNotTakeItsPlace() throws {
        for seed in Self.seeds {
            let bench = try MemoryBench()
            var history = ArchiveHistory(seed)
            /// For each path, the content that the source had there last.
            var seen: [[UInt8]: [UInt8]] = [:]
            /// All contents that the source did not have at some backup.
            var gone: Set<[UInt8]> = []
            for round in 0..<8 {
                if round > 0 { history.change(displacing: true) }
                gone.formUnion(seen.filter { history.entries[$0.key] == nil }.values)
                let snapshot = try #require(
                    try bench.archive(history.tree(), at: Int64(5000 + round * 3)).snapshot)
                for entry in history.entries.values where entry.stat.type == .regular {
                    seen[entry.path] = entry.content
                }
                let items = try bench.archived(snapshot)
                let contents = Set(items.values.filter { $0.type == .regular }.map(\.content))
                for (path, content) in seen where !contents.contains(content) {
                    Issue.record("seed \(seed) round \(round): what \(path.absoluteText) was is lost")
                }
                #expect(gone.isSubset(of: contents), "seed \(seed) round \(round): what was gone is lost")
                for entry in history.entries.values {
                    #expect(items[entry.path]?.goneSince == nil && items[entry.path]?.type == entry.stat.type)
                }
                bench.expectCounters(snapshot, items, "seed \(seed) round \(round)")
            }
            #expect(try MemoryBench.check(bench.repository).report.isClean)
        }
    }

    /// An interrupted run leaves a partial snapshot. The archive also has the files that are only in partial snapshots.
    @Test func interruptedRunsAreLinksOfTheChain() throws {
        var interrupted = 0
        for seed in Self.seeds {
            let bench = try MemoryBench()
            var history = ArchiveHistory(seed)
            try bench.archive(history.tree(), at: 5000)
            var seen: [[UInt8]: [UInt8]] = [:]
            for round in 0..<6 {
                history.change(displacing: false)
                let stops = round < 5 ? Int(seed) * 7 % 90 + round * 10 : nil
                let report = try bench.archive(
                    history.tree(), at: Int64(5001 + round), stoppingAfter: stops)
                guard let snapshot = report.snapshot else { continue }
                if report.wasInterrupted { interrupted += 1 }
                for (path, item) in try bench.archived(snapshot) where item.type == .regular {
                    seen[path] = item.content
                }
            }
            let last = try #require(try bench.repository.snapshots().readable.last { $0.isComplete })
            let items = try bench.archived(last)
            for path in seen.keys where items[path] == nil {
                Issue.record("seed \(seed): \(path.absoluteText) is in no link of the chain any more")
            }
        }
        #expect(interrupted > 10)
    }

    /// If gone items stay gone, the archive takes over their entries as they are stored. Nothing is added.
    @Test func anUnchangedArchiveStoresNothing() throws {
        let bench = try MemoryBench()
        var history = ArchiveHistory(3)
        try bench.archive(history.tree(), at: 5000)
        for number in 0..<4 { history.remove("s/f\(number)") }
        let first = try #require(try bench.archive(history.tree(), at: 5001).snapshot)
        let second = try #require(try bench.archive(history.tree(), at: 5002).snapshot)
        #expect(first.counters.goneFiles > 10)
        #expect(second.root == first.root && second.counters.addedBlobs == 0)
        #expect(second.counters.newlyGoneFiles == 0 && first.counters.newlyGoneFiles > 10)
    }

    /// Backups continue an archive until one is told to end it.
    @Test func anArchiveGoesOnUnasked() throws {
        let bench = try MemoryBench()
        var history = ArchiveHistory(4)
        try bench.archive(history.tree(), at: 5000)
        history.remove("s/f1")
        let report = try bench.archive(history.tree(), at: 5001) { $0.archive = .asBefore }
        let snapshot = try #require(report.snapshot)
        #expect(snapshot.isArchive && snapshot.counters.goneFiles > 0 && report.earlierArchive != nil)
        let end = try bench.archive(history.tree(), at: 5002) { $0.archive = .no }
        let ended = try #require(end.snapshot)
        #expect(!ended.isArchive && ended.counters.goneFiles == 0 && end.earlierArchive?.goneFiles ?? 0 > 0)
        #expect(ended.counters.newlyGoneFiles == 0)
        let after = try bench.archive(history.tree(), at: 5003) { $0.archive = .asBefore }
        #expect(after.snapshot?.isArchive == false && after.earlierArchive == nil)
    }

    /// Retention keeps only the newest archive, so that archive must have everything from earlier archives. This holds
    /// even if some snapshots between them are not archives.
    @Test(arguments: [false, true]) func anArchiveIsTakenUpAgain(_ stops: Bool) throws {
        let bench = try MemoryBench()
        var history = ArchiveHistory(14)
        for time in Int64(5000)...5002 {
            try bench.archive(history.tree(), at: time)
            history.expectBackup(at: Timestamp(seconds: time), history.tree()) { _ in false }
            history.remove("s/f\(time - 5000)")
        }
        let old = try #require(bench.repository.snapshots().readable.last)
        for time in Int64(5003)...5004 {
            try bench.archive(history.tree(), at: time) { $0.archive = .no }
            history.remove("s/f\(time - 5000)")
        }
        if stops {
            let partial = try bench.archive(history.tree(), at: 5005, stoppingAfter: 5)
            #expect(partial.wasInterrupted)
        }
        let report = try bench.archive(history.tree(), at: 5006)
        history.expectBackup(at: Timestamp(seconds: 5006), history.tree()) { _ in false }
        let snapshot = try #require(report.snapshot)
        #expect(report.resumedArchive?.id == old.id)
        let items = try bench.archived(snapshot)
        // Items that went while there was no archive count as gone since the backup that resumed the archive.
        for (path, item) in history.expected {
            #expect(items[path]?.content == item.content)
            #expect((items[path]?.goneSince != nil) == (item.goneSince != nil))
        }
        #expect(snapshot.counters.goneFiles > old.counters.goneFiles)
        let next = try bench.archive(history.tree(), at: 5007)
        #expect(next.resumedArchive == nil && next.snapshot?.root == snapshot.root)
    }

    /// A file cannot be read, or vanishes before it is read. The archive keeps its earlier state, and it does not count
    /// as gone.
    @Test(arguments: ["open", "read", "vanish", "fstat", "attributes", "stat"])
    func whatCannotBeReadGoesOnAsItWas(_ fault: String) throws {
        let bench = try MemoryBench()
        var history = ArchiveHistory(5)
        try bench.archive(history.tree(), at: 5000)
        history.expectBackup(at: Timestamp(seconds: 5000), history.tree()) { _ in false }
        let files = history.entries.values.filter { $0.stat.type == .regular && $0.content.count > 100 }
        let path = try #require(files.first).path
        let before = try #require(history.expected[path])
        history.entries[path]?.stat.mtime.seconds += 7
        let events = EventLog()
        let report = try bench.archive(history.tree(faults: [path: fault]), at: 5001, events)
        #expect(!events.failures.isEmpty)
        let items = try bench.archived(try #require(report.snapshot))
        #expect(items[path] == before || fault == "attributes" && items[path]?.content == before.content)
    }

    /// A source reuses inode numbers. A restore must not turn a gone file into a hard link of a present file with the
    /// same number.
    @Test func whatIsGoneIsNoFurtherNameOfAnything() throws {
        let bench = try MemoryBench()
        func file(_ path: String, _ content: String, time: Int64) -> FakeEntry {
            .file(path, Array(content.utf8)) {
                ($0.stat.inode, $0.stat.linkCount) = (77, 2)
                $0.stat.mtime.seconds = time
                $0.stat.ctime.seconds = time
            }
        }
        let root = FakeEntry.other("s", .directory)
        try bench.archive(
            FakeTree([root, file("s/a", "old", time: 1), file("s/b", "old", time: 1)]), at: 5000)
        let report = try bench.archive(
            FakeTree([root, file("s/c", "new!", time: 2), file("s/d", "new!", time: 2)]), at: 5001)
        let items = try bench.archived(try #require(report.snapshot))
        let contents = ["a", "b", "c", "d"].map { items[Array("s/\($0)".utf8)]?.content }
        #expect(contents == ["old", "old", "new!", "new!"].map { Array($0.utf8) })
    }

    /// The first archive takes over everything that its parent has, although the parent is not an archive.
    @Test func theFirstArchiveTakesOverWhatItsParentHas() throws {
        let bench = try MemoryBench()
        var history = ArchiveHistory(6)
        try bench.archive(history.tree(), at: 5000) { $0.archive = .asBefore }
        history.remove("s/f0")
        history.remove("s/f1")
        let snapshot = try #require(try bench.archive(history.tree(), at: 5001).snapshot)
        #expect(snapshot.isArchive && snapshot.counters.goneFiles > 0)
    }

    /// If content is only in condemned packs, the backup stores it again, because the source no longer has it.
    @Test func contentOfCondemnedPacksIsStoredAnew() throws {
        let bench = try MemoryBench()
        var history = ArchiveHistory(7)
        try bench.archive(history.tree(), at: 5000)
        let before = history.entries
        for number in 0..<6 { history.remove("s/f\(number)") }
        let repository = bench.repository
        let packs = try BlobIndex(repository).packs.filter { $0.kind == .chunkPack }.map(\.id).sorted()
        let plan = CollectionPlan(
            number: 1,
            origin: RecordOrigin(time: Timestamp(seconds: 0), host: "h", program: "p"), condemned: packs)
        _ = try plan.encode(FrameContext(repository: repository.config.id, sealer: .plain))
            .withUnsafeBytes { try bench.store.put(ObjectKey("gc/1.plan"), $0) }
        let snapshot = try #require(try bench.archive(history.tree(), at: 5001).snapshot)
        for key in bench.store.contents.keys
        where packs.contains(where: { key.description.hasSuffix($0.description) }) {
            try bench.store.delete(key)
        }
        let items = try bench.archived(snapshot)
        for entry in before.values where entry.stat.type == .regular {
            #expect(items[entry.path]?.content == entry.content)
        }
    }

    /// The ways to harm an archive's commit record.
    enum Harm: CaseIterable { case missing, cut, changed }

    /// The commit record of an archive is damaged. The next archive still has the files that only the damaged one has,
    /// because the spare says what they are. If the record is missing, the backup fails until a repair brings it back.
    @Test(arguments: Harm.allCases) func aDamagedRecordTakesNothingOutOfTheArchive(_ harm: Harm) throws {
        let bench = try MemoryBench()
        var history = ArchiveHistory(21)
        try bench.archive(history.tree(), at: 5000)
        history.add(.file("s/only.jpg", Array("only here".utf8)))
        history.add(.file("s/large.jpg", history.random.bytes(5000)))
        let newest = try #require(try bench.archive(history.tree(), at: 5001).snapshot)
        let expected = try bench.archived(newest)
        history.remove("s/only.jpg")
        history.remove("s/large.jpg")
        try bench.harm(ObjectNames.snapshot(newest.id), harm)
        if harm == .missing {
            #expect(throws: ArchiveEndsError.self) { try bench.archive(history.tree(), at: 5002) }
            _ = try RepairSnapshots(bench.repository, RepairRequest(host: "host", program: "test")).run()
        }
        let next = try #require(
            try bench.archive(history.tree(), at: 5002) { $0.archive = .asBefore }.snapshot)
        #expect(next.isArchive && next.parent == newest.id && next.counters.goneFiles == 2)
        let items = try bench.archived(next)
        for (path, item) in expected { #expect(items[path]?.content == item.content) }
    }

    /// If nothing shows what an unreadable archive has, a backup does not continue the archive, unless a later archive
    /// stands for it.
    @Test(arguments: Harm.allCases) func nothingIsArchivedInIgnorance(_ harm: Harm) throws {
        let bench = try MemoryBench()
        let history = ArchiveHistory(22)
        try bench.archive(history.tree(), at: 5000)
        let middle = try #require(try bench.archive(history.tree(), at: 5001).snapshot)
        let newest = try #require(try bench.archive(history.tree(), at: 5002).snapshot)
        for key in [ObjectNames.snapshot(middle.id), ObjectNames.spare(middle.id)] {
            try bench.harm(key, harm)
        }
        let after = try #require(try bench.archive(history.tree(), at: 5003).snapshot)
        #expect(after.parent == newest.id)
        let last = harm == .missing ? .cut : harm
        for key in [ObjectNames.snapshot(after.id), ObjectNames.spare(after.id)] { try bench.harm(key, last) }
        let error = #expect(throws: ArchiveEndsError.self) {
            try bench.archive(history.tree(), at: 5004)
        }
        #expect(error?.snapshot.id == after.id)
        #expect(try bench.archive(history.tree(), at: 5005) { $0.archive = .no }.snapshot != nil)
    }
}

extension MemoryBench {
    fileprivate func harm(_ key: ObjectKey, _ harm: ArchiveTests.Harm) throws {
        var bytes = try store.readWhole(key, upTo: 1 << 20)
        switch harm {
        case .missing: bytes = []
        case .cut: bytes.removeLast()
        case .changed: bytes[bytes.count / 2] ^= 1
        }
        try store.delete(key)
        if harm != .missing { _ = try bytes.withUnsafeBytes { try store.put(key, $0) } }
    }
}

extension [UInt8] {
    fileprivate var absoluteText: String { "/" + String(decoding: self, as: UTF8.self) }
}
