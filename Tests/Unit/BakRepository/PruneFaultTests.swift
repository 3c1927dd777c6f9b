// A prune that stops at any of its calls. Nothing is lost, and the next prune finishes its work.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

@Suite struct PruneFaultTests {
    private static let big = SeededRandom(seed: 11).bytes(60_000)
    private static let small = SeededRandom(seed: 12).bytes(9_000)
    private static let other = SeededRandom(seed: 13).bytes(5_000)

    /// Returns a repository in which a prune has every kind of work: packs to delete, a pack to repack, a session to
    /// end.
    private func prepare() throws -> (Fixture, [(CommitRecord, [[UInt8]])]) {
        let fixture = Fixture()
        let repository = try fixture.create()
        let old = try fixture.backup([Self.big, Self.small])
        let gone = try fixture.backup([Self.other])
        let new = try fixture.backup([Self.small])
        try fixture.forget(old, gone)
        _ = try fixture.session(repository)
        return (fixture, [(new, [Self.small])])
    }

    @Test func aCrashAfterAnyMutation() throws {
        let (reference, expected) = try prepare()
        try reference.prune()
        try reference.expectWhole(expected)
        let packBytes = reference.bytes("packs")
        var mutation = 0
        var isWhole = false
        while !isWhole {
            mutation += 1
            var (fixture, expected) = try prepare()
            fixture.store.setFault(.crash(afterMutation: mutation))
            _ = try? fixture.prune()
            isWhole = !fixture.store.hasFaultStruck
            fixture.store = fixture.store.afterCrash()
            try fixture.expectWhole(expected, isTidy: false)
            // A backup runs before the next prune.
            let added = try fixture.backup([Self.other])
            expected.append((added, [Self.other]))
            try fixture.prune()
            try fixture.expectWhole(expected)
            try fixture.forget(added)
            expected.removeLast()
            try fixture.prune()
            try fixture.expectWhole(expected)
            #expect(fixture.bytes("packs") == packBytes, "mutation \(mutation)")
        }
        #expect(mutation > 15)
    }

    @Test(arguments: [false, true])
    func aFailureOfAnyCall(forGood: Bool) throws {
        var call = 0
        while true {
            call += 1
            let (fixture, expected) = try prepare()
            fixture.store.setFault(.fail(call: call, kind: .lostData, forGood: forGood))
            let report = try? fixture.prune()
            let hasStruck = fixture.store.hasFaultStruck
            fixture.store.setFault(nil)
            if forGood { #expect((report == nil) == hasStruck, "call \(call)") }
            try fixture.expectWhole(expected, isTidy: false)
            try fixture.prune()
            try fixture.expectWhole(expected)
            if !hasStruck { break }
        }
        #expect(call > 70)
    }

    @Test func twoPrunesOfOneRound() throws {
        // The other prune completes the whole round before one of this prune's calls.
        var mutation = 0
        var isDone = false
        while !isDone {
            mutation += 1
            let (fixture, expected) = try prepare()
            let store = InterruptedStore(fixture.store, beforeMutation: mutation) { try fixture.prune() }
            let repository = try Repository.open(
                store, cache: MemoryCache(), time: fixture.time, random: SeededRandom(seed: 99))
            var options = PruneOptions()
            options.graceSeconds = 0
            _ = try Prune(repository, options, host: "h", program: "p").run()
            isDone = !store.hasStruck
            try fixture.expectWhole(expected, isTidy: false)
            try fixture.prune()
            try fixture.expectWhole(expected)
        }
        #expect(mutation > 10)
    }
}

/// The medium has changed a forget marker. Its snapshot stays hidden, but no prune deletes data because of this marker.
@Suite struct ForgetDoubtTests {
    private static let kept = SeededRandom(seed: 51).bytes(40_000)
    private static let gone = SeededRandom(seed: 52).bytes(300_000)

    private static let damages: [@Sendable ([UInt8]) -> [UInt8]] = [
        { _ in [] }, { Array($0.prefix($0.count / 2)) }, { [UInt8](repeating: 0, count: $0.count) },
        { bytes in
            var bytes = bytes
            bytes[90] ^= 1
            return bytes
        },
    ]

    @Test func nothingIsDeletedOnTheWordOfADamagedMarker() throws {
        for damage in Self.damages {
            var fixture = Fixture()
            _ = try fixture.create()
            let old = try fixture.backup([Self.gone, Self.kept])
            let new = try fixture.backup([Self.kept])
            try fixture.forget(old)
            fixture.cache = MemoryCache()
            let key = ObjectNames.forget(old.id).description
            let marker = try #require(fixture.store[key])
            fixture.store[key] = damage(marker)
            let packs = fixture.keys("packs")
            for isDryRun in [true, false, false] {
                let report = try fixture.prune {
                    $0.isDryRun = isDryRun
                    $0.maxUnused = .bytes(0)
                }
                #expect(report.snapshotsInDoubt == 1 && report.deletedPacks == 0 && report.snapshots == 1)
                #expect(fixture.keys("packs") == packs)
                #expect(try fixture.open().snapshots().readable.map(\.id) == [new.id])
            }
            #expect(try contents(old, try fixture.open()) == [Self.gone, Self.kept])
            // After the user forgets the snapshot again, it can be deleted.
            let image = fixture.store.durableImage
            try fixture.forget(old)
            #expect(try !fixture.open().isMarkerDamaged(old.id))
            let report = try fixture.prune { $0.maxUnused = .bytes(0) }
            #expect(report.snapshotsInDoubt == 0 && report.freedBytes > UInt64(Self.gone.count))
            try fixture.expectWhole([(new, [Self.kept])])
            // Without its marker, the snapshot is visible again.
            fixture.store = SimulatedStore(image)
            fixture.store[key] = nil
            try fixture.expectWhole([(old, [Self.gone, Self.kept]), (new, [Self.kept])], isTidy: false)
        }
    }

    @Test func aMarkerThatHasDoneItsWorkIsInNoPrunesWay() throws {
        for damage in Self.damages {
            for isKnown in [false, true] {
                var fixture = Fixture()
                _ = try fixture.create()
                let old = try fixture.backup([Self.gone])
                let new = try fixture.backup([Self.kept])
                try fixture.forget(old)
                let key = ObjectNames.forget(old.id).description
                let marker = try #require(fixture.store[key])
                try fixture.prune()
                if !isKnown { fixture.cache = MemoryCache() }
                fixture.store[key] = damage(marker)
                #expect(try fixture.prune().snapshotsInDoubt == 0)
                #expect(try fixture.open().snapshots().readable.map(\.id) == [new.id])
                // A check reports the marker. After the user forgets the snapshot again, the marker is whole.
                try fixture.forget(old)
                try fixture.expectWhole([(new, [Self.kept])])
            }
        }
    }

    @Test func aMarkerThatWasPlantedDeletesNothing() throws {
        let other = Fixture(seed: 9)
        let foreign = try other.create()
        for isCopied in [true, false] {
            var fixture = Fixture()
            fixture.word = "word"
            _ = try fixture.createEncrypted()
            let old = try fixture.backup([Self.gone])
            let gone = try fixture.backup([Self.kept, Self.gone])
            let new = try fixture.backup([Self.kept])
            try fixture.forget(gone)
            fixture.cache = MemoryCache()
            let key = ObjectNames.forget(old.id).description
            // Either a copy of another snapshot's marker, or a marker that was made without the key.
            fixture.store[key] =
                isCopied
                ? fixture.store[ObjectNames.forget(gone.id).description]
                : ForgetMarker(
                    snapshot: old.id,
                    origin: RecordOrigin(time: Timestamp(seconds: 1), host: "h", program: "p")
                ).encode(foreign.context)
            #expect(try fixture.prune { $0.maxUnused = .bytes(0) }.snapshotsInDoubt == 1)
            fixture.store[key] = nil
            try fixture.expectWhole([(old, [Self.gone]), (new, [Self.kept])])
        }
    }

    @Test func whatIsLeftOfAPrunedSnapshotStays() throws {
        // The snapshot's manifest is in a pack that stayed. Most of its content is gone.
        var fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([Self.gone])
        let new = try fixture.backup([Self.kept])
        try fixture.forget(old)
        let packs = try fixture.open().indexSegment(old.id).packs
        let chunks = try #require(packs.first { $0.kind == .chunkPack })
        let manifest = try #require(packs.first { $0.kind == .manifestPack })
        try fixture.decide(1, deleting: [chunks.id])
        fixture.cache = MemoryCache()
        fixture.store[ObjectNames.forget(old.id).description]![90] ^= 1
        let report = try fixture.prune()
        #expect(report.snapshotsInDoubt == 1 && report.deletedPacks == 0)
        #expect(fixture.store[ObjectNames.pack(manifest.id).description] != nil)
        #expect(try contents(new, try fixture.open()) == [Self.kept])
        try fixture.forget(old)
        #expect(try fixture.prune().deletedPacks == 1)
        try fixture.expectWhole([(new, [Self.kept])])
    }

    /// This machine has put the marker, or has read it when it was whole. That does not show that it is whole now.
    @Test func aMarkerIsReadUntilItsWorkIsDone() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([Self.gone])
        let new = try fixture.backup([Self.kept])
        try fixture.forget(old)
        try fixture.prune { $0.isDryRun = true }
        let key = ObjectNames.forget(old.id).description
        fixture.store[key]![90] ^= 1
        let report = try fixture.prune()
        #expect(report.snapshotsInDoubt == 1 && report.deletedPacks == 0)
        fixture.store[key] = nil
        try fixture.expectWhole([(old, [Self.gone]), (new, [Self.kept])])
    }

    @Test func aCacheOfForgottenRootsIsNeverBelievedWhenItIsDamaged() throws {
        var fixture = Fixture()
        _ = try fixture.create()
        let old = try fixture.backup([Self.gone])
        try fixture.backup([Self.kept])
        try fixture.forget(old)
        fixture.cache = MemoryCache()
        try fixture.prune { $0.isDryRun = true }
        let name = try #require(fixture.cache.contents.keys.first { $0.hasPrefix("forgotten-") })
        let file = try #require(fixture.cache[name])
        fixture.store[ObjectNames.forget(old.id).description]![90] ^= 1
        for offset in file.indices {
            fixture.cache[name] = file
            fixture.cache[name]![offset] ^= 1
            #expect(try fixture.prune { $0.isDryRun = true }.snapshotsInDoubt == 1, "byte \(offset)")
            fixture.cache[name] = Array(file.prefix(offset))
            #expect(try fixture.prune { $0.isDryRun = true }.snapshotsInDoubt == 1, "\(offset) bytes")
        }
    }
}
