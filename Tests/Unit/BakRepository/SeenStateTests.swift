// The last state of a repository that this machine has seen, and older states of it: in the same folder, in another
// folder at the same path, and elsewhere. Also copies that are mounted in turns.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A store in a folder with a given name and given paths.
private final class PlacedStore: ForwardingStore, @unchecked Sendable {
    let name: String
    let ways: Set<String>

    init(_ base: SimulatedStore, _ name: String, at ways: Set<String>) {
        (self.name, self.ways) = (name, ways)
        super.init(base)
    }

    override var place: String { name }
    override var paths: Set<String> { ways }
}

@Suite struct SeenStateTests {
    private let fixture = Fixture()
    /// A copy of the repository from before the second of two backups.
    private let old: [String: [UInt8]]

    init() throws {
        let repository = try fixture.create()
        try smallBackup(repository)
        old = fixture.store.durableImage
        try smallBackup(repository)
    }

    /// Opens a store, and returns how it is older than the seen state; nil if it is not. If it is older, the user
    /// accepts that, so the store then becomes the seen state.
    private func open(_ store: SimulatedStore, _ name: String, at ways: String...) throws -> OlderState? {
        let repository = try Repository.open(
            PlacedStore(store, name, at: Set(ways)), cache: fixture.cache, time: fixture.time,
            random: fixture.random)
        let older = try repository.olderState()
        if older != nil { repository.forgetSeenState() }
        _ = try repository.snapshots()
        return older
    }

    private func oldCopy() -> SimulatedStore { SimulatedStore(old) }

    /// A prune on another machine wrote the tombstone, because the record was hidden from it.
    @Test func aTombstoneInTheRecordsPlaceIsALoss() throws {
        #expect(try open(fixture.store, "1", at: "/r") == nil)
        let repository = try fixture.open()
        let newest = try #require(try repository.snapshots().readable.last)
        var image = fixture.store.durableImage
        image[ObjectNames.spare(newest.id).description] = nil
        image[ObjectNames.snapshot(newest.id).description] = Tombstone(session: newest.id)
            .encode(repository.context)
        let older = try #require(try open(SimulatedStore(image), "1", at: "/r"))
        #expect(older.lostSnapshots == [newest.id])
        // A record that is only cut to a tombstone's length is damage. The check reports that separately.
        image[ObjectNames.snapshot(newest.id).description] = Array(
            repeating: 1, count: Tombstone.objectBytes(repository.context))
        let again = try Repository.open(
            PlacedStore(fixture.store, "1", at: ["/r"]), cache: fixture.cache, time: fixture.time,
            random: fixture.random)
        _ = try again.snapshots()
        #expect(try open(SimulatedStore(image), "1", at: "/r") == nil)
    }

    @Test func anOlderStateInTheSameFolderIsNoticed() throws {
        #expect(try open(fixture.store, "1", at: "/r") == nil)
        let older = try #require(try open(oldCopy(), "1", at: "/r"))
        #expect(older.lostSnapshots.count == 2 && !older.isElsewhere)
        // The user has accepted the older state, so it is the seen state now.
        #expect(try open(oldCopy(), "1", at: "/r") == nil)
        #expect(try open(oldCopy(), "1", at: "/elsewhere") == nil)
    }

    /// Each run reports the loss again, whatever it lists, until the user accepts the loss.
    @Test func whatIsGoneIsNotedUntilItIsMeant() throws {
        #expect(try open(fixture.store, "1", at: "/r") == nil)
        let gone = fixture.store.durableImage
        for _ in 0..<3 {
            let repository = try Repository.open(
                PlacedStore(oldCopy(), "1", at: ["/r"]), cache: fixture.cache, time: fixture.time,
                random: fixture.random)
            #expect(try repository.olderState()?.lost.count == 2)
            let there = try repository.snapshots().readable
            try repository.noteSeen(#require(there.last))
        }
        // The lost snapshots are back, so there is no loss any more.
        #expect(try open(SimulatedStore(gone), "1", at: "/r") == nil)
        #expect(try open(oldCopy(), "1", at: "/r") != nil)
        #expect(try open(oldCopy(), "1", at: "/r") == nil)
    }

    @Test func whatIsGoneIsKnownByItsDeviceAndPaths() throws {
        let all = try fixture.open().snapshots().readable
        #expect(try open(fixture.store, "1", at: "/r") == nil)
        for lost in try #require(try open(oldCopy(), "1", at: "/r")).lost {
            let record = try #require(all.first { $0.id == lost.id })
            #expect(lost.isArchive == record.isArchive)
            #expect(lost.isOf(device: record.device, paths: record.paths))
            #expect(!lost.isOf(device: record.device + "x", paths: record.paths))
            #expect(!lost.isOf(device: record.device, paths: record.paths + [[1]]))
        }
    }

    /// A forget marker that cannot be read does not show that the user removed the snapshot.
    @Test func onlyAMarkerThatOpensIsATrace() throws {
        let repository = try fixture.open()
        let newest = try #require(try repository.snapshots().readable.last)
        #expect(try open(fixture.store, "1", at: "/r") == nil)
        for key in [ObjectNames.snapshot(newest.id), ObjectNames.spare(newest.id)] {
            fixture.store[key.description] = nil
        }
        fixture.store[ObjectNames.forget(newest.id).description] = []
        #expect(try open(fixture.store, "1", at: "/r")?.lostSnapshots == [newest.id])
    }

    @Test func anOlderCopyThatTakesTheFoldersPlaceIsNoticed() throws {
        #expect(try open(fixture.store, "1", at: "/r") == nil)
        let older = try #require(try open(oldCopy(), "2", at: "/r"))
        #expect(older.lostSnapshots.count == 2 && !older.isElsewhere)
        // The newer repository was moved to another path. It still is not older than its own seen state.
        #expect(try open(fixture.store, "1", at: "/r2") == nil)
    }

    @Test func aLinkToAnOlderCopyIsNoticed() throws {
        #expect(try open(fixture.store, "1", at: "/r") == nil)
        #expect(try open(oldCopy(), "2", at: "/r", "/copy")?.isElsewhere == false)
    }

    @Test func anOlderCopyThatWasUsedElsewhereIsNoticedAtThisPath() throws {
        #expect(try open(oldCopy(), "2", at: "/copy") == nil)
        #expect(try open(fixture.store, "1", at: "/r") == nil)
        #expect(try open(oldCopy(), "2", at: "/copy") == nil)
        #expect(try open(oldCopy(), "2", at: "/r")?.isElsewhere == false)
    }

    @Test func anOlderCopyInANewPlaceIsTold() throws {
        #expect(try open(fixture.store, "1", at: "/r") == nil)
        #expect(try open(oldCopy(), "2", at: "/copy")?.isElsewhere == true)
        #expect(try open(oldCopy(), "2", at: "/copy") == nil)
        // A copy that is not older causes no report.
        #expect(try open(fixture.store, "3", at: "/third") == nil)
    }

    /// Two disks have copies that diverge, and are mounted in turns at one path. Each copy is compared with its own
    /// earlier state.
    @Test func copiesUsedInTurnsAreAskedAboutOnce() throws {
        let other = oldCopy()
        #expect(try open(fixture.store, "1", at: "/mnt") == nil)
        #expect(try open(other, "2", at: "/mnt") != nil)
        for _ in 0..<3 {
            for (store, name) in [(fixture.store, "1"), (other, "2")] {
                #expect(try open(store, name, at: "/mnt") == nil)
                try smallBackup(
                    try Repository.open(
                        store, cache: MemoryCache(), time: fixture.time, random: fixture.random))
                #expect(try open(store, name, at: "/mnt") == nil)
            }
        }
        #expect(try open(oldCopy(), "2", at: "/mnt") != nil)
    }

    /// If only its path identifies a store, it is compared with the last store at that path, whatever that was. So an
    /// attacker who hides the identity of a medium gains nothing.
    @Test func aPlaceWithoutANameIsComparedWithWhatWasThereLast() throws {
        #expect(try open(oldCopy(), "/mnt", at: "/mnt") == nil)
        #expect(try open(fixture.store, "uuid 1 /mnt", at: "/mnt") == nil)
        let older = try #require(try open(oldCopy(), "/mnt", at: "/mnt"))
        #expect(older.lostSnapshots.count == 2 && !older.isElsewhere)
        #expect(try open(oldCopy(), "/mnt", at: "/mnt") == nil)
        // A link may lead to either of two stores. Each store is compared with its own earlier state.
        #expect(try open(fixture.store, "/a", at: "/a", "/link") == nil)
        #expect(try open(oldCopy(), "/b", at: "/b", "/link") != nil)
        #expect(try open(fixture.store, "/a", at: "/a", "/link") == nil)
        #expect(try open(oldCopy(), "/b", at: "/b", "/link") == nil)
    }

    @Test func manyPlacesAreForgottenFromTheOldestOn() throws {
        for number in 0..<100 {
            #expect(try open(fixture.store, "\(number)", at: "/\(number)") == nil)
        }
        let repository = try fixture.open()
        #expect(SeenState(repository).places.count == SeenState.placeLimit)
        #expect(try open(oldCopy(), "0", at: "/0")?.isElsewhere == true)
        #expect(try open(oldCopy(), "99", at: "/99")?.isElsewhere == false)
    }
}
