// Sessions that close without a commit, and forgotten snapshots that are taken back.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A store that loses the reply to a commit. The record arrives later.
private final class LateStore: ForwardingStore, @unchecked Sendable {
    var late: (key: ObjectKey, bytes: [UInt8])?

    override func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        guard key.description.hasPrefix("snapshots/"), late == nil else { return try base.put(key, bytes) }
        late = (key, Array(bytes))
        throw StoreError(kind: .lostMedium, operation: "put", object: "\(key)", message: "timed out")
    }

    /// Lets the record arrive.
    func arrive() throws -> PutOutcome? {
        guard let late else { return nil }
        return try late.bytes.withUnsafeBytes { try base.put(late.key, $0) }
    }
}

@Suite struct SessionCloseTests {
    /// A commit record that arrives late finds the tombstone. Without a tombstone, the snapshot would exist after a
    /// prune has deleted its packs.
    @Test(arguments: [false, true])
    func aCommitThatArrivesLateMeetsTheTombstone(isCareless: Bool) throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let store = LateStore(fixture.store)
        let repository = try Repository.open(
            store, cache: MemoryCache(), time: fixture.time, random: SeededRandom(seed: 4))
        var faults = ProtocolFaults()
        faults.closeWithoutTombstone = isCareless
        let session = try BackupSession(repository, host: "h", program: "p", faults: faults)
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        try manifest.append(file(Array("file".utf8), try chunks.store([UInt8](repeating: 1, count: 9000))))
        let root = try manifest.storeRoot()
        #expect(throws: StoreError.self) {
            try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        }
        session.close()
        #expect(fixture.keys("sessions").isEmpty)
        try fixture.prune { $0.graceSeconds = 1000 }
        #expect(fixture.keys("packs").isEmpty)
        let outcome = try store.arrive()
        #expect(outcome == (isCareless ? .created : .takenByOthers))
        #expect(try fixture.open().snapshots().readable.count == (isCareless ? 1 : 0))
    }

    @Test func noPruneWaitsForWhatWasClosed() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        for stores in [false, true] {
            let session = try fixture.session(repository)
            if stores {
                let chunks = session.makeWriter(.chunkPack, compression: .off)
                _ = try chunks.store([UInt8](repeating: 7, count: 300_000))
            }
            session.close()
            session.close()
            try fixture.prune {
                $0.graceSeconds = 1000
                $0.pause = { _ in Issue.record("the prune waits") }
            }
            // A closed session cannot commit any more.
            #expect(throws: RepositoryError.self) {
                try session.commit(continuing: false) {
                    record($0, hasIndex: $1, root: BlobReference(id: .zero, length: 1))
                }
            }
        }
        #expect(fixture.keys("snapshots").isEmpty && fixture.keys("sessions").isEmpty)
    }
}

@Suite struct TakingBackTests {
    private static let kept = SeededRandom(seed: 61).bytes(40_000)
    private static let gone = SeededRandom(seed: 62).bytes(90_000)

    private func takeBack(_ fixture: Fixture, _ snapshot: CommitRecord) throws -> CommitRecord? {
        guard case .back(let record) = try fixture.open().takeBack(snapshot, host: "h", program: "p") else {
            return nil
        }
        return record
    }

    @Test func aForgottenSnapshotIsTakenBackUntilAPruneMakesItFinal() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([Self.gone, Self.kept])
        let new = try fixture.backup([Self.kept])
        try fixture.forget(old)
        let listed = try fixture.open().forgottenSnapshots()
        #expect(listed.map(\.snapshot.id) == [old.id] && listed[0].origin?.host == "host")
        let back = try #require(try takeBack(fixture, old))
        #expect(back.id != old.id && back.original == old.id && back.time == old.time)
        #expect(try fixture.open().forgottenSnapshots().isEmpty)
        // An earlier id of the snapshot still finds it.
        #expect(try fixture.open().findSnapshot(old.id.short).id == back.id)
        try fixture.prune { $0.maxUnused = .bytes(0) }
        try fixture.expectWhole([(back, [Self.gone, Self.kept]), (new, [Self.kept])])
        // After the snapshot is forgotten again and pruned, its own content is gone, and everything else is complete.
        try fixture.forget(back)
        try fixture.prune { $0.maxUnused = .bytes(0) }
        for snapshot in [old, back] { #expect(try takeBack(fixture, snapshot) == nil) }
        try fixture.expectWhole([(new, [Self.kept])], isTidy: false)
        #expect(fixture.keys("sessions").isEmpty)
    }

    /// A record is lost, or cut to a length that may be a tombstone's. Then a backup does not rely on the session's
    /// packs. But `forget --undo` still finds them, for this snapshot and for another one that refers to them.
    @Test(arguments: [nil, 0, 60, 96], [true, false])
    func afterARecordWasDamaged(_ length: Int?, ofItsOwn: Bool) throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let first = try fixture.backup([Self.gone, Self.kept])
        let second = try fixture.backup([Self.gone])
        let forgotten = ofItsOwn ? [first] : [first, second]
        for snapshot in forgotten { try fixture.forget(snapshot) }
        let key = "snapshots/\(first.id)"
        fixture.store[key] = length.flatMap { length in fixture.store[key].map { Array($0.prefix(length)) } }
        #expect(try fixture.open().canTakeAnyBack())
        let snapshot = ofItsOwn ? first : second
        let back = try #require(try takeBack(fixture, snapshot))
        let expected = ofItsOwn ? [Self.gone, Self.kept] : [Self.gone]
        if !ofItsOwn { #expect(try takeBack(fixture, first) != nil) }
        try fixture.prune { $0.maxUnused = .bytes(0) }
        #expect(try contents(back, fixture.open()) == expected)
    }

    /// The command does not claim that a prune has deleted data if no prune has.
    @Test func aMissingIndexSegmentIsDamage() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([Self.gone])
        try fixture.backup([Self.kept])
        try fixture.forget(old)
        fixture.store["index/\(old.id)"] = nil
        guard case .damaged(let fault) = try fixture.open().takeBack(old, host: "h", program: "p") else {
            Issue.record("it is taken for final")
            return
        }
        #expect(fault.object == "index/\(old.id)")
    }

    /// A prune stops anywhere. A snapshot that is taken back afterwards is complete, and stays so.
    @Test func afterAPruneThatWasStoppedAnywhere() throws {
        var (mutation, isDone, outcomes) = (0, false, Set<Bool>())
        while !isDone {
            mutation += 1
            var fixture = Fixture()
            _ = try fixture.create()
            let old = try fixture.backup([Self.gone, Self.kept])
            let new = try fixture.backup([Self.kept])
            try fixture.forget(old)
            fixture.store.setFault(.crash(afterMutation: mutation))
            _ = try? fixture.prune { $0.maxUnused = .bytes(0) }
            isDone = !fixture.store.hasFaultStruck
            fixture.store = fixture.store.afterCrash()
            var expected = [(new, [Self.kept])]
            let back = try takeBack(fixture, old)
            outcomes.insert(back != nil)
            // A pack that is condemned but not yet decided still exists.
            let isDecided = fixture.keys("gc").contains { $0.hasSuffix(".decision") }
            #expect(back != nil || isDecided, "mutation \(mutation)")
            if let back { expected.append((back, [Self.gone, Self.kept])) }
            try fixture.expectWhole(expected, isTidy: false)
            try fixture.prune { $0.maxUnused = .bytes(0) }
            try fixture.expectWhole(expected)
        }
        #expect(outcomes == [true, false])
    }

    /// A prune that stopped has condemned packs. A change of tags does not report them as damage.
    @Test func aTagAfterAPruneThatWasStoppedAnywhere() throws {
        var (mutation, isDone) = (0, false)
        while !isDone {
            mutation += 1
            var fixture = Fixture()
            _ = try fixture.create()
            let gone = try fixture.backup([Self.gone, Self.kept])
            let old = try fixture.backup([Self.kept])
            try fixture.forget(gone)
            fixture.store.setFault(.crash(afterMutation: mutation))
            _ = try? fixture.prune { $0.maxUnused = .bytes(0) }
            isDone = !fixture.store.hasFaultStruck
            fixture.store = fixture.store.afterCrash()
            var new = old
            new.tags = ["kept"]
            var made: [CommitRecord] = []
            #expect(
                try fixture.open().recommit(
                    [(old, new)], host: "h", program: "p", stop: .never,
                    onDone: { made.append($1) }))
            let expected = made.map { ($0, [Self.kept]) }
            try fixture.expectWhole(expected, isTidy: false)
            try fixture.prune { $0.maxUnused = .bytes(0) }
            try fixture.expectWhole(expected)
        }
        #expect(mutation > 5)
    }

    /// A whole prune runs between any two mutations of a taking back.
    @Test func besideAPrune() throws {
        var (mutation, isDone, outcomes) = (0, false, Set<Bool>())
        while !isDone {
            mutation += 1
            let fixture = Fixture()
            _ = try fixture.create()
            let old = try fixture.backup([Self.gone, Self.kept])
            let new = try fixture.backup([Self.kept])
            try fixture.forget(old)
            let store = InterruptedStore(fixture.store, beforeMutation: mutation) {
                try fixture.prune { $0.maxUnused = .bytes(0) }
            }
            let repository = try Repository.open(
                store, cache: MemoryCache(), time: fixture.time, random: SeededRandom(seed: 98))
            let outcome = try repository.takeBack(old, host: "h", program: "p")
            isDone = !store.hasStruck
            var expected = [(new, [Self.kept])]
            if case .back(let record) = outcome {
                expected.append((record, [Self.gone, Self.kept]))
                outcomes.insert(true)
            } else {
                outcomes.insert(false)
            }
            try fixture.expectWhole(expected, isTidy: false)
            try fixture.prune { $0.maxUnused = .bytes(0) }
            try fixture.expectWhole(expected)
        }
        #expect(outcomes == [true, false])
    }

    @Test func whatIsThereUnderAnotherIDIsNotForgotten() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let old = try fixture.backup([Self.kept])
        // A change of tags makes such a snapshot.
        let session = try fixture.session(repository)
        let made = try session.commit(continuing: false) { id, hasIndex in
            var record = old
            (record.id, record.hasIndex, record.original) = (id, hasIndex, old.id)
            return record
        }
        try fixture.forget(old)
        #expect(try fixture.open().forgottenSnapshots().isEmpty)
        try fixture.forget(made)
        #expect(try fixture.open().forgottenSnapshots().map(\.snapshot.id).contains(made.id))
    }
}
