// Commit records that are lost. Another object, the witness, shows that the record existed. No prune deletes data that
// only the lost snapshot may need.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

@Suite struct MissingRecordTests {
    private static let kept = SeededRandom(seed: 61).bytes(40_000)
    private static let gone = SeededRandom(seed: 62).bytes(300_000)

    /// The object that shows that the record existed.
    enum Witness: CaseIterable { case spare, decision, child }

    /// Returns a repository that has lost the record of its first snapshot, with only one witness. Also returns the
    /// snapshot and its record's bytes.
    private func prepare(_ witness: Witness) throws -> (Fixture, old: CommitRecord, bytes: [UInt8]) {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([Self.gone])
        if witness == .child {
            let session = try fixture.session(try fixture.open())
            let root = try session.makeWriter(.manifestPack, compression: .off).store([1])
            _ = try session.commit(continuing: false) {
                var record = record($0, hasIndex: $1, root: root)
                record.parent = old.id
                return record
            }
            session.close()
            // The child's root is not a list of files. A prune must stop before it would read the root.
        } else {
            try fixture.backup([Self.kept])
        }
        if witness == .decision {
            let given = try fixture.backup([Self.gone, Self.kept, [1]])
            try fixture.forget(given)
            #expect(try fixture.prune { $0.maxUnused = .bytes(0) }.deletedPacks > 0)
        }
        let bytes = try #require(fixture.store["snapshots/\(old.id)"])
        fixture.store["snapshots/\(old.id)"] = nil
        if witness != .spare { fixture.store["records/\(old.id)"] = nil }
        return (fixture, old, bytes)
    }

    @Test(arguments: Witness.allCases)
    func itIsNoticedAndNothingIsDeleted(witness: Witness) throws {
        let (fixture, old, bytes) = try prepare(witness)
        let list = try fixture.open().snapshotList()
        #expect(list.unreadable.map(\.id) == [old.id] && list.unreadable.allSatisfy(\.isMissing))
        let before = fixture.store.durableImage
        for isDryRun in [true, false] {
            let error = #expect(throws: CorruptionError.self) {
                try fixture.prune {
                    $0.maxUnused = .bytes(0)
                    $0.isDryRun = isDryRun
                }
            }
            #expect(error?.object == "snapshots/\(old.id)")
        }
        #expect(fixture.store.durableImage == before)
        #expect(try !check(fixture).isClean)
        // The record is found again.
        fixture.store["snapshots/\(old.id)"] = bytes
        #expect(try contents(old, fixture.open()) == [Self.gone])
        #expect(try fixture.open().snapshotList().unreadable.isEmpty)
    }

    @Test(arguments: Witness.allCases)
    func theUserSaysThatItIsGone(witness: Witness) throws {
        let (fixture, old, _) = try prepare(witness)
        try fixture.open().forget([old.id], host: "host", program: "test")
        #expect(try fixture.open().snapshotList().unreadable.isEmpty)
        guard witness != .child else { return }
        let bytes = fixture.bytes("packs")
        #expect(try fixture.prune { $0.maxUnused = .bytes(0) }.deletedPacks > 0)
        #expect(fixture.bytes("packs") < bytes - UInt64(Self.gone.count))
        #expect(fixture.store["records/\(old.id)"] == nil)
        #expect(try check(fixture).isClean)
    }

    private func check(_ fixture: Fixture) throws -> CheckReport {
        try RepositoryCheck(try fixture.open(), depth: .structure, workerCount: 1, onEvent: { _ in }).run()
    }

    /// A tombstone in the record's place does not end the session.
    @Test func aTombstoneDoesNotTakeARecordsPlace() throws {
        let (fixture, old, _) = try prepare(.spare)
        let key = "snapshots/\(old.id)"
        fixture.store[key] = Tombstone(session: old.id).encode(try fixture.open().context)
        #expect(try fixture.open().snapshotList().unreadable.map(\.id) == [old.id])
        #expect(throws: CorruptionError.self) { try fixture.prune { $0.maxUnused = .bytes(0) } }
        #expect(fixture.store["index/\(old.id)"] != nil)
    }

    /// The session record may still exist. A prune treats the session as committed.
    @Test func aSessionWithASpareIsNotEnded() throws {
        let (fixture, old, _) = try prepare(.spare)
        #expect(fixture.store["sessions/\(old.id)"] != nil)
        #expect(throws: CorruptionError.self) { try fixture.prune { $0.maxUnused = .bytes(0) } }
        try fixture.open().forget([old.id], host: "host", program: "test")
        try fixture.prune()
        #expect(fixture.store["snapshots/\(old.id)"] == nil)
    }

    /// A repository of an earlier program has no spares. Its next prune makes them.
    @Test func aRepositoryWithoutSparesIsWhole() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([Self.gone])
        let forgotten = try fixture.backup([Self.kept])
        try fixture.forget(forgotten)
        for key in fixture.keys("records") { fixture.store[key] = nil }
        #expect(try check(fixture).isClean && check(fixture).harmlessObjects == 0)
        try fixture.prune()
        #expect(fixture.keys("records") == ["records/\(old.id)"])
        #expect(fixture.store["records/\(old.id)"] == fixture.store["snapshots/\(old.id)"])
    }

    /// A power cut has emptied a spare. The spare still shows that there was a record.
    @Test func anEmptySpareIsAWitnessAndIsMadeAnew() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([Self.gone])
        fixture.store["records/\(old.id)"] = []
        let report = try check(fixture)
        #expect(report.isClean && report.harmlessObjects == 1)
        let bytes = fixture.store["snapshots/\(old.id)"]
        fixture.store["snapshots/\(old.id)"] = nil
        #expect(throws: CorruptionError.self) { try fixture.prune() }
        fixture.store["snapshots/\(old.id)"] = bytes
        try fixture.prune()
        #expect(fixture.store["records/\(old.id)"] == bytes)
    }

    /// A spare shows the place of a damaged snapshot in the order, and whether "latest" could mean it.
    @Test func aSpareTellsWhetherASnapshotMayBeTheLatest() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        var made: [CommitRecord] = []
        for number in 0..<3 {
            let session = try fixture.session(repository)
            let root = try session.makeWriter(.manifestPack, compression: .off).store([UInt8(number)])
            made.append(
                try session.commit(continuing: false) {
                    var record = record($0, hasIndex: $1, root: root, isComplete: number != 1)
                    record.time = Timestamp(seconds: Int64(number))
                    return record
                })
        }
        func latest(without lost: Int, _ name: String) -> Int? {
            let key = "snapshots/\(made[lost].id)"
            let bytes = fixture.store[key]
            defer { fixture.store[key] = bytes }
            fixture.store[key] = nil
            return try? made.firstIndex(of: fixture.open().findSnapshot(name))
        }
        #expect(latest(without: 0, "latest") == 2)
        #expect(latest(without: 0, "latest~1") == nil)
        // This snapshot was partial, so "latest" cannot mean it.
        #expect(latest(without: 1, "latest") == 2)
        #expect(latest(without: 1, "latest~1") == 0)
        #expect(latest(without: 2, "latest") == nil)
        #expect(latest(without: 2, "latest~1") == nil)
    }
}
