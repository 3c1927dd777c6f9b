// Beside: a repository of a few small snapshots, and a store that runs an act before one of its calls. The act is the
// whole work of another program.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

/// Shared parts of the tests of one program beside another.
enum Beside {
    /// Returns a source. Each generation has a file of its own, a file that all generations have, and a file that two
    /// generations share.
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

    /// Returns a repository with snapshots of three generations. The clock lets later backups pass over unchanged
    /// files.
    static func prepared() throws -> [ObjectKey: [UInt8]] {
        let bench = try MemoryBench()
        for generation in 0..<3 { try bench.backup(tree(generation)) }
        return bench.store.contents
    }

    /// Forgets all snapshots but those at the given places in the list. Then prunes without a grace period, and leaves
    /// nothing unused.
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

    /// Returns a store that runs `act` before the call with the given number.
    static func store(
        _ base: MemoryStore, before number: Int, _ act: @escaping @Sendable (MemoryStore) throws -> Void
    ) -> FaultyStore {
        FaultyStore(base) { call, _, _ in
            guard call == number else { return nil }
            do { try act(base) } catch { Issue.record("before call \(number): \(error)") }
            return nil
        }
    }

    /// Calls `body` with a store that runs `act` before its first call, then with one that runs it before its second
    /// call, and so on, until `body` makes fewer calls than that. Returns the number of calls.
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
