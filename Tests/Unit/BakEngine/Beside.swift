// Beside: a repository of a few small snapshots, and a store in which all of something else happens before one call.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

/// What tests of one program beside another share.
enum Beside {
    /// A tree of which every generation has a file of its own, a file in common, and one it shares with others.
    static func tree(_ generation: Int) -> FakeTree {
        let random = SeededRandom(seed: 7)
        let own = SeededRandom(seed: UInt64(generation))
        let some = SeededRandom(seed: UInt64(1000 + generation / 2))
        return FakeTree([
            .other("s", .directory), .file("s/all", random.bytes(4000)),
            .file("s/own", own.bytes(3000)) { $0.stat.mtime.seconds += Int64(generation) },
            .file("s/some", some.bytes(3000)) { $0.stat.mtime.seconds += Int64(generation / 2) },
        ])
    }

    /// A repository with snapshots of three generations, with a clock that lets unchanged files be passed over.
    static func prepared() throws -> [ObjectKey: [UInt8]] {
        let bench = try MemoryBench()
        for generation in 0..<3 { try bench.backup(tree(generation)) }
        return bench.store.contents
    }

    /// Forgets all snapshots but those of these places among all, and prunes without patience or allowance.
    static func prune(_ store: any ObjectStore, keeping places: Set<Int>) throws {
        let repository = try MemoryBench.open(store)
        let all = try repository.snapshots().readable
        let gone = all.indices.filter { !places.contains($0) }.map { all[$0].id }
        try repository.forget(gone, host: "h", program: "p")
        var options = PruneOptions()
        options.graceSeconds = 0
        options.maxUnused = .bytes(0)
        _ = try Prune(repository, options, host: "h", program: "p").run()
    }

    /// A store in which something happens before the n-th call.
    static func store(
        _ base: MemoryStore, before number: Int, _ act: @escaping @Sendable (MemoryStore) throws -> Void
    ) -> FaultyStore {
        FaultyStore(base) { call, _, _ in
            guard call == number else { return nil }
            do { try act(base) } catch { Issue.record("before call \(number): \(error)") }
            return nil
        }
    }

    /// Calls `body` with a store in which something happens before its first call, its second, and so on, until it
    /// makes fewer calls than that. Returns how many calls there are.
    @discardableResult
    static func eachCall(
        of objects: [ObjectKey: [UInt8]], _ act: @escaping @Sendable (MemoryStore) throws -> Void,
        _ body: (_ number: Int, _ store: FaultyStore, _ base: MemoryStore) throws -> Void
    ) throws -> Int {
        var number = 0
        while true {
            let base = MemoryStore(objects)
            let store = store(base, before: number, act)
            if number > 0 { try body(number, store, base) } else { try body(.max, store, base) }
            if number > 0, store.calls.count < number { return number }
            number += 1
        }
    }
}
