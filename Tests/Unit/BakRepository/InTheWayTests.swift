// Obstructions: items that are not objects under the name of an object. A command that an obstruction hinders fails and
// names it. A check names it before.

import BakCore
import BakFormat
import BakStorage
import Synchronization
import TestSupport
import Testing

@testable import BakRepository

/// A store in which obstructions have the names of some objects.
private final class ObstructedStore: ForwardingStore, @unchecked Sendable {
    var obstructed: Set<String> = []
    private var staged: [ObjectKey] = []

    private func expectFree(_ key: ObjectKey) throws(StoreError) {
        guard obstructed.contains(key.description) else { return }
        throw StoreError(kind: .obstructed, operation: "publish", object: key.description, message: "a wall")
    }

    override func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        try expectFree(key)
        return try base.put(key, bytes)
    }
    override func stage(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, in batch: any StagedBatch
    ) throws(StoreError) {
        staged.append(key)
        try batch.stage(key, bytes)
    }
    override func publish(_ batch: any StagedBatch) throws(StoreError) {
        let keys = staged
        staged = []
        for key in keys { try expectFree(key) }
        try batch.publish()
    }
    override func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) {
        try base.listAll(beneath: folder, page)
        let walls = obstructed.filter { $0.hasPrefix(folder + "/") }.sorted()
        page([], walls.map { Obstruction(key: ObjectKey($0), what: "a wall") })
    }
    override func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction]) {
        let walls = obstructed.filter {
            $0.hasPrefix(folder + "/") && !$0.dropFirst(folder.count + 1).contains("/")
        }
        return (try list(folder), walls.sorted().map { Obstruction(key: ObjectKey($0), what: "a wall") })
    }
}

@Suite struct InTheWayTests {
    private let fixture = Fixture()
    private let store: ObstructedStore
    private let repository: Repository

    init() throws {
        _ = try fixture.create()
        store = ObstructedStore(fixture.store)
        repository = try Repository.open(
            store, cache: MemoryCache(), time: fixture.time, random: SeededRandom(seed: 3))
    }

    private func prune() throws -> PruneReport {
        var options = PruneOptions()
        options.graceSeconds = 0
        options.maxUnused = .bytes(0)
        return try Prune(repository, options, host: "host", program: "test").run()
    }

    private func repairIndex() throws -> RepairReport {
        try RepairIndex(repository, RepairRequest(host: "host", program: "test")).run()
    }

    private func check() throws -> (report: CheckReport, events: String) {
        let events = Mutex("")
        let report = try RepositoryCheck(repository, depth: .structure, workerCount: 1) { event in
            events.withLock { $0 += "\(event)\n" }
        }.run()
        return (report, events.withLock { $0 })
    }

    private func expectObstructed(_ object: String, _ call: () throws -> Void) {
        let error = #expect(throws: StoreError.self) { try call() }
        #expect(error?.kind == .obstructed && error?.object == object)
    }

    /// Expects that a check names the obstruction as a hindrance.
    private func expectNamed(_ object: String) throws {
        let (report, events) = try check()
        #expect(report.obstructions == 1 && !report.isClean)
        #expect(events.contains("\(object)\", reason: \"a wall is in its place"), "\(events)")
    }

    /// The hidden record may be the newest, so "latest" must not mean an older one.
    @Test func whatIsInTheNewestRecordsPlaceIsNoOlderSnapshot() throws {
        try fixture.backup([[1]])
        let newest = try fixture.backup([[2]])
        for key in [ObjectNames.snapshot(newest.id), ObjectNames.spare(newest.id)] {
            fixture.store[key.description] = nil
        }
        store.obstructed = [ObjectNames.snapshot(newest.id).description]
        let list = try repository.snapshotList()
        #expect(list.unreadable.map(\.id) == [newest.id])
        #expect(throws: LatestUnreadableError.self) { try list.find("latest") }
        try expectNamed(ObjectNames.snapshot(newest.id).description)
    }

    @Test(arguments: [1, 2]) func aForgetThatIsNoneFails(snapshots: Int) throws {
        let ids = try (0..<snapshots).map { try fixture.backup([[UInt8($0)]]).id }
        let object = ObjectNames.forget(ids[0]).description
        store.obstructed = [object]
        expectObstructed(object) { try repository.forget(ids, host: "host", program: "test") }
        #expect(try repository.snapshots().readable.contains { $0.id == ids[0] })
        try expectNamed(object)
        store.obstructed = []
        try repository.forget(ids, host: "host", program: "test")
        #expect(try repository.snapshots().readable.isEmpty)
    }

    @Test func aSessionThatCannotBeEndedEndsThePrune() throws {
        let kept = try fixture.backup([[1], [2]])
        let sessions = try (0..<2).map { _ in try fixture.session(fixture.open()) }
        for session in sessions {
            _ = try session.makeWriter(.chunkPack, compression: .off).store(SeededRandom(seed: 5).bytes(5000))
        }
        // A stray pack makes the prune look for its session.
        let pack = try #require(fixture.keys("packs").first)
        fixture.store["packs/00/00" + String(repeating: "1", count: 30)] = fixture.store[pack]
        let ids = sessions.map(\.id).sorted()
        let object = ObjectNames.snapshot(ids[0]).description
        store.obstructed = [object]
        expectObstructed(object) { _ = try prune() }
        expectObstructed(object) { _ = try repairIndex() }
        // The prune has still ended the other session.
        #expect(try repository.sessionOutcomes().revoked == [ids[1]])
        try expectNamed(object)
        store.obstructed = []
        _ = try prune()
        #expect(try check().report.isClean)
        try fixture.expectWhole([(kept, [[1], [2]])], isTidy: false)
        withExtendedLifetime(sessions) {}
    }

    @Test(arguments: ["plan", "decision"]) func theNextRoundIsInTheWay(what: String) throws {
        let first = try fixture.backup([SeededRandom(seed: 1).bytes(5000)])
        try fixture.backup([SeededRandom(seed: 2).bytes(5000)])
        try fixture.forget(first)
        store.obstructed = ["gc/1.\(what)"]
        expectObstructed("gc/1.\(what)") { _ = try prune() }
        try expectNamed("gc/1.\(what)")
        store.obstructed = []
        #expect(try prune().deletedPacks > 0)
        // An obstruction under the name of an old round hinders nothing.
        store.obstructed = ["gc/1.plan"]
        try fixture.backup([SeededRandom(seed: 3).bytes(5000)])
        #expect(try check().report.isClean && check().report.harmlessObjects == 1)
        _ = try prune()
    }

    @Test func theNewestDecisionIsNamedAndMadeAnewWithoutWhatIsInItsPlace() throws {
        let first = try fixture.backup([SeededRandom(seed: 1).bytes(5000)])
        let second = try fixture.backup([SeededRandom(seed: 2).bytes(5000)])
        try fixture.forget(first)
        _ = try prune()
        fixture.store["gc/1.decision"] = nil
        store.obstructed = ["gc/1.decision"]
        try expectNamed("gc/1.decision")
        expectObstructed("gc/1.decision") { _ = try repairIndex() }
        store.obstructed = []
        #expect(try repairIndex().isWhole)
        #expect(try check().report.isClean)
        try fixture.expectWhole([(second, [SeededRandom(seed: 2).bytes(5000)])], isTidy: false)
    }

    @Test func whatIsMissedIsToldWithWhatIsInItsPlace() throws {
        try fixture.backup([SeededRandom(seed: 1).bytes(5000)])
        let pack = try #require(fixture.keys("packs").first)
        fixture.store[pack] = nil
        store.obstructed = [pack, ObjectNames.spare(ID128(from: fixture.random)).description]
        let (report, events) = try check()
        #expect(events.contains("the pack is missing: a wall is in its place"), "\(events)")
        #expect(report.damagedObjects == 1 && report.harmlessObjects == 1 && report.obstructions == 0)
    }

    /// A power cut may leave an empty session record. No program needs it, so a prune removes it.
    @Test func anEmptySessionIsClearedAway() throws {
        let kept = try fixture.backup([[1]])
        for damaged in [[], [UInt8](repeating: 7, count: 90)] as [[UInt8]] {
            let id = ID128(from: fixture.random)
            fixture.store[ObjectNames.session(id).description] = damaged
            let found = try check()
            #expect(!found.report.isClean && found.events.contains("prune removes it"))
            _ = try prune()
            #expect(fixture.keys("sessions").isEmpty)
            #expect(try check().report.isClean)
        }
        try fixture.expectWhole([(kept, [[1]])], isTidy: false)
    }
}
