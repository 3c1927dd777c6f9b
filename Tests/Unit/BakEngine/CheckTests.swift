import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

@Suite struct CheckTests {
    private static func prepared() throws -> MemoryBench {
        let bench = try MemoryBench()
        let random = SeededRandom(seed: 5)
        try bench.backup(
            FakeTree([
                .other("s", .directory), .file("s/a", random.bytes(4000)), .file("s/b", random.bytes(500)),
            ]))
        return bench
    }

    @Test(arguments: [CheckDepth.structure, .readData])
    func aCleanRepositoryIsClean(depth: CheckDepth) throws {
        let bench = try Self.prepared()
        let (report, _) = try MemoryBench.check(bench.repository, depth: depth)
        #expect(report.isClean)
        #expect(report.snapshots == 1 && report.packs == 2 && report.unusedPacks == 0)
        #expect((report.verifiedBytes > 4500) == (depth == .readData))
        #expect(try MemoryBench.check(try MemoryBench.open(MemoryStore(bench.store.contents))).report.isClean)
    }

    @Test func whatAnInterruptedRunLeftIsCountedAndHarmless() throws {
        let bench = try Self.prepared()
        let random = SeededRandom(seed: 6)
        let tree = FakeTree([.other("s", .directory), .file("s/new", random.bytes(3000))])
        // The store takes packs and the index segment, but not the commit record.
        let faulty = FaultyStore(bench.store) { _, _, call in
            call.operation == "put" && call.object.hasPrefix("snapshots/") ? .full : nil
        }
        #expect(throws: StoreError.self) {
            try Backup(try MemoryBench.open(faulty), of: tree).run(MemoryBench.request())
        }
        let (report, events) = try MemoryBench.check(bench.repository)
        #expect(report.isClean)
        #expect(report.unusedPacks == 2)
        #expect(report.unusedBytes > 3000)
        #expect(
            events.contains {
                if case .unused(let object, _) = $0 { return object.hasPrefix("index/") }
                return false
            })
    }

    @Test func foreignFilesAreToldAndHarmless() throws {
        let bench = try Self.prepared()
        for name in ["packs/ab/readme", "packs/00/ab", "snapshots/notes.txt", "index/x", "sessions/y"] {
            _ = try [1, 2, 3].withUnsafeBytes { try bench.store.put(ObjectKey(name), $0) }
        }
        let (report, events) = try MemoryBench.check(bench.repository)
        #expect(report.isClean)
        let told = events.count { if case .unused = $0 { true } else { false } }
        #expect(told >= 2)
    }

    @Test func aDamagedForgetMarkerIsToldOfAndStillForgets() throws {
        let bench = try Self.prepared()
        let snapshot = try #require(try bench.repository.snapshots().readable.first)
        try bench.repository.forget([snapshot.id], host: "h", program: "p")
        let whole = bench.store.contents
        for damaged in [[], [UInt8](repeating: 0, count: 100)] {
            var objects = whole
            objects[ObjectNames.forget(snapshot.id)] = damaged
            let repository = try MemoryBench.open(MemoryStore(objects))
            let (report, events) = try MemoryBench.check(repository)
            #expect(report.damagedMarkers == [snapshot.id] && report.damagedObjects == 1)
            let told = events.compactMap { if case .damage(let object, _) = $0 { object } else { nil } }
            #expect(told == ["forget/\(snapshot.id)"])
            // The marker is damaged, so it is unknown whether the user wants the snapshot.
            let list = try repository.snapshotList()
            #expect(list.readable.isEmpty && list.unreadable.map(\.isDoubtful) == [true])
            #expect(throws: LatestUnreadableError.self) { try list.find("latest") }
            _ = try repository.takeBack(snapshot, host: "h", program: "p")
            #expect(try MemoryBench.check(repository).0.isClean)
            #expect(try repository.findSnapshot("latest").originalID == snapshot.id)
        }
    }

    @Test func aDamagedPackCountsOnce() throws {
        let bench = try Self.prepared()
        var objects = bench.store.contents
        let key = try #require(
            objects.filter { $0.key.description.hasPrefix("packs/") }.max { $0.value.count < $1.value.count }?
                .key)
        for position in stride(from: 100, to: 4000, by: 300) { objects[key]![position] ^= 1 }
        let (report, _) = try MemoryBench.check(try MemoryBench.open(MemoryStore(objects)))
        #expect(report.damagedObjects == 1)
        #expect(report.affectedFiles == 1)
        #expect(report.affectedSnapshots == 1)
    }

    @Test(arguments: [CheckDepth.structure, .readData])
    func theDamagedPackOfAListOfFilesIsNamedAtAnyDepth(depth: CheckDepth) throws {
        let bench = try Self.prepared()
        let manifest = try #require(
            try bench.repository.snapshots().readable.first.map {
                try bench.repository.indexSegment($0.id).packs.first { $0.kind == .manifestPack }?.id
            } ?? nil)
        var objects = bench.store.contents
        // A byte of the first blob, behind the pack's header.
        objects[ObjectNames.pack(manifest)]![100] ^= 1
        let (report, events) = try MemoryBench.check(try MemoryBench.open(MemoryStore(objects)), depth: depth)
        #expect(report.damagedObjects == 1)
        #expect(report.affectedSnapshots == 1 && report.unlistedSnapshots == 1)
        // While the whole list of files is unreadable, there is nothing from which a repair could make a snapshot.
        #expect(report.repairs == [.packs])
        let named = events.compactMap { if case .damage(let object, _) = $0 { object } else { nil } }
        #expect(Set(named) == [ObjectNames.pack(manifest).description])
    }

    @Test func appendedBytesAffectNoFile() throws {
        let bench = try Self.prepared()
        var objects = bench.store.contents
        for key in objects.keys where key.description.hasPrefix("packs/") { objects[key]! += [1, 2, 3] }
        let (report, _) = try MemoryBench.check(try MemoryBench.open(MemoryStore(objects)))
        #expect(report.damagedObjects == 2)
        #expect(report.affectedFiles == 0)
    }

    @Test func aCheckThatIsEndedEarlySaysSo() throws {
        let bench = try Self.prepared()
        for after in 0..<12 {
            let polls = Mutex(0)
            let report = try RepositoryCheck(
                bench.repository, depth: .readData, workerCount: 2, onEvent: { _ in },
                stop: StopSignal {
                    polls.withLock {
                        $0 += 1
                        return $0 > after
                    }
                }
            ).run()
            #expect(report.wasInterrupted || after > 5)
        }
    }

    @Test func aFileWhoseChunksDoNotAddUpIsFound() throws {
        let bench = try HostileManifest()
        let short = bench.file("a", size: 100, [.chunk(bench.chunk)])
        let snapshot = try bench.commit([short, bench.file("b", size: 50, [.chunk(bench.chunk)])])
        let (report, events) = try MemoryBench.check(bench.bench.repository)
        #expect(report.affectedFiles == 1)
        #expect(
            events.contains {
                if case .affectedFile(snapshot.id, let path, _) = $0 { return path == Array("a".utf8) }
                return false
            })
    }
}
