import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@Suite struct StatsTests {
    private static func content(_ seed: UInt64, _ count: Int) -> [UInt8] {
        let random = SeededRandom(seed: seed)
        return random.bytes(count)
    }

    /// Returns three snapshots. `shared.jpg` is in all three, `old.mov` in the first two, and `new.mov` in the last.
    /// The last also has a copy of `shared.jpg` under another name.
    private static func prepared() throws -> (bench: MemoryBench, snapshots: [CommitRecord]) {
        let bench = try MemoryBench()
        let shared = content(1, 20_000)
        let old = FakeEntry.file("s/old.mov", content(2, 30_000))
        let text = FakeEntry.file("s/x.TXT", Array(repeating: 65, count: 8000))
        let trees = [
            FakeTree([.other("s", .directory), old, .file("s/shared.jpg", shared), text]),
            FakeTree([
                .other("s", .directory), .file("s/a", content(4, 50)), old, .file("s/shared.jpg", shared),
                text,
            ]),
            FakeTree([
                .other("s", .directory), .file("s/copy.dat", shared), .file("s/new.mov", content(3, 40_000)),
                .file("s/shared.jpg", shared),
            ]),
        ]
        let snapshots = try trees.enumerated().map { number, tree in
            try #require(
                try bench.backup(tree) { $0.time = Timestamp(seconds: Int64(number)) }.snapshot)
        }
        return (bench, snapshots)
    }

    private static func stats(_ repository: Repository, _ snapshots: [CommitRecord]) throws -> RepositoryStats
    {
        try StatsRun(repository, try BlobIndex(repository) { _ in }).run(snapshots)
    }

    @Test func sizesAreThoseOfTheFiles() throws {
        let (bench, snapshots) = try Self.prepared()
        let stats = try Self.stats(bench.repository, snapshots)
        #expect(stats.files == 3 + 4 + 3)
        #expect(stats.bytes == 58_000 + 58_050 + 80_000)
        let chunkBytes = stats.types.reduce(0) { $0 + $1.chunks.rawBytes }
        // The second snapshot added no chunk, only a manifest. All chunks of the text but the last have the same
        // content.
        #expect(chunkBytes >= 90_000 + 256 && chunkBytes < 90_000 + 2000)
        #expect(stats.needed.rawBytes == chunkBytes + stats.manifests.rawBytes)
        #expect(stats.missing == 0 && stats.unusedBytes == 0)
        #expect(stats.packs == 5 && stats.packBytes == stats.needed.storedBytes + 5 * 112)
        let types = Dictionary(uniqueKeysWithValues: stats.types.map { ($0.type, $0) })
        #expect(Set(types.keys) == ["mov", "jpg", "txt", "dat", ""])
        #expect(types["mov"]?.chunks.rawBytes == 70_000 && types["mov"]?.files == 3)
        // The small file's content is inline in the manifest.
        let inline = try #require(types[""]).chunks
        #expect(inline.rawBytes == 50 && inline.storedBytes > 0 && inline.blobs == 0)
        #expect(types["mov"]?.bytes == 100_000 && types["txt"]?.files == 2)
        // A chunk that two types share counts for only one of them.
        #expect((types["jpg"]?.chunks.rawBytes ?? 0) + (types["dat"]?.chunks.rawBytes ?? 0) == 20_000)
        #expect(types["jpg"]?.bytes == 60_000 && types["dat"]?.bytes == 20_000)
    }

    @Test func aloneIsWhatForgettingFrees() throws {
        let (bench, snapshots) = try Self.prepared()
        let stats = try Self.stats(bench.repository, snapshots)
        for snapshot in snapshots {
            let store = MemoryStore(bench.store.contents)
            let repository = try MemoryBench.open(store)
            try repository.forget([snapshot.id], host: "h", program: "p")
            let rest = try Self.stats(repository, snapshots.filter { $0.id != snapshot.id })
            let alone = try #require(stats.alone[snapshot.id])
            #expect(alone.storedBytes == stats.needed.storedBytes - rest.needed.storedBytes)
            #expect(alone.rawBytes == stats.needed.rawBytes - rest.needed.rawBytes)
            #expect(alone.blobs == stats.needed.blobs - rest.needed.blobs && alone.blobs > 0)
            // A prune that leaves nothing unused frees exactly this space.
            var options = PruneOptions()
            options.maxUnused = .bytes(0)
            _ = try Prune(repository, options, host: "h", program: "p").run()
            let after = try Self.stats(repository, try repository.snapshots().readable)
            #expect(after.unusedBytes == 0 && after.needed == rest.needed)
            #expect(after.packBytes == after.needed.storedBytes + UInt64(after.packs) * 112)
        }
        #expect(stats.alone[snapshots[2].id]!.rawBytes > 40_000)
        #expect(stats.alone[snapshots[1].id]!.rawBytes < 4000)
    }

    @Test func twoSnapshotsOfOneTreeHoldNothingAlone() throws {
        let bench = try MemoryBench()
        let tree = FakeTree([.other("s", .directory), .file("s/a", Self.content(5, 3000))])
        for number in 0..<2 { try bench.backup(tree) { $0.time = Timestamp(seconds: Int64(number)) } }
        let snapshots = try bench.repository.snapshots().readable
        let stats = try Self.stats(bench.repository, snapshots)
        #expect(stats.alone.values.allSatisfy { $0 == BlobSizes() } && stats.alone.count == 2)
        #expect(stats.bytes == 6000 && stats.files == 2)
        let one = try Self.stats(bench.repository, [snapshots[0]])
        #expect(one.alone[snapshots[0].id] == one.needed && one.needed == stats.needed && one.bytes == 3000)
    }

    @Test func whatIsMissingIsCounted() throws {
        let (bench, snapshots) = try Self.prepared()
        for key in bench.store.contents.keys.sorted() where key.description.hasPrefix("packs/") {
            var objects = bench.store.contents
            objects[key]![100] ^= 1
            let isManifest = objects[key]![8] == ObjectKind.manifestPack.rawValue
            let stats = try Self.stats(try MemoryBench.open(MemoryStore(objects)), snapshots)
            #expect((stats.missing > 0) == isManifest, "\(key)")
        }
    }
}
