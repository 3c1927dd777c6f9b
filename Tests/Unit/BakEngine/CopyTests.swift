import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

/// Copies of snapshots between repositories, with the same ids and with others.
@Suite struct CopyTests {
    private static func tree(_ generation: Int) -> FakeTree {
        let random = SeededRandom(seed: 11)
        let changed = SeededRandom(seed: UInt64(60 + generation))
        return FakeTree([
            .other("s", .directory),
            .file("s/.bakignore", Array("*.skip\n".utf8)),
            .file("s/a", random.bytes(5000)),
            .file("s/b", changed.bytes(3000)) { $0.stat.mtime.seconds += Int64(generation) },
            .file("s/c", Array(repeating: 65, count: 9000)), .file("s/d", random.bytes(40)),
            .file("s/e"), .other("s/f", .fifo),
            .other("s/g", .symlink) { $0.attributes.linkTarget = Array("a".utf8) },
            .file("s/h", random.bytes(700)) {
                $0.attributes.extendedAttributes = [
                    ExtendedAttribute(name: Array("user.x".utf8), value: [1, 2, 3])
                ]
            },
        ])
    }

    private static func prepared(_ generations: Int = 3) throws -> MemoryBench {
        let bench = try MemoryBench()
        for generation in 0..<generations {
            try bench.backup(tree(generation)) {
                $0.time = Timestamp(seconds: Int64(generation))
                $0.tags = ["t\(generation)"]
            }
        }
        return bench
    }

    /// Returns an empty repository. With `sameIDs`, equal content has the same id there as in `source`.
    private static func destination(
        of source: MemoryBench, sameIDs: Bool, _ store: any ObjectStore = MemoryStore()
    ) throws -> Repository {
        var options = sameIDs ? Repository.Options(like: source.repository.config) : MemoryBench.options
        options.packBytes = 1 << 20
        return try Repository.create(
            in: store, options: options, cache: MemoryCache(), time: source.repository.time,
            random: source.repository.random)
    }

    private static let request: CopyRequest = {
        var request = CopyRequest(host: "h", program: "p")
        request.checkpointBytes = 1
        return request
    }()

    private static func entries(_ repository: Repository, _ snapshot: CommitRecord) throws -> [ManifestEntry]
    {
        let reader = try ManifestReader(
            snapshot, repository: repository, index: try BlobIndex(repository))
        var entries: [ManifestEntry] = []
        while let record = try reader.next() {
            guard case .entry(var entry) = record else { continue }
            if case .extents = entry.content { entry.content = .extents([]) }
            entries.append(entry)
        }
        return entries
    }

    private func expectCopies(
        of source: MemoryBench, in destination: Repository, _ generations: [Int] = [0, 1, 2]
    ) throws {
        let originals = try source.repository.snapshots().readable
        let copies = try destination.snapshots().readable.filter(\.isComplete)
        #expect(copies.count == generations.count)
        for (copy, generation) in zip(copies, generations) {
            let original = originals[generation]
            #expect(copy.original == original.id && copy.id != original.id)
            #expect(copy.time == original.time && copy.tags == original.tags)
            #expect(copy.paths == original.paths && copy.device == original.device)
            let isRestored =
                try MemoryBench.restore(destination, copy).items == Self.tree(generation).expected
            #expect(isRestored)
            let isDescribed =
                try Self.entries(destination, copy) == Self.entries(source.repository, original)
            #expect(isDescribed)
        }
        #expect(try MemoryBench.check(destination).report.isClean)
    }

    @Test(arguments: [true, false])
    func everySnapshotArrivesWhole(sameIDs: Bool) throws {
        let source = try Self.prepared()
        let destination = try Self.destination(of: source, sameIDs: sameIDs)
        let snapshots = try source.repository.snapshots().readable
        let report = try SnapshotCopy(Self.request, from: source.repository, to: destination).run(snapshots)
        #expect(report.copied == 3 && report.skipped == 0 && report.isVerbatim == sameIDs)
        try expectCopies(of: source, in: destination)
        // A second run copies nothing. Copying back copies nothing either, because the copies' originals are there.
        let again = try SnapshotCopy(Self.request, from: source.repository, to: destination).run(snapshots)
        #expect(again.copied == 0 && again.skipped == 3 && again.addedBytes == 0)
        let back = try SnapshotCopy(Self.request, from: destination, to: source.repository).run(
            try destination.snapshots().readable.filter(\.isComplete))
        #expect(back.copied == 0 && back.skipped == 3)
    }

    @Test func sameIDsMeansTheSameBytesAndNoneReadTwice() throws {
        let source = try Self.prepared()
        let destination = try Self.destination(of: source, sameIDs: true)
        let reads = FaultyStore(source.store)
        let report = try SnapshotCopy(
            Self.request, from: try MemoryBench.open(reads), to: destination
        ).run(try source.repository.snapshots().readable)
        let (from, to) = (try BlobIndex(source.repository), try BlobIndex(destination))
        var chunkBytes: UInt64 = 0
        try from.forEach { entry, pack in
            let copy = to.location(of: BlobReference(id: entry.id, length: entry.rawLength))
            #expect(copy?.storedLength == entry.storedLength)
            if pack.kind == .chunkPack { chunkBytes += UInt64(entry.rawLength) }
        }
        #expect(report.addedBytes >= chunkBytes && report.addedBytes < chunkBytes + 20_000)
        // Each of the three chunk packs is read in one request.
        let chunkPacks = Set(
            from.packs.filter { $0.kind == .chunkPack }.map { ObjectNames.pack($0.id).description })
        #expect(reads.calls.count { $0.operation == "read" && chunkPacks.contains($0.object) } == 3)
    }

    @Test(arguments: [true, false])
    func aDryRunStoresNothing(sameIDs: Bool) throws {
        let source = try Self.prepared()
        let store = MemoryStore()
        let destination = try Self.destination(of: source, sameIDs: sameIDs, store)
        var request = Self.request
        request.isDryRun = true
        let report = try SnapshotCopy(request, from: source.repository, to: destination).run(
            try source.repository.snapshots().readable)
        #expect(report.copied == 3 && report.addedBytes > 14_000)
        #expect(store.contents.keys.map(\.description) == ["config"])
    }

    @Test(arguments: [true, false])
    func whatIsCopiedAfterAFailureIsTheRest(sameIDs: Bool) throws {
        let source = try Self.prepared()
        let snapshots = try source.repository.snapshots().readable
        var failures = 0
        for failing in 1...60 {
            let store = MemoryStore()
            let faulty = FaultyStore(store) { _, mutating, call in
                call.isMutating && mutating > failing ? .full : nil
            }
            guard let destination = try? Self.destination(of: source, sameIDs: sameIDs, faulty) else {
                continue
            }
            do {
                _ = try SnapshotCopy(Self.request, from: source.repository, to: destination).run(snapshots)
                break
            } catch is StoreError { failures += 1 }
            let resumed = try MemoryBench.open(store)
            let done = try resumed.snapshots().readable.filter(\.isComplete).count
            let report = try SnapshotCopy(Self.request, from: source.repository, to: resumed).run(snapshots)
            #expect(report.skipped == done && report.copied == 3 - done)
            try expectCopies(of: source, in: resumed)
        }
        #expect(failures >= 9)
    }

    @Test(arguments: [true, false])
    func aCopyThatIsEndedGoesOnLater(sameIDs: Bool) throws {
        let source = try Self.prepared()
        let snapshots = try source.repository.snapshots().readable
        for after in stride(from: 0, to: 30, by: 3) {
            let destination = try Self.destination(of: source, sameIDs: sameIDs)
            let polls = Mutex(0)
            let stop: StopSignal = StopSignal {
                polls.withLock {
                    $0 += 1
                    return $0 > after
                }
            }
            let report = try SnapshotCopy(
                Self.request, from: source.repository, to: destination, stop: stop
            ).run(snapshots)
            #expect(report.wasInterrupted || report.copied == 3)
            _ = try SnapshotCopy(Self.request, from: source.repository, to: destination).run(snapshots)
            try expectCopies(of: source, in: destination)
        }
    }

    @Test func whatTheSourceHasLostIsToldAndTheRestCopied() throws {
        let source = try Self.prepared()
        let snapshots = try source.repository.snapshots().readable
        // The chunk pack of the last backup. Only the last snapshot needs it.
        let segment = try source.repository.indexSegment(snapshots[2].id)
        let pack = try #require(segment.packs.first { $0.kind == .chunkPack })
        var objects = source.store.contents
        objects[ObjectNames.pack(pack.id)]![200] ^= 1
        let damaged = try MemoryBench.open(MemoryStore(objects))
        for sameIDs in [true, false] {
            let destination = try Self.destination(of: source, sameIDs: sameIDs)
            let events = Mutex<[String]>([])
            let report = try SnapshotCopy(
                Self.request, from: damaged, to: destination,
                onEvent: { event in
                    switch event {
                    case .failed(let snapshot, _): events.withLock { $0.append("\(snapshot.id)") }
                    case .fileFailed(let snapshot, let path, _):
                        events.withLock {
                            $0.append("\(snapshot.id) \(String(decoding: path, as: UTF8.self))")
                        }
                    default: break
                    }
                }
            ).run(snapshots)
            if sameIDs {
                #expect(report.copied == 2 && report.failed == 1)
                #expect(events.withLock { $0 } == ["\(snapshots[2].id)"])
                try expectCopies(of: source, in: destination, [0, 1])
            } else {
                #expect(report.copied == 3 && report.failedFiles == 1)
                #expect(events.withLock { $0 } == ["\(snapshots[2].id) s/b"])
                let copy = try #require(try destination.snapshots().readable.last)
                #expect(copy.counters.failedItems == 1)
                var expected = Self.tree(2).expected
                expected[Array("s/b".utf8)] = nil
                let isRestored = try MemoryBench.restore(destination, copy).items == expected
                #expect(isRestored)
            }
        }
    }

    @Test func twoContentsUnderOneTimeAreTwoContents() throws {
        let source = try MemoryBench()
        var contents: [[UInt8]] = []
        for generation in 0..<2 {
            let random = SeededRandom(seed: UInt64(generation))
            contents.append(random.bytes(2000))
            try source.backup(FakeTree([.other("s", .directory), .file("s/a", contents[generation])])) {
                $0.time = Timestamp(seconds: Int64(generation))
                $0.parent = .none
            }
        }
        let destination = try Self.destination(of: source, sameIDs: false)
        _ = try SnapshotCopy(Self.request, from: source.repository, to: destination).run(
            try source.repository.snapshots().readable)
        for (copy, content) in zip(try destination.snapshots().readable, contents) {
            let items = try MemoryBench.restore(destination, copy).items
            let isRight = items[Array("s/a".utf8)] == .file(content)
            #expect(isRight)
        }
    }

    @Test func holesLongFilesAndDoubtsComeAlong() throws {
        let bench = try HostileManifest()
        // A file with over 2,048 extents needs several records and segments. Another file has holes.
        let long = (0..<30_000).map { _ in Extent.chunk(bench.chunk) }
        let holes: [Extent] = [.hole(1 << 20), .chunk(bench.chunk), .hole(3 << 20), .chunk(bench.chunk)]
        var files = [
            bench.file("a", size: 30_000 * UInt64(bench.chunk.length), long),
            bench.file("b", size: (4 << 20) + 2 * UInt64(bench.chunk.length), holes),
            bench.file("c", size: UInt64(bench.chunk.length), [.chunk(bench.chunk)]),
        ]
        files[0].stat.inode = 1
        files[1].isUnsettled = true
        files[2].changedWhileRead = true
        let snapshot = try bench.commitLong(files)
        let source = bench.bench
        for sameIDs in [true, false] {
            let destination = try Self.destination(of: source, sameIDs: sameIDs)
            _ = try SnapshotCopy(Self.request, from: source.repository, to: destination).run([snapshot])
            let copy = try #require(try destination.snapshots().readable.last)
            let entries = try Self.entries(destination, copy)
            #expect(entries.map(\.isUnsettled) == [false, true, false])
            #expect(entries.map(\.changedWhileRead) == [false, false, true])
            let expected = try MemoryBench.restore(source.repository, snapshot).items
            let isRestored = try MemoryBench.restore(destination, copy).items == expected
            #expect(isRestored)
        }
    }
}
