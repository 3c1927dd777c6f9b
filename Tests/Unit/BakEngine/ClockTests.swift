import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

/// Backups on machines whose clocks were wrong. "latest" is the snapshot that was made last, the next backup compares
/// with it, and copies have the same order.
@Suite struct ClockTests {
    /// 2026-05-28 20:26:40 UTC.
    private static let start: Int64 = 1_780_000_000
    private static let ahead: Int64 = 400_000_000
    private static let in1970: Int64 = -1_779_990_000

    private static let stories: [[Int64]] = [
        [0, 0, 0], [ahead, 0, 0], [0, ahead, 0], [0, in1970, 0], [0, in1970, in1970, 0],
        [0, ahead, in1970, 0],
        [0, 0, -86400], [86400, 0, 0], [ahead, ahead, 0], [0, in1970],
    ]

    private static func tree(_ generation: Int) -> FakeTree {
        let random = SeededRandom(seed: 41)
        let changed = SeededRandom(seed: UInt64(70 + generation))
        return FakeTree([
            .other("s", .directory), .file("s/a", random.bytes(2000)),
            .file("s/b", changed.bytes(900)) { $0.stat.mtime.seconds += Int64(generation) },
        ])
    }

    private static func open(_ store: MemoryStore, at seconds: Int64) throws -> Repository {
        try Repository.open(
            store, cache: MemoryCache(), time: SimulatedTime(Timestamp(seconds: seconds)),
            random: TestSeed.unique(#fileID, #line))
    }

    /// Makes the backups of a story. Returns the snapshots in the order in which they were made.
    private static func back(_ story: [Int64], _ store: MemoryStore) throws -> [CommitRecord] {
        var made: [CommitRecord] = []
        for (number, offset) in story.enumerated() {
            let actual = start + Int64(number) * 3 * 86400
            let events = EventLog()
            let report = try Backup(
                try open(store, at: actual + offset), of: tree(number), onEvent: events.note
            ).run(MemoryBench.request())
            let snapshot = try #require(report.snapshot)
            #expect(report.parent == made.last?.id, "\(story): backup \(number)")
            #expect(report.counters.unmodifiedFiles == (number > 0 ? 1 : 0), "\(story): backup \(number)")
            let isBehind = made.last.map { $0.time.seconds > snapshot.time.seconds + 3600 } ?? false
            let isTold = events.all.contains { if case .clockBehind = $0 { true } else { false } }
            #expect(isTold == isBehind, "\(story): backup \(number)")
            made.append(snapshot)
            #expect(try open(store, at: actual).findSnapshot("latest").id == snapshot.id, "\(story)")
        }
        return made
    }

    @Test func theLatestIsWhatWasMadeLast() throws {
        for story in Self.stories {
            let store = try MemoryBench().store
            let made = try Self.back(story, store)
            let now = Self.start + Int64(story.count) * 3 * 86400
            let repository = try Self.open(store, at: now)
            #expect(try repository.snapshots().readable.map(\.id) == made.map(\.id), "\(story)")
            // The order still holds after the snapshots between the first and the last are forgotten. The first pass
            // reads it from the store, the second from the cache.
            try repository.forget(made.dropFirst().dropLast().map(\.id), host: "h", program: "p")
            for _ in 0..<2 {
                #expect(
                    try repository.snapshots().readable.map(\.id) == [made.first!.id, made.last!.id],
                    "\(story)")
            }
        }
    }

    @Test(arguments: [true, false])
    func copiesAreInTheSameOrder(sameIDs: Bool) throws {
        for story in Self.stories {
            let store = try MemoryBench().store
            let made = try Self.back(story, store)
            let now = Self.start + Int64(story.count) * 3 * 86400
            let source = try Self.open(store, at: now)
            // A snapshot in the middle is not copied.
            if made.count > 3 { try source.forget([made[1].id], host: "h", program: "p") }
            let target = MemoryStore()
            let options = sameIDs ? Repository.Options(like: source.config) : MemoryBench.options
            _ = try Repository.create(
                in: target, options: options, cache: MemoryCache(),
                time: SimulatedTime(Timestamp(seconds: now)),
                random: TestSeed.unique(#fileID, #line))
            let destination = try Self.open(target, at: now)
            let chosen = try source.snapshots().readable
            _ = try SnapshotCopy(
                CopyRequest(host: "h", program: "p"), from: source, to: destination
            ).run(chosen)
            let copies = try destination.snapshots().readable
            #expect(copies.map(\.originalID) == chosen.map(\.id), "\(story)")
        }
    }

    /// If the user gives a snapshot's date, that date decides its place in the history.
    @Test func aDateThatIsGivenPutsTheSnapshotInItsPlace() throws {
        let bench = try MemoryBench(time: SimulatedTime(Timestamp(seconds: Self.start)))
        var ids: [ID128] = []
        for (number, year) in [2020, 2015, 2017].enumerated() {
            let time = Timestamp(seconds: Int64(year - 1970) * 31_557_600)
            let report = try bench.backup(Self.tree(number)) { $0.time = time }
            ids.append(try #require(report.snapshot).id)
        }
        let list = try bench.repository.snapshotList()
        #expect(list.readable.map(\.id) == [ids[1], ids[2], ids[0]])
        #expect(list.order.misdated.isEmpty)
        #expect(list.readable.map(\.parent) == [nil, ids[1], nil])
    }
}
