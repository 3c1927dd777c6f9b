// Branches of an archive: two archives of which neither has everything of the other. They arise from a copy, two runs
// at once, a date in the past, or a snapshot that was taken back. The next archive joins the branches, and thus has the
// files of all of them. Until then, retention keeps each branch. A file that was removed from the archive does not come
// back.

import BakCore
import BakEngine
import BakFormat
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

@testable import BakRepository

@Suite struct ArchiveBranchTests {
    /// Returns a source with a file for each letter.
    private static func tree(_ letters: String) -> FakeTree {
        FakeTree(
            [.other("s", .directory)]
                + letters.sorted().map { .file("s/\($0).jpg", Array("content of \($0)".utf8)) })
    }

    /// Returns the letters of the files in a snapshot.
    private static func letters(_ bench: MemoryBench, _ snapshot: CommitRecord?) throws -> String {
        let snapshot = try #require(snapshot)
        let index = try BlobIndex(bench.repository)
        let reader = try ManifestReader(snapshot, repository: bench.repository, index: index)
        var found: [String] = []
        while let record = try reader.next() {
            guard case .entry(let entry) = record, entry.stat.type == .regular else { continue }
            found.append(String(decoding: entry.path, as: UTF8.self).replacing("s/", with: ""))
        }
        return found.map { $0.replacing(".jpg", with: "") }.joined()
    }

    private static func copy(_ source: MemoryBench, _ target: MemoryBench, latest: Bool = false) throws {
        let all = try source.repository.snapshots().readable
        let report = try SnapshotCopy(
            CopyRequest(host: "h", program: "p"), from: source.repository, to: target.repository
        ).run(latest ? all.suffix(1) : all)
        #expect(report.failed == 0)
    }

    private static func second(_ first: MemoryBench, sameIDs: Bool = true) throws -> MemoryBench {
        try MemoryBench(
            options: sameIDs ? Repository.Options(like: first.repository.config) : MemoryBench.options)
    }

    private static func heads(_ bench: MemoryBench) throws -> [CommitRecord] {
        let list = try bench.repository.snapshotList()
        return list.order.heads(among: list.readable)
    }

    /// Forgets the snapshots that the rule `keep-last 1` does not keep.
    private static func applyRules(_ bench: MemoryBench) throws {
        let list = try bench.repository.snapshotList()
        var policy = RetentionPolicy()
        policy.counts[.last] = 1
        let retention = Retention(policy, now: bench.repository.time.now()) { _ in 0 }
        let decisions = retention.decide(list.readable, among: list.readable, list.order)
        let removed = decisions.flatMap(\.decisions).filter { !$0.isKept }.map(\.snapshot.id)
        try bench.repository.forget(removed, host: "h", program: "p")
    }

    @discardableResult
    private static func remove(_ letter: Character, from bench: MemoryBench, _ snapshot: CommitRecord?)
        throws -> CommitRecord
    {
        var request = ArchiveRemovalRequest(
            snapshot: try #require(snapshot), paths: [Array("s/\(letter).jpg".utf8)], host: "h", program: "p")
        request.takesPresent = true
        return try #require(try ArchiveRemoval(request, from: bench.repository).run().snapshot)
    }

    @Test(arguments: [true, false]) func twoDisksWithACopy(sameIDs: Bool) throws {
        let a = try MemoryBench()
        let b = try Self.second(a, sameIDs: sameIDs)
        try a.archive(Self.tree("ab"), at: 100)
        try Self.copy(a, b)
        try b.archive(Self.tree("abn"), at: 200) { $0.archive = .asBefore }
        try a.archive(Self.tree("ac"), at: 300) { $0.archive = .asBefore }
        try Self.copy(a, b)
        #expect(try Self.heads(b).count == 2)
        try Self.applyRules(b)
        #expect(try b.repository.snapshots().readable.count == 2)
        let report = try b.archive(Self.tree("a"), at: 400) { $0.archive = .asBefore }
        #expect(try Self.letters(b, report.snapshot) == "abcn")
        #expect(report.joinedArchives.count == 1 && report.snapshot?.joined.count == 1)
        try Self.applyRules(b)
        #expect(try b.repository.snapshots().readable.count == 1)
        // A branch is joined only once, so the next archive joins none.
        let next = try b.archive(Self.tree("a"), at: 500) { $0.archive = .asBefore }
        #expect(next.joinedArchives.isEmpty && next.snapshot?.joined.isEmpty == true)
        #expect(next.snapshot?.root == report.snapshot?.root)
        // The joined archive is copied back to the first disk. There, it stands for all archives.
        try Self.copy(b, a)
        #expect(try Self.heads(a).map(\.time.seconds) == [500])
        #expect(try MemoryBench.check(b.repository).report.isClean)
    }

    /// A copied snapshot that is not an archive does not end the archive of another branch. It ends the archive that it
    /// follows.
    @Test func copiesThatAreNoArchives() throws {
        let a = try MemoryBench()
        let b = try Self.second(a)
        try a.archive(Self.tree("ab"), at: 100)
        try Self.copy(a, b)
        try b.archive(Self.tree("abn"), at: 200)
        try a.archive(Self.tree("a"), at: 300) { $0.archive = .no }
        try Self.copy(a, b)
        let next = try b.archive(Self.tree("a"), at: 400) { $0.archive = .asBefore }
        #expect(try Self.letters(b, next.snapshot) == "abn")
        #expect(next.resumedArchive?.time.seconds == 200)
        let c = try Self.second(a)
        try Self.copy(a, c)
        #expect(try c.archive(Self.tree("a"), at: 400) { $0.archive = .asBefore }.isArchive == false)
    }

    @Test func twoRunsAtOnce() throws {
        let bench = try MemoryBench()
        try bench.archive(Self.tree("ab"), at: 100)
        let isOther = Mutex(true)
        var request = MemoryBench.request()
        (request.time, request.archive) = (Timestamp(seconds: 200), .asBefore)
        let first = try Backup(
            bench.repository, of: Self.tree("abn"),
            stop: StopSignal {
                let isFirst = isOther.withLock { isOther in
                    defer { isOther = false }
                    return isOther
                }
                if isFirst { _ = try? bench.archive(Self.tree("a"), at: 201) }
                return false
            }
        ).run(request)
        #expect(try Self.letters(bench, first.snapshot) == "abn")
        #expect(try Self.heads(bench).count == 2)
        #expect(try Self.letters(bench, bench.archive(Self.tree("a"), at: 300).snapshot) == "abn")
    }

    @Test func aDateInThePast() throws {
        let bench = try MemoryBench()
        try bench.archive(Self.tree("ab"), at: 1000)
        let past = try bench.archive(Self.tree("abn"), at: 500) { $0.archive = .asBefore }
        // Its date is earlier than the other archive's, so it does not join that archive.
        #expect(past.snapshot?.isArchive == true && past.snapshot?.joined.isEmpty == true)
        let last = try bench.archive(Self.tree("a"), at: 2000) { $0.archive = .asBefore }
        #expect(try Self.letters(bench, last.snapshot) == "abn")
        try Self.applyRules(bench)
        #expect(try bench.repository.snapshots().readable.map(\.id) == [last.snapshot?.id])
    }

    @Test func whatIsTakenBack() throws {
        let bench = try MemoryBench()
        let first = try #require(try bench.archive(Self.tree("ab"), at: 100).snapshot)
        try bench.repository.forget([first.id], host: "h", program: "p")
        try bench.archive(Self.tree("b"), at: 200)
        guard case .back = try bench.repository.takeBack(first, host: "h", program: "p") else {
            Issue.record("it is not back")
            return
        }
        #expect(try Self.letters(bench, bench.archive(Self.tree("b"), at: 300).snapshot) == "ab")
    }

    /// A snapshot that is not an archive hands no files on from a forgotten archive, even if that archive is its
    /// parent.
    @Test func whatIsTakenBackAfterSnapshotsThatAreNone() throws {
        let bench = try MemoryBench()
        let first = try #require(try bench.archive(Self.tree("ab"), at: 100).snapshot)
        let plain = try bench.archive(Self.tree("b"), at: 150) { $0.archive = .no }
        #expect(plain.snapshot?.parent == first.id)
        try bench.repository.forget([first.id], host: "h", program: "p")
        #expect(try Self.letters(bench, bench.archive(Self.tree("b"), at: 200).snapshot) == "b")
        _ = try bench.repository.takeBack(first, host: "h", program: "p")
        #expect(try Self.heads(bench).count == 2)
        #expect(try Self.letters(bench, bench.archive(Self.tree("b"), at: 300).snapshot) == "ab")
        #expect(try Self.heads(bench).count == 1)
    }

    /// One backup joins a limited number of branches. The others stay until a later backup joins them.
    @Test func manyBranchesTakeSeveralBackups() throws {
        let bench = try MemoryBench()
        var made: [CommitRecord] = []
        for (number, letter) in "abcdefghijklmnopqrst".enumerated() {
            let snapshot = try #require(try bench.archive(Self.tree("\(letter)"), at: Int64(number)).snapshot)
            try bench.repository.forget([snapshot.id], host: "h", program: "p")
            made.append(snapshot)
        }
        for snapshot in made { _ = try bench.repository.takeBack(snapshot, host: "h", program: "p") }
        var counts: [Int] = []
        for round in 0..<4 {
            counts.append(try Self.heads(bench).count)
            try Self.applyRules(bench)
            let snapshot = try #require(try bench.archive(Self.tree("z"), at: Int64(100 + round)).snapshot)
            #expect(snapshot.joined.count <= 8)
            if round > 1 { #expect(try Self.letters(bench, snapshot) == "abcdefghijklmnopqrstz") }
        }
        #expect(counts == [20, 12, 4, 1])
    }

    @Test func whatIsTakenOutOfEveryBranchStaysOut() throws {
        let a = try MemoryBench()
        let b = try Self.second(a)
        try a.archive(Self.tree("abx"), at: 100)
        try Self.copy(a, b)
        try b.archive(Self.tree("abn"), at: 200)
        try a.archive(Self.tree("abc"), at: 300)
        try Self.copy(a, b)
        for head in try Self.heads(b).reversed() { try Self.remove("x", from: b, head) }
        // The clock dates this archive and all later snapshots, so that none of them has a date of its own.
        let joined = try b.archive(Self.tree("a"), at: 0) { $0.time = nil }
        #expect(try Self.letters(b, joined.snapshot) == "abcn")
        // The archive stands for all archives that it joined, even after they are forgotten.
        let removed = try Self.remove("c", from: b, joined.snapshot)
        try b.repository.forget(
            try b.repository.snapshots().readable.map(\.id).filter { $0 != removed.id }, host: "h",
            program: "p")
        try Self.copy(a, b)
        #expect(try Self.heads(b).map(\.id) == [removed.id])
        let next = try b.archive(Self.tree("a"), at: 0) { $0.time = nil }
        #expect(try Self.letters(b, next.snapshot) == "abn")
        // The other disk makes an archive from before the removal, which is unknown here. Its copy brings back the
        // removed files.
        try a.archive(Self.tree("ab"), at: 400)
        try Self.copy(a, b)
        let last = try b.archive(Self.tree("a"), at: 0) { $0.time = nil }
        #expect(try Self.letters(b, last.snapshot) == "abcnx")
    }

    /// A copied archive stands for the archives between it and an earlier copy.
    @Test(arguments: [true, false]) func copiesOfSomeSnapshots(sameIDs: Bool) throws {
        let a = try MemoryBench()
        let b = try Self.second(a, sameIDs: sameIDs)
        try a.archive(Self.tree("ax"), at: 100)
        try Self.copy(a, b)
        // Both disks make archives of their own, and the first disk joins the second disk's archive.
        try b.archive(Self.tree("axb"), at: 150)
        try a.archive(Self.tree("axc"), at: 200)
        try Self.copy(b, a)
        let joined = try #require(try a.archive(Self.tree("a"), at: 300).snapshot)
        #expect(joined.joined.count == 1)
        let removed = try Self.remove("x", from: a, joined)
        #expect(removed.joined.isEmpty)
        // Only the last archive is copied. The archive that it joined on the way is not a branch there.
        try Self.copy(a, b, latest: true)
        #expect(try Self.heads(b).map(\.originalID) == [removed.id])
        let next = try b.archive(Self.tree("a"), at: 0) { $0.time = nil }
        #expect(try Self.letters(b, next.snapshot) == "abc")
        try Self.copy(a, b)
        #expect(try Self.heads(b).map(\.id) == [next.snapshot?.id])
    }

    /// Two branches have different items under one name.
    @Test func namesThatBranchesHaveForOtherThings() throws {
        let bench = try MemoryBench()
        func file(_ path: String, _ content: String) -> FakeEntry { .file(path, Array(content.utf8)) }
        func folder(_ path: String) -> FakeEntry { .other(path, .directory) }
        let sources = [
            [folder("s"), file("s/1.jpg", "one"), file("s/2", "file"), file("s/3.jpg", "kept")],
            [
                folder("s"), file("s/1.jpg", "other"), folder("s/2"), file("s/2/x", "x"),
                file("s/3.jpg", "kept"),
            ],
        ]
        var made: [CommitRecord] = []
        for (number, source) in sources.enumerated() {
            let snapshot = try #require(try bench.archive(FakeTree(source), at: Int64(number)).snapshot)
            try bench.repository.forget([snapshot.id], host: "h", program: "p")
            made.append(snapshot)
        }
        for snapshot in made { _ = try bench.repository.takeBack(snapshot, host: "h", program: "p") }
        let log = EventLog()
        let last = try #require(try bench.archive(FakeTree([folder("s")]), at: 100, log).snapshot)
        #expect(log.failures.isEmpty)
        let items = try bench.archived(last)
        let files = items.values.filter { $0.type == .regular }
        #expect(
            files.map { String(decoding: $0.content, as: UTF8.self) }.sorted()
                == ["file", "kept", "one", "other", "x"])
        #expect(files.allSatisfy { $0.goneSince != nil })
        bench.expectCounters(last, items, "names")
    }

    /// If an archive cannot be read, the backup fails, unless another archive stands for it.
    @Test func aBranchThatCannotBeRead() throws {
        let bench = try MemoryBench()
        let first = try #require(try bench.archive(Self.tree("ab"), at: 100).snapshot)
        try bench.repository.forget([first.id], host: "h", program: "p")
        try bench.archive(Self.tree("b"), at: 200)
        guard case .back(let back) = try bench.repository.takeBack(first, host: "h", program: "p") else {
            Issue.record("it is not back")
            return
        }
        for key in [ObjectNames.snapshot(back.id), ObjectNames.spare(back.id)] {
            var bytes = try bench.store.readWhole(key, upTo: 1 << 20)
            bytes[bytes.count / 2] ^= 1
            try bench.store.delete(key)
            _ = try bytes.withUnsafeBytes { try bench.store.put(key, $0) }
        }
        #expect(throws: ArchiveEndsError.self) { try bench.archive(Self.tree("b"), at: 300) }
    }

    private static let seeds = UInt64(1)...(isLong ? 200 : 20)

    /// Random backups, copies, retention and undone removals on two disks. No file leaves the archive of a disk.
    @Test func noHistoryOfTwoDisksLosesAFile() throws {
        var joined = 0
        for seed in Self.seeds {
            var random = SeededRandom(seed: seed)
            let a = try MemoryBench()
            let disks = [a, try Self.second(a)]
            var source = Set("abcdef")
            var unused = Array("ghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
            var known: [Set<Character>] = [[], []]
            for round in 0..<16 {
                let place = Int.random(in: 0..<2, using: &random)
                let (bench, other) = (disks[place], disks[1 - place])
                if let letter = unused.popLast() { source.insert(letter) }
                for letter in source.sorted().dropFirst() where Int.random(in: 0..<5, using: &random) == 0 {
                    source.remove(letter)
                }
                var forgotten: CommitRecord?
                switch Int.random(in: 0..<8, using: &random) {
                case 0, 1:
                    try Self.copy(bench, other)
                    known[1 - place].formUnion(known[place])
                case 2: try Self.applyRules(bench)
                case 3:
                    // The snapshot is taken back after the next backup.
                    forgotten = try bench.repository.snapshots().readable.randomElement(using: &random)
                    if let forgotten { try bench.repository.forget([forgotten.id], host: "h", program: "p") }
                    fallthrough
                default:
                    let isPast = Int.random(in: 0..<5, using: &random) == 0
                    let time = isPast ? Int64.random(in: 0..<900, using: &random) : Int64(1000 + round)
                    let report = try bench.archive(
                        Self.tree(String(source)), at: time, verbosely: Bool.random(using: &random))
                    joined += report.joinedArchives.count
                    known[place].formUnion(source)
                    if forgotten == nil, !isPast {
                        let letters = Set(try Self.letters(bench, report.snapshot))
                        #expect(letters.isSuperset(of: known[place]), "seed \(seed) round \(round)")
                    }
                }
                if let forgotten { _ = try bench.repository.takeBack(forgotten, host: "h", program: "p") }
                for (number, bench) in disks.enumerated() {
                    let letters = try Self.heads(bench).flatMap { try Self.letters(bench, $0) }
                    #expect(
                        Set(letters).isSuperset(of: known[number]),
                        "seed \(seed) round \(round) disk \(number)")
                }
            }
        }
        #expect(joined > 20)
    }
}
