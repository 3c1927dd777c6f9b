// A listing may report any size: a sparse file can be very long and yet take no space. Sums of such sizes stop at the
// largest number. The program reads and allocates no more because of them.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A store in which a hole makes each pack longer.
private final class HollowStore: ForwardingStore, @unchecked Sendable {
    let size: Int
    /// The number of bytes that were read from packs.
    private(set) var readBytes = 0

    init(_ base: SimulatedStore, size: Int) {
        self.size = size
        super.init(base)
    }

    private func isHollow(_ key: ObjectKey) -> Bool { key.description.hasPrefix("packs/") }

    override func size(of key: ObjectKey) throws(StoreError) -> Int {
        let size = try super.size(of: key)
        return isHollow(key) ? self.size : size
    }

    override func list(_ folder: String) throws(StoreError) -> [ObjectInfo] {
        try super.list(folder).map { ObjectInfo(key: $0.key, size: isHollow($0.key) ? size : $0.size) }
    }

    override func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) {
        try super.listAll(beneath: folder) { objects, others in
            page(objects.map { ObjectInfo(key: $0.key, size: isHollow($0.key) ? size : $0.size) }, others)
        }
    }

    override func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        guard isHollow(key) else { return try super.read(key, at: offset, into: buffer) }
        readBytes += buffer.count
        let there = max(0, min(buffer.count, try super.size(of: key) - offset))
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        if there > 0 { try super.read(key, at: offset, into: .init(rebasing: buffer[..<there])) }
    }
}

@Suite struct ListedSizeTests {
    private static let huge = 1 << 62

    /// Makes six packs, and two more that no index names.
    private static func prepared(_ fixture: Fixture) throws {
        for number in 1...3 { try fixture.backup([[UInt8](repeating: UInt8(number), count: 70_000)]) }
        let packs = fixture.keys("packs")
        for number in 1...2 {
            let key = ObjectNames.pack(ID128(high: UInt64(number) << 56, low: 5))
            fixture.store[key.description] = fixture.store[packs[number]]
        }
    }

    private static func open(_ fixture: Fixture, _ store: HollowStore) throws -> Repository {
        try Repository.open(store, cache: MemoryCache(), time: fixture.time, random: fixture.random)
    }

    @Test func totalsEndAtTheLargestNumber() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        try Self.prepared(fixture)
        let store = HollowStore(fixture.store, size: Self.huge)
        let repository = try Self.open(fixture, store)
        let snapshots = try repository.snapshots().readable
        let stats = try StatsRun(repository, try BlobIndex(repository)).run(snapshots)
        #expect(stats.packs == 8 && stats.packBytes == .max && stats.unusedBytes == UInt64(Self.huge) * 2)
        var options = PruneOptions()
        (options.graceSeconds, options.isDryRun) = (0, true)
        let dry = try Prune(repository, options, host: "h", program: "p").run()
        #expect(dry.packBytes == .max && dry.deletedBytes == UInt64(Self.huge) * 2)
        let report = try RepositoryCheck(
            repository, depth: .readData, workerCount: 1, onEvent: { _ in }
        ).run()
        #expect(report.unusedPacks == 2 && report.unusedBytes == UInt64(Self.huge) * 2)
        options.isDryRun = false
        #expect(try Prune(repository, options, host: "h", program: "p").run().packBytes == .max)
        // Little more was read than the real bytes.
        #expect(store.readBytes < 4 << 20, "\(store.readBytes) bytes")
    }

    @Test func whoHasNoKeyCountsThem() throws {
        var fixture = Fixture()
        _ = try fixture.createEncrypted()
        fixture.word = "word"
        for number in 1...3 { try fixture.backup([[UInt8](repeating: UInt8(number), count: 70_000)]) }
        let store = HollowStore(fixture.store, size: Self.huge)
        let report = try KeylessCheck(store, readsData: true, onEvent: { _ in }).run()
        #expect(report.packs == 6 && report.packBytes == .max && report.damagedObjects == 6)
        #expect(store.readBytes == 0)
    }

    @Test func aRepairSearchesWhatThePackHas() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let snapshot = try fixture.backup([[UInt8](repeating: 1, count: 70_000)])
        let before = try contents(snapshot, try fixture.open())
        let store = HollowStore(fixture.store, size: Self.huge)
        let repository = try Self.open(fixture, store)
        let report = try RepairIndex(repository, RepairRequest(host: "h", program: "p")).run()
        // These packs do not end as a pack must.
        #expect(report.damagedPacks == 2)
        #expect(store.readBytes < 4 << 20, "\(store.readBytes) bytes")
        // The repaired index can be read and lists the blobs of the packs.
        #expect(try contents(snapshot, try fixture.open()) == before)
    }
}
