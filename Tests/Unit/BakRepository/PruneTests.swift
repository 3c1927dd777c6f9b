// The space that a prune frees, the objects that it leaves, and the state after it stops anywhere.

import BakCore
import BakFormat
import BakStorage
import Synchronization
import TestSupport
import Testing

@testable import BakRepository

extension Fixture {
    /// Prunes without a grace period for running sessions.
    @discardableResult
    func prune(_ change: (inout PruneOptions) -> Void = { _ in }) throws -> PruneReport {
        var options = PruneOptions()
        options.graceSeconds = 0
        change(&options)
        return try Prune(try open(), options, host: "host", program: "test").run()
    }

    /// Stores contents as the files of one snapshot.
    @discardableResult
    func backup(_ contents: [[UInt8]]) throws -> CommitRecord {
        let session = try self.session(try open())
        let chunks = session.makeWriter(.chunkPack, compression: .auto)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        for (number, content) in contents.enumerated() {
            try manifest.append(file(Array("file\(10000 + number)".utf8), try chunks.store(content)))
        }
        let root = try manifest.storeRoot()
        return try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
    }

    func forget(_ snapshots: CommitRecord...) throws {
        try open().forget(snapshots.map(\.id), host: "host", program: "test")
    }

    func keys(_ folder: String) -> [String] { store.keys.filter { $0.hasPrefix(folder + "/") } }

    func bytes(_ folder: String) -> UInt64 { keys(folder).reduce(0) { $0 + UInt64(store[$1]!.count) } }

    /// Checks that nothing is wrong, and with `isTidy` that nothing is left over.
    func expectWhole(_ expected: [(CommitRecord, [[UInt8]])], isTidy: Bool = true) throws {
        let repository = try open()
        for (snapshot, contents) in expected {
            #expect(try BakRepositoryTests.contents(snapshot, repository) == contents)
        }
        #expect(
            Set(try repository.snapshots().readable.map(\.id)) == Set(expected.map(\.0.id)))
        let report = try RepositoryCheck(repository, depth: .readData, workerCount: 1, onEvent: { _ in })
            .run()
        #expect(report.isClean)
        if isTidy {
            #expect(report.unusedPacks == 0)
            #expect(keys("sessions").isEmpty)
            #expect(!keys("gc").contains { $0.contains("probe") })
        }
    }
}

/// Three contents that are too random to compress, and one that compresses.
private let shared = SeededRandom(seed: 1).bytes(30_000)
private let first = SeededRandom(seed: 2).bytes(200_000)
private let second = SeededRandom(seed: 3).bytes(10_000)
private let plain = [UInt8](repeating: 7, count: 50_000)

@Suite struct PruneTests {
    @Test func whereNothingWasForgottenNothingHappens() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([shared, plain])
        let new = try fixture.backup([shared, second])
        let before = fixture.store.durableImage.filter { !$0.key.hasPrefix("sessions/") }
        let report = try fixture.prune()
        #expect(report.deletedPacks == 0 && report.freedBytes == 0 && report.snapshots == 2)
        #expect(fixture.store.durableImage == before)
        try fixture.expectWhole([(old, [shared, plain]), (new, [shared, second])])
    }

    @Test func whatOnlyAForgottenSnapshotHadIsGivenBack() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([first])
        let new = try fixture.backup([second])
        try fixture.forget(old)
        let before = fixture.bytes("packs")
        let report = try fixture.prune()
        #expect(report.deletedPacks == 2)
        #expect(before - fixture.bytes("packs") == report.freedBytes)
        #expect(report.freedBytes > UInt64(first.count))
        #expect(fixture.keys("index").count == 1)
        try fixture.expectWhole([(new, [second])])
        // A second prune has nothing to do.
        let again = try fixture.prune()
        #expect(again.deletedPacks == 0)
        #expect(fixture.keys("gc") == ["gc/1.decision", "gc/1.plan"])
    }

    /// A listing may take several calls. If two snapshots are put meanwhile, it may show the later one but not the
    /// earlier one, on whose packs the later one relies.
    @Test func aListingThatMissesASnapshotLosesNothing() throws {
        for missing in 1...4 {
            let fixture = Fixture()
            _ = try fixture.create()
            let old = try fixture.backup([first])
            let one = try fixture.backup([shared, second])
            let two = try fixture.backup([shared, plain])
            try fixture.forget(old)
            // The first listings show neither snapshot. The next one shows only the second.
            let paged = PagedStore(
                fixture.store,
                hiding: { $0 <= missing ? (($0 < missing) ? [one.id, two.id] : [one.id]) : [] })
            var options = PruneOptions()
            options.graceSeconds = 0
            let repository = try Repository.open(
                paged, cache: fixture.cache, time: fixture.time, random: fixture.random)
            let report = try Prune(repository, options, host: "host", program: "test").run()
            #expect(paged.listings > missing)
            #expect(report.snapshots == 2, "\(missing)")
            try fixture.expectWhole([(one, [shared, second]), (two, [shared, plain])])
        }
    }

    @Test func wastefulPacksAreRewritten() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([first, shared, plain])
        let new = try fixture.backup([shared, plain])
        try fixture.forget(old)
        let kept = try fixture.prune { $0.maxUnused = .unlimited }
        #expect(kept.rewrittenPacks == 0 && kept.unusedBytes > UInt64(first.count))
        let report = try fixture.prune()
        #expect(report.rewrittenPacks == 1 && report.unusedBytes == 0)
        #expect(report.copiedBytes < UInt64(shared.count + 2000), "copied as compressed")
        #expect(report.freedBytes > UInt64(first.count))
        try fixture.expectWhole([(new, [shared, plain])])
    }

    @Test func anIndexOfATableAndMoreIsRewritten() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        // More entries than the overlay holds, and a few more.
        func contents(_ numbers: Range<Int>) -> [[UInt8]] {
            numbers.map { number in [UInt8(number >> 8), UInt8(number & 255), 1] }
        }
        let old = try fixture.backup(contents(0..<6000))
        _ = try BlobIndex(try fixture.open())
        #expect(fixture.cache[IndexTable.cacheName] != nil)
        let next = try fixture.backup(contents(3000..<6500))
        let last = try fixture.backup(contents(2000..<2010) + contents(6400..<6600))
        try fixture.forget(old)
        // Several threads read the manifests. The outcome must be the same as with one thread.
        let report = try fixture.prune { $0.workerCount = 3 }
        #expect(report.rewrittenPacks > 0 && report.unusedBytes == 0)
        #expect(report.livingBlobs > 3600)
        try fixture.expectWhole([
            (next, contents(3000..<6500)), (last, contents(2000..<2010) + contents(6400..<6600)),
        ])
    }

    @Test func chunksAndManifestsStayApart() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        var snapshots: [(CommitRecord, [[UInt8]])] = []
        for number in 1...6 {
            let contents = [SeededRandom(seed: UInt64(number)).bytes(5000), shared]
            snapshots.append((try fixture.backup(contents), contents))
        }
        try fixture.forget(snapshots[0].0, snapshots[2].0)
        try fixture.prune { $0.maxUnused = .bytes(0) }
        snapshots.remove(at: 2)
        snapshots.remove(at: 0)
        try fixture.expectWhole(snapshots)
        for pack in try BlobIndex(try fixture.open()).packs {
            let (kind, _) = try fixture.open().packFooter(pack.id)
            #expect(kind == pack.kind)
        }
    }

    @Test func aDryRunTellsWhatAPruneDoes() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([first, shared])
        let new = try fixture.backup([shared])
        let image = fixture.store.durableImage
        fixture.store.setMode(.readOnly)
        let told = try fixture.prune {
            $0.isDryRun = true
            $0.alsoForgotten = [old.id]
        }
        fixture.store.setMode(.normal)
        #expect(fixture.store.durableImage == image)
        try fixture.forget(old)
        let done = try fixture.prune()
        #expect(told.deletedPacks == done.deletedPacks && told.deletedBytes == done.deletedBytes)
        #expect(told.rewrittenPacks == 1 && done.rewrittenPacks == 1)
        try fixture.expectWhole([(new, [shared])])
    }

    @Test func copyingIsBounded() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([first, shared])
        let new = try fixture.backup([shared])
        try fixture.forget(old)
        let report = try fixture.prune { $0.maxRepackBytes = 1000 }
        #expect(report.rewrittenPacks == 0 && report.isPartial)
        let hurried = try fixture.prune { $0.maxDurationNanoseconds = 0 }
        #expect(hurried.rewrittenPacks == 0 && hurried.isPartial && !hurried.wasInterrupted)
        try fixture.expectWhole([(new, [shared])], isTidy: false)
    }

    @Test func aReaderGoesOnBesideAPrune() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let old = try fixture.backup([first, shared])
        let new = try fixture.backup([shared])
        let index = try BlobIndex(repository)
        let reader = try ManifestReader(new, repository: repository, index: index)
        try fixture.forget(old)
        #expect(try fixture.prune().rewrittenPacks == 1)
        guard case .entry(let entry)? = try reader.next(), case .extents(let extents) = entry.content,
            case .chunk(let chunk) = extents[0]
        else {
            Issue.record("no entry")
            return
        }
        let content = try BlobReader(repository).copy(of: chunk, kind: .chunkPack, index: index)
        #expect(content == shared)
    }

    @Test func whatAnInterruptedBackupLeftIsGivenBack() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let kept = try fixture.backup([second])
        let session = try fixture.session(repository)
        let root = try session.makeWriter(.chunkPack, compression: .off).store(first)
        // The machine stops after the packs have become visible.
        fixture.store.setFault(.crash(afterMutation: 3))
        #expect(throws: StoreError.self) {
            try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        }
        fixture.store.setFault(nil)
        #expect(fixture.keys("packs").count == 3)
        // A prune that waits for the session and is told to stop must not end it.
        var options = PruneOptions()
        options.graceSeconds = 3600
        let calls = Counter()
        let stopped = try Prune(
            repository, options, host: "h", program: "p", stop: StopSignal { calls.next() > 3 }
        ).run()
        #expect(stopped.wasInterrupted && stopped.deletedPacks == 0)
        #expect(fixture.keys("sessions").contains("sessions/\(session.id)"))
        let report = try fixture.prune()
        #expect(report.deletedPacks == 1 && report.revokedSessions == 1)
        try fixture.expectWhole([(kept, [second])])
    }

    /// A prune that is stopped during the deletion reports the packs that it has deleted. The next prune deletes the
    /// rest.
    @Test func aStoppedPruneCountsWhatItHasDeleted() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let noise = (0..<12).map { SeededRandom(seed: 900 + $0).bytes(900_000) }
        try fixture.forget(try fixture.backup(noise))
        let (before, bytes) = (fixture.keys("packs").count, fixture.bytes("packs"))
        let isDeleting = Mutex(0)
        var options = PruneOptions()
        options.graceSeconds = 0
        let stopped = try Prune(
            try fixture.open(), options, host: "h", program: "p",
            onEvent: { event in if case .step(.deleting) = event { isDeleting.withLock { $0 = 1 } } },
            stop: StopSignal {
                isDeleting.withLock { calls in
                    if calls > 0 { calls += 1 }
                    return calls > 5
                }
            }
        ).run()
        let (left, rest) = (fixture.keys("packs").count, fixture.bytes("packs"))
        #expect(stopped.wasInterrupted && left > 0 && left < before)
        #expect(stopped.deletedPacks == before - left && stopped.deletedBytes == bytes - rest)
        #expect(try fixture.prune().deletedPacks == left)
    }

    @Test func aRunningBackupThatCountsOnWhatGoesIsToldSo() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let old = try fixture.backup([first])
        try fixture.forget(old)
        let session = try fixture.session(repository)
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        try manifest.append(file([1], try chunks.store(first)))
        try manifest.append(file([2], try chunks.store(second)))
        let root = try manifest.storeRoot()
        #expect(try fixture.prune().revokedSessions == 1)
        #expect(throws: RepositoryError.self) {
            try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        }
        #expect(session.keptPacks.packs.count == 2)
        let again = try fixture.backup([first, second])
        try fixture.prune()
        try fixture.expectWhole([(again, [first, second])])
    }

    @Test func aRunningBackupGoesOnWhereNothingOfItGoes() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let old = try fixture.backup([first])
        let kept = try fixture.backup([shared])
        let session = try fixture.session(repository)
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        try manifest.append(file([1], try chunks.store(shared)))
        try manifest.append(file([2], try chunks.store(second)))
        let root = try manifest.storeRoot()
        try fixture.forget(old)
        #expect(try fixture.prune().deletedPacks == 2)
        let snapshot = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        try fixture.expectWhole([(kept, [shared]), (snapshot, [shared, second])], isTidy: false)
    }

    @Test func whatCannotBeToldIsNotDeleted() throws {
        for folder in ["snapshots", "index", "packs"] {
            let fixture = Fixture()
            _ = try fixture.create()
            let old = try fixture.backup([first])
            let new = try fixture.backup([second])
            try fixture.forget(old)
            let packs = Set(
                try fixture.open().indexSegment(new.id).packs.map { "\(ObjectNames.pack($0.id))" })
            let key = try #require(
                fixture.keys(folder).first { key in
                    key.hasSuffix("\(new.id)")
                        || (packs.contains(key)
                            && fixture.store[key]![8] == ObjectKind.manifestPack.rawValue)
                })
            fixture.store[key]![100] ^= 1
            let before = fixture.store.durableImage
            #expect(throws: (any Error).self) { try fixture.prune() }
            for (key, bytes) in before { #expect(fixture.store[key] == bytes) }
        }
    }

    @Test func aDamagedPackIsNotRewritten() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([first, shared])
        let new = try fixture.backup([shared])
        try fixture.forget(old)
        let pack = try #require(
            try fixture.open().indexSegment(old.id).packs.first { $0.kind == .chunkPack })
        let key = ObjectNames.pack(pack.id).description
        let offset = fixture.store[key]!.count - 500
        fixture.store[key]![offset] ^= 1
        let report = try fixture.prune()
        #expect(report.damagedPacks == 1 && report.rewrittenPacks == 0)
        #expect(fixture.store[key] != nil)
        fixture.store[key]![offset] ^= 1
        try fixture.prune()
        try fixture.expectWhole([(new, [shared])])
    }

    @Test func aStoreThatOverwritesIsNotPruned() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let store = OverwritingStore(fixture.store)
        let repository = try Repository.open(
            store, cache: fixture.cache, time: fixture.time, random: fixture.random)
        let error = #expect(throws: RepositoryError.self) {
            try Prune(repository, host: "h", program: "p").run()
        }
        guard case .cannotCollect? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(fixture.keys("gc").isEmpty)
    }

    @Test func manySegmentsBecomeOne() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        var snapshots: [(CommitRecord, [[UInt8]])] = []
        for number in 0..<70 {
            let contents = [[UInt8](repeating: UInt8(number), count: 600)]
            snapshots.append((try fixture.backup(contents), contents))
        }
        try fixture.prune()
        #expect(fixture.keys("index").count == 1)
        try fixture.expectWhole(snapshots)
    }

    @Test func whatVersionsOfASegmentReferToIsMarkedOnceAndAll() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        var contents = (0..<40).map { [UInt8](repeating: UInt8($0), count: 600) }
        // Contents come, go and come back, at both ends of the list and in between.
        for number in 0..<12 {
            try fixture.backup(contents)
            contents[(number * 17) % 40] = [UInt8](repeating: UInt8(100 + number % 5), count: 600)
            contents[number % 2 * 39] = [UInt8](repeating: UInt8(200 + number), count: 600)
        }
        var cold: [Int] = []
        for isCold in [true, false, false, true] {
            if isCold { fixture.cache[ReferenceCache.name] = nil }
            let mark = try Mark.take(try fixture.open(), workerCount: 2) { _, _ in }
            var marked: [Int] = []
            try mark.sorted.forEachBlob { position, _ in
                if mark.live.contains(position) { marked.append(position) }
            }
            #expect(marked.count == mark.live.count)
            if cold.isEmpty { cold = marked } else { #expect(marked == cold) }
            // No snapshot was forgotten, so something refers to every blob.
            var blobs = 0
            try mark.sorted.forEachBlob { _, _ in blobs += 1 }
            #expect(marked.count == blobs)
        }
    }

    @Test func anUnchangedManifestIsReadOnce() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        try fixture.backup([shared])
        let packs = fixture.keys("packs")
        /// Returns the number of reads of packs.
        func reads() throws -> Int {
            fixture.store.clearCalls()
            try fixture.prune()
            return fixture.store.calls.filter { $0.operation == .read && packs.contains($0.object) }.count
        }
        // The first time, the prune reads the root and the segment; the second time only the root.
        #expect(try reads() == 2)
        #expect(try reads() == 1)
        let file = try #require(fixture.cache[ReferenceCache.name])
        for offset in file.indices {
            var bytes = file
            bytes[offset] ^= 0x40
            fixture.cache[ReferenceCache.name] = bytes
            #expect(try reads() <= 2, "byte \(offset)")
            fixture.cache[ReferenceCache.name] = Array(file.prefix(offset))
            #expect(try reads() <= 2, "\(offset) bytes")
        }
        try fixture.expectWhole([(try fixture.open().findSnapshot("latest"), [shared])])
    }
}

/// A store in which a put overwrites the object that has the name.
private final class OverwritingStore: ForwardingStore, @unchecked Sendable {
    override func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        try base.delete(key)
        return try base.put(key, bytes)
    }
}

/// A counter of calls.
private final class Counter: @unchecked Sendable {
    private let monitor = Monitor()
    private var count = 0

    func next() -> Int {
        monitor.locked {
            count += 1
            return count
        }
    }
}

/// A store whose first listings of snapshots leave some of them out.
private final class PagedStore: ForwardingStore, @unchecked Sendable {
    private let hiding: (Int) -> [ID128]
    private(set) var listings = 0

    init(_ base: SimulatedStore, hiding: @escaping (Int) -> [ID128]) {
        self.hiding = hiding
        super.init(base)
    }

    override func list(_ folder: String) throws(StoreError) -> [ObjectInfo] {
        let all = try base.list(folder)
        guard folder == ObjectNames.snapshots else { return all }
        listings += 1
        let hidden = hiding(listings).map(ObjectNames.snapshot)
        return all.filter { !hidden.contains($0.key) }
    }
}
