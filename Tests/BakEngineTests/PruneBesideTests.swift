// A whole prune between any two calls of a backup or a restore on the store.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import Testing

@Suite struct PruneBesideTests {
    /// A tree of which every generation has a file of its own, a file in common, and one it shares with others.
    private static func tree(_ generation: Int) -> FakeTree {
        var random = SeededRandom(7)
        var own = SeededRandom(UInt64(generation))
        var some = SeededRandom(UInt64(1000 + generation / 2))
        return FakeTree([
            .other("s", .directory), .file("s/all", random.bytes(4000)),
            .file("s/own", own.bytes(3000)) { $0.stat.mtime.seconds += Int64(generation) },
            .file("s/some", some.bytes(3000)) { $0.stat.mtime.seconds += Int64(generation / 2) },
        ])
    }

    /// A repository with snapshots of three generations, with a clock that lets unchanged files be passed over.
    private static func prepared() throws -> [ObjectKey: [UInt8]] {
        let bench = try MemoryBench()
        for generation in 0..<3 { try bench.backup(tree(generation)) }
        return bench.store.contents
    }

    /// Forgets all snapshots but those of these places among all, and prunes without patience or allowance.
    private static func prune(_ store: MemoryStore, keeping places: Set<Int>) throws {
        let repository = try MemoryBench.open(store)
        let all = try repository.snapshots().readable
        let gone = all.indices.filter { !places.contains($0) }.map { all[$0].id }
        try repository.forget(gone, host: "h", program: "p")
        var options = PruneOptions()
        options.graceSeconds = 0
        options.maxUnused = .bytes(0)
        _ = try Prune(repository, options, host: "h", program: "p").run()
    }

    /// A store in which all but some snapshots go, with their space, before the n-th call.
    private static func store(
        _ base: MemoryStore, keeping places: Set<Int>, before number: Int
    ) -> FaultyStore {
        FaultyStore(base) { call, _, _ in
            guard call == number else { return nil }
            do { try prune(base, keeping: places) } catch { Issue.record("\(error)") }
            return nil
        }
    }

    @Test(arguments: [Set<Int>(), [0]])
    func aBackupLosesNothing(keeping places: Set<Int>) throws {
        let before = try Self.prepared()
        var repetitions = 0
        var number = 1
        while true {
            let base = MemoryStore(before)
            let store = Self.store(base, keeping: places, before: number)
            let events = Mutex(0)
            let report = try Backup(
                try MemoryBench.open(store), of: Self.tree(3),
                onEvent: { event in
                    if case .parentUnreadable(let reason) = event, reason.contains("prune ended") {
                        events.withLock { $0 += 1 }
                    }
                }
            ).run(MemoryBench.request())
            repetitions += events.withLock { $0 }
            let isLast = store.calls.count < number
            #expect(report.damagedPacks.isEmpty, "call \(number)")
            for _ in 0..<2 {
                let repository = try MemoryBench.open(base)
                let target = try MemoryBench.restore(repository, try #require(report.snapshot))
                #expect(target.items == Self.tree(3).expected, "call \(number)")
                #expect(try MemoryBench.check(repository).report.isClean, "call \(number)")
                // What comes next finds everything it needs.
                let rest = try repository.snapshots().readable.count
                try Self.prune(base, keeping: [rest - 1])
            }
            if isLast { break }
            number += 1
        }
        #expect(number > 20)
        // Where all else was forgotten some runs had to store again what they had counted on.
        if places.isEmpty { #expect(repetitions > 0) }
    }

    @Test func aRestoreLosesNothing() throws {
        let before = try Self.prepared()
        var number = 1
        while true {
            let base = MemoryStore(before)
            let store = Self.store(base, keeping: [1], before: number)
            let repository = try MemoryBench.open(store)
            let snapshot = try repository.snapshots().readable
            // The snapshot that stays is looked for where the others may be gone already.
            let kept = try #require(snapshot.first { snapshot.count == 1 || $0.id == snapshot[1].id })
            let log = RestoreLog()
            let target = try MemoryBench.restore(repository, kept, log)
            #expect(log.failures.isEmpty, "call \(number)")
            #expect(target.items == Self.tree(1).expected, "call \(number)")
            if store.calls.count < number { break }
            number += 1
        }
        #expect(number > 20)
    }
}
