// Sessions: the order in which they put objects, and the state after they stop anywhere.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

@Suite struct SessionTests {
    @Test func nothingIsVisibleBeforeWhatItRefersTo() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        fixture.store.setMode(.addOnly)
        fixture.store.clearCalls()
        let commits = try smallBackup(repository)
        let calls = fixture.store.calls
        func place(_ operation: SimulatedStore.Call.Operation, _ object: String) throws -> Int {
            try #require(calls.firstIndex(of: .init(operation, object)))
        }
        // A collection must see the next session before the earlier one commits.
        #expect(
            try place(.put, "sessions/\(commits[1].id)") < place(.put, "snapshots/\(commits[0].id)"))
        for commit in commits {
            let session = try place(.put, "sessions/\(commit.id)")
            let collections = try #require(calls[session...].firstIndex(of: .init(.list, "gc")))
            let index = try place(.put, "index/\(commit.id)")
            let snapshot = try place(.put, "snapshots/\(commit.id)")
            let published = try #require(calls[..<index].lastIndex(of: .init(.publish, "")))
            let staged = try #require(calls[..<index].lastIndex { $0.operation == .stage })
            #expect([session, collections, staged, published, index, snapshot].isSortedStrictly)
        }
        let began = try place(.put, "sessions/\(commits[0].id)")
        #expect(try place(.list, "gc") < place(.list, "index"))
        #expect(try began < place(.list, "gc"))
        // These are all calls for two checkpoints with two packs each and their spares.
        #expect(calls.filter { $0.operation == .stage }.count == 4)
        #expect(calls.filter { $0.operation == .put }.count == 8)
        #expect(calls.filter { $0.operation == .delete }.isEmpty)
    }

    @Test func whatASessionLeftUnpublishedStaysUntilItIsDecided() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let killed = try fixture.session(repository)
        let root = try killed.makeWriter(.chunkPack, compression: .off).store(smallContents[0])
        fixture.store.setFault(.crash(afterMutation: 1))
        #expect(throws: StoreError.self) {
            try killed.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        }
        fixture.store.setFault(nil)
        #expect(fixture.store.temporaryCount == 1)
        #expect(try repository.removeLeavings() == 0)
        // Another session commits. The first session's temporary stays, and the committed session's temporary goes,
        // although its session record still exists.
        let committed = try fixture.backup([smallContents[1]])
        #expect(fixture.keys("sessions").contains("sessions/\(committed.id)"))
        let left = fixture.store.makeBatch(of: committed.id)
        try [UInt8](repeating: 1, count: 100).withUnsafeBytes {
            try left.stage(ObjectKey("packs/00/left"), $0)
        }
        #expect(fixture.store.temporaryCount == 2)
        #expect(try repository.removeLeavings() == 1)
        // If a staged object is gone when its batch is published, that is an error. Nothing becomes visible in its
        // place.
        #expect(throws: StoreError.self) { try left.publish() }
        #expect(!fixture.keys("packs").contains("packs/00/left"))
        // A prune that has something to delete ends the first session.
        try fixture.forget(committed)
        #expect(try fixture.prune().revokedSessions == 1)
        #expect(try repository.removeLeavings() == 1)
        #expect(fixture.store.temporaryCount == 0)
    }

    @Test func aCrashAfterAnyMutationLeavesWholeSnapshots() throws {
        var isWhole = false
        var mutation = 0
        while !isWhole {
            mutation += 1
            let fixture = Fixture()
            let repository = try fixture.create()
            fixture.store.setFault(.crash(afterMutation: mutation))
            let committed = try? smallBackup(repository)
            isWhole = !fixture.store.hasFaultStruck
            var after = fixture
            after.store = fixture.store.afterCrash()
            let reopened = try after.open()
            let (readable, unreadable) = try reopened.snapshots()
            #expect(unreadable.isEmpty)
            for snapshot in readable {
                let expected = snapshot.isComplete ? smallContents : Array(smallContents.prefix(2))
                #expect(try contents(snapshot, reopened) == expected, "mutation \(mutation)")
            }
            if let committed { #expect(readable.count == committed.count) }
            // The next backup works without a repair.
            let again = try smallBackup(reopened)
            #expect(try contents(again[1], reopened) == smallContents)
        }
        #expect(mutation > 12)
    }

    @Test(arguments: [StoreError.Kind.full, .lostData], [false, true])
    func noFaultIsSilent(kind: StoreError.Kind, forGood: Bool) throws {
        var call = 0
        while true {
            call += 1
            let fixture = Fixture()
            let repository = try fixture.create()
            let callsBefore = fixture.store.calls.count
            fixture.store.setFault(.fail(call: call, kind: kind, forGood: forGood))
            let commits = try? smallBackup(repository)
            let hasStruck = fixture.store.hasFaultStruck
            fixture.store.setFault(nil)
            // If only the spare cannot be put, the backup does not fail.
            let calls = fixture.store.calls.dropFirst(callsBefore + call - 1)
            let isSpare = hasStruck && calls.first?.object.hasPrefix("records/") == true
            #expect(isSpare || (commits == nil) == hasStruck, "call \(call)")
            let reopened = try fixture.open()
            for snapshot in try reopened.snapshots().readable {
                #expect(try contents(snapshot, reopened).count == (snapshot.isComplete ? 4 : 2))
            }
            if !hasStruck { break }
        }
        #expect(call > 15)
    }

    /// Workers continue while a checkpoint commits. They may find blobs in a pack that is not published yet.
    @Test func aPackThatThisRunIsAboutToPublishIsNotMissing() throws {
        var mutation = 0
        var wasStruck = true
        while wasStruck {
            mutation += 1
            let fixture = Fixture()
            _ = try fixture.create()
            nonisolated(unsafe) var again: () throws -> Void = {}
            let store = InterruptedStore(fixture.store, beforeMutation: mutation) { try again() }
            let repository = try Repository.open(
                store, cache: fixture.cache, time: fixture.time, random: fixture.random)
            let session = try fixture.session(repository)
            let writer = session.makeWriter(.chunkPack, compression: .off)
            let root = try writer.store([1, 2, 3])
            again = {
                let found = try writer.store([1, 2, 3])
                #expect(found == root)
            }
            _ = try session.commit(continuing: true) { record($0, hasIndex: $1, root: root) }
            #expect(session.damagedPacks.isEmpty, "mutation \(mutation)")
            _ = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
            #expect(session.damagedPacks.isEmpty, "mutation \(mutation)")
            wasStruck = store.hasStruck
        }
        #expect(mutation > 5)
    }

    @Test func afterAFailureNothingIsCommitted() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let session = try fixture.session(repository)
        let writer = session.makeWriter(.chunkPack, compression: .off)
        let root = try writer.store([1, 2, 3])
        fixture.store.setFault(.fail(call: 2, kind: .full, forGood: false))
        #expect(throws: StoreError.self) {
            try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        }
        // The packs are gone, but the writer considers their blobs stored. So a second attempt must not succeed.
        #expect(throws: RepositoryError.sessionFailed(session.id)) {
            try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        }
        #expect(try repository.snapshots().readable.isEmpty)
    }

    @Test func aBlobThatCouldNotBeStoredEndsTheSession() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let session = try fixture.session(repository)
        let writer = session.makeWriter(.chunkPack, compression: .off)
        let root = try writer.store(fixture.random.bytes(700_000))
        let next = fixture.random.bytes(700_000)
        fixture.store.setFault(.fail(call: 1, kind: .full, forGood: false))
        #expect(throws: StoreError.self) { try writer.store(next) }
        // The index has a claim for the blob, but no pack has it.
        #expect(throws: (any Error).self) {
            _ = try writer.store(next)
            _ = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        }
        #expect(try repository.snapshots().readable.isEmpty)
    }

    @Test func segmentsOfUncommittedSessionsAreNotTrusted() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let commits = try smallBackup(repository)
        fixture.store["snapshots/\(commits[1].id)"] = nil
        fixture.store["records/\(commits[1].id)"] = nil
        let index = try BlobIndex(try fixture.open())
        let segment = try repository.indexSegment(commits[1].id)
        for entry in segment.entries {
            #expect(index.location(of: BlobReference(id: entry.id, length: entry.rawLength)) == nil)
        }
    }

    @Test func snapshotsOfOneRunComeInItsOrderAndLatestIsComplete() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        #expect(throws: RepositoryError.noCompleteSnapshot(partialCount: 0)) {
            try repository.findSnapshot("latest")
        }
        // Ids are random, so a wrong order would show. The clock may also go back during a run.
        var expected: [ID128] = []
        for run in 1...4 {
            let session = try fixture.session(repository)
            let writer = session.makeWriter(.manifestPack, compression: .off)
            for step in 1...4 {
                let root = try writer.store([UInt8(run), UInt8(step)])
                let commit = try session.commit(continuing: step < 4) {
                    var record = record($0, hasIndex: $1, root: root, isComplete: step == 4 && run > 1)
                    record.time = Timestamp(seconds: Int64(run))
                    record.endTime = Timestamp(seconds: step == 4 ? 0 : Int64(step))
                    return record
                }
                // The last snapshot of the run that never completed has its place by its clock.
                expected.insert(commit.id, at: run == 1 && step == 4 ? 0 : expected.count)
            }
            if run == 1 {
                #expect(throws: RepositoryError.noCompleteSnapshot(partialCount: 4)) {
                    try repository.findSnapshot("latest")
                }
            }
        }
        #expect(try repository.snapshots().readable.map(\.id) == expected)
        #expect(try repository.findSnapshot("latest").id == expected[15])
        #expect(try repository.findSnapshot("latest~2").id == expected[7])
        #expect(throws: RepositoryError.noSuchSnapshot(name: "latest~3")) {
            try repository.findSnapshot("latest~3")
        }
    }

    @Test func whatNoReaderTakesIsNotStored() throws {
        let fixture = Fixture()
        var options = Repository.Options(classes: Fixture.classes)
        options.inlineBytes = 5000
        #expect(throws: RepositoryError.self) {
            try Repository.create(
                in: fixture.store, options: options, cache: fixture.cache, time: fixture.time,
                random: fixture.random)
        }
        #expect(fixture.store.keys.isEmpty)
        let session = try fixture.session(try fixture.create())
        let root = try session.makeWriter(.chunkPack, compression: .off).store([1])
        #expect(throws: RepositoryError.self) {
            try session.commit(continuing: false) {
                var record = record($0, hasIndex: $1, root: root)
                record.tags = [String(repeating: "x", count: 1025)]
                return record
            }
        }
        #expect(!fixture.store.keys.contains { $0.hasPrefix("snapshots/") })
    }

    @Test func whatWasAddedIsCounted() throws {
        let fixture = Fixture()
        let session = try fixture.session(try fixture.create())
        let writer = session.makeWriter(.chunkPack, compression: .off)
        for content in [[1, 2, 3], [4, 5], [1, 2, 3]] as [[UInt8]] { _ = try writer.store(content) }
        #expect(session.added == BlobWriter.Added(blobs: 2, bytes: 5, storedBytes: 5 + 2 * 48))
    }

    @Test func aReadOnlyStoreIsRead() throws {
        let fixture = Fixture()
        try smallBackup(try fixture.create())
        fixture.store.setMode(.readOnly)
        let repository = try fixture.open()
        #expect(try contents(try repository.findSnapshot("latest"), repository) == smallContents)
        #expect(throws: StoreError.self) { try smallBackup(repository) }
    }
}

extension [Int] {
    fileprivate var isSortedStrictly: Bool { zip(self, dropFirst()).allSatisfy { $0 < $1 } }
}
