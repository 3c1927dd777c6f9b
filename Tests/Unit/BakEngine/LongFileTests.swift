import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

/// Files whose extents fill many records, several segments or several windows of a restore.
@Suite struct LongFileTests {
    @Test func aSegmentThatIsDamagedWithinAFileCostsThatFileAlone() throws {
        var options = MemoryBench.options
        for number in options.classes.indices {
            (options.classes[number].minimum, options.classes[number].average) = (64, 96)
            options.classes[number].maximum = 128
        }
        let store = MemoryStore()
        let repository = try Repository.create(
            in: store, options: options, cache: MemoryCache(), time: TickingTime.shared,
            random: TestSeed.unique(#fileID, #line))
        let random = SeededRandom(seed: 8)
        let tree = FakeTree([
            .other("s", .directory), .file("s/a", random.bytes(300)),
            .file("s/long", random.bytes(3_000_000)),
            .file("s/z", random.bytes(300)),
        ])
        let snapshot = try #require(
            try Backup(repository, of: tree).run(MemoryBench.request()).snapshot)
        let index = try BlobIndex(repository)
        let segments = try ManifestReader(snapshot, repository: repository, index: index).segments
        try #require(segments.count >= 3)
        let location = try #require(index.location(of: segments[1].blob))
        var objects = store.contents
        objects[ObjectNames.pack(location.pack)]![Int(location.offset) + 100] ^= 1

        // The restore continues after the damage. It lacks only the damaged file.
        let damaged = MemoryStore(objects)
        let log = RestoreLog()
        let target = try MemoryBench.restore(try MemoryBench.open(damaged), snapshot, log)
        var expected = tree.expected
        expected[Array("s/long".utf8)] = nil
        #expect(target.items == expected)
        #expect(!log.failures.isEmpty)

        // If this snapshot is the parent, the backup must not take the beginning of the file for the whole file.
        let events = EventLog()
        let again = try Backup(try MemoryBench.open(damaged), of: tree, onEvent: events.note).run(
            MemoryBench.request())
        #expect(again.counters.readBytes >= 3_000_000)
        #expect(events.all.contains { if case .parentUnreadable = $0 { true } else { false } })
    }

    @Test func aCheckpointNeverHoldsAPartOfAFile() throws {
        let bench = try MemoryBench()
        let random = SeededRandom(seed: 8)
        // A file of over 2048 chunks does not change in the second run. New files are stored at the same time.
        let long = FakeEntry.file("s/b", random.bytes(1_500_000))
        try bench.backup(FakeTree([.other("s", .directory), long]))
        let fresh = (0..<40).map { FakeEntry.file("s/c\($0 + 10)", random.bytes(3000)) }
        let early = (0..<40).map { FakeEntry.file("s/a\($0 + 10)", random.bytes(3000)) }
        let events = EventLog()
        try bench.backup(FakeTree([.other("s", .directory)] + early + [long] + fresh), events) {
            $0.checkpointBytes = 1
        }
        let (report, found) = try MemoryBench.check(bench.repository, depth: .structure)
        #expect(report.isClean, "\(found)")
        #expect(report.snapshots >= 2)
    }

    @Test func aFileMayFillSeveralWindows() throws {
        let bench = try HostileManifest()
        let count = 270_000
        let extents = [Extent](repeating: .chunk(bench.chunk), count: count)
        let snapshot = try bench.commitLong([
            bench.file("a", size: UInt64(count * 50), extents),
            bench.file("b", size: 50, [.chunk(bench.chunk)]),
        ])
        let log = RestoreLog()
        let target = try MemoryBench.restore(bench.bench.repository, snapshot, log)
        #expect(log.failures.isEmpty)
        #expect(target.items[[97]] == .file([UInt8](repeating: 9, count: count * 50)))
        #expect(target.items[[98]] == .file(HostileManifest.chunkBytes))
    }
}
