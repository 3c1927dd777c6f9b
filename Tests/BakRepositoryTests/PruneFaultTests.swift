// A prune that stops at any of its calls: nothing is lost, and the next prune finishes what it began.

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

    /// A repository in which a prune has everything to do: packs to delete, one to rewrite, a session to end.
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
            // A backup comes before the next prune.
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
            fixture.store.setFault(.fail(call: call, kind: .failed(errno: 5), forGood: forGood))
            let report = try? fixture.prune()
            let hasStruck = fixture.store.hasFaultStruck
            fixture.store.setFault(nil)
            if forGood { #expect((report == nil) == hasStruck, "call \(call)") }
            try fixture.expectWhole(expected, isTidy: false)
            try fixture.prune()
            try fixture.expectWhole(expected)
            if !hasStruck { break }
            // Most calls are listings of packs' folders, which are all alike.
            if fixture.store.calls.count > call, call > 40, call % 16 != 0 { call += 7 }
        }
        #expect(call > 300)
    }

    @Test func twoPrunesOfOneRound() throws {
        // The other one is done with the whole round before any of this one's calls.
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
