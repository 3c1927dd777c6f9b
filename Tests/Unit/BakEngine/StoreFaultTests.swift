import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@Suite struct StoreFaultTests {
    /// Returns a small source. In odd generations, one file has other content.
    private static func tree(_ generation: Int = 0) -> FakeTree {
        let random = SeededRandom(seed: 9)
        let changed = SeededRandom(seed: UInt64(100 + generation))
        return FakeTree([
            .other("s", .directory), .file("s/a", random.bytes(3000)),
            .file("s/b", changed.bytes(2000)) { $0.stat.mtime.seconds += Int64(generation) },
            .file("s/c", random.bytes(9000)), .file("s/d", [1, 2, 3]),
        ])
    }

    /// Returns a repository with one snapshot of generation 0.
    private static func prepared() throws -> [ObjectKey: [UInt8]] {
        let bench = try MemoryBench()
        try bench.backup(tree())
        return bench.store.contents
    }

    private static func backup(_ store: any ObjectStore, _ tree: FakeTree) throws -> BackupReport {
        try Backup(try MemoryBench.open(store), of: tree).run(MemoryBench.request())
    }

    /// Expects that every complete snapshot restores as one of the given generations, and that a check finds nothing.
    private func expectWhole(_ objects: [ObjectKey: [UInt8]], generations: Int, _ what: String) throws {
        let repository = try MemoryBench.open(MemoryStore(objects))
        let expected = (0..<generations).map { Self.tree($0).expected }
        for snapshot in try repository.snapshots().readable {
            let log = RestoreLog()
            let target = try MemoryBench.restore(repository, snapshot, log)
            #expect(log.failures.isEmpty, "\(what)")
            if snapshot.isComplete { #expect(expected.contains(target.items), "\(what)") }
        }
        #expect(try MemoryBench.check(repository, depth: .structure).report.isClean, "\(what)")
    }

    @Test(arguments: [StoreError.Kind.lostData, .full, .readOnly])
    func oneFailingCallIsAnErrorOrHarmless(kind: StoreError.Kind) throws {
        let before = try Self.prepared()
        var number = 1
        while true {
            let store = MemoryStore(before)
            let failing = number
            let faulty = FaultyStore(store) { call, _, _ in call == failing ? kind : nil }
            let report = try? Self.backup(faulty, Self.tree(1))
            if faulty.calls.count < number { break }
            if let report {
                let snapshot = try #require(report.snapshot)
                let target = try MemoryBench.restore(try MemoryBench.open(store), snapshot)
                #expect(target.items == Self.tree(1).expected, "call \(number)")
            }
            // The next backup works without a repair.
            _ = try Self.backup(store, Self.tree(1))
            try expectWhole(store.contents, generations: 2, "call \(number): \(faulty.calls[number - 1])")
            number += 1
        }
        #expect(number > 15)
    }

    @Test func aCrashAfterAnyMutatingCallLeavesWholeSnapshotsOnly() throws {
        let before = try Self.prepared()
        var number = 1
        while true {
            let store = MemoryStore(before)
            let last = number
            let faulty = FaultyStore(store) { _, mutating, _ in mutating > last ? .lostData : nil }
            let report = try? Self.backup(faulty, Self.tree(1))
            // After a crash, staged objects are gone.
            let left = store.contents
            try expectWhole(left, generations: 2, "after \(number) mutating calls")
            let next = MemoryStore(left)
            let second = try Self.backup(next, Self.tree(1))
            let target = try MemoryBench.restore(try MemoryBench.open(next), try #require(second.snapshot))
            #expect(target.items == Self.tree(1).expected)
            if report != nil { break }
            number += 1
        }
        #expect(number >= 5)
    }

    @Test func aWriterKeepsTheProtocolsOrder() throws {
        let faulty = FaultyStore(MemoryStore(try Self.prepared()))
        _ = try Self.backup(faulty, Self.tree(1))
        let steps = faulty.calls.compactMap { call -> String? in
            let folder = String(call.object.prefix { $0 != "/" })
            if call.isMutating { return "\(call.operation) \(folder)" }
            return call.operation == "list" && ["gc", "index"].contains(folder) ? "list \(folder)" : nil
        }
        var distinct: [String] = []
        for step in steps where distinct.last != step { distinct.append(step) }
        #expect(
            distinct == [
                "put sessions", "list gc", "list index", "list gc", "stage packs", "publish ", "put index",
                "put snapshots", "put records",
            ])
    }

    @Test func anUnchangedBackupMakesFewCalls() throws {
        let store = MemoryStore(try Self.prepared())
        let faulty = FaultyStore(store)
        let report = try Self.backup(faulty, Self.tree())
        #expect(report.counters.unmodifiedFiles == 4)
        // The calls are: 2 for the configuration; 7 for the session, four listings and a segment; 5 for the parent's
        // record and manifest; 2 for the sizes of the two packs to which the parent refers; 2 for the spares and the
        // newest round; 1 to list the forgotten snapshots again; 3 for the commit and its spare.
        #expect(faulty.calls.count <= 22, "\(faulty.calls.map { "\($0.operation) \($0.object)" })")
        #expect(!faulty.calls.contains { $0.operation == "stage" })
    }

    @Test func aBackupNeverDeletesOrOverwrites() throws {
        let store = MemoryStore(try Self.prepared())
        for generation in [1, 2, 2] {
            let before = store.contents
            let faulty = FaultyStore(store)
            _ = try Self.backup(faulty, Self.tree(generation))
            #expect(!faulty.calls.contains { $0.operation == "delete" })
            let written = faulty.calls.filter { $0.operation == "put" || $0.operation == "stage" }.map(
                \.object)
            #expect(Set(written).count == written.count)
            #expect(before.allSatisfy { key, bytes in store.contents[key] == bytes })
        }
    }

    @Test func aStoreThatFailsDuringARestoreIsAnErrorOrAFailedItem() throws {
        let bench = try MemoryBench()
        let snapshot = try #require(try bench.backup(Self.tree()).snapshot)
        let expected = Self.tree().expected
        for number in 1...20 {
            let faulty = FaultyStore(bench.store) { call, _, _ in call == number ? .lostData : nil }
            let log = RestoreLog()
            let target = MemoryTarget()
            do {
                _ = try MemoryBench.restore(try MemoryBench.open(faulty), snapshot, log, to: target)
                #expect(target.items == expected || !log.failures.isEmpty)
            } catch {
                // The error is the store's own, or says that data cannot be read because of it.
                let isKnown = error is StoreError || error is CorruptionError || error is MissingBlobError
                #expect(isKnown, "call \(number): \(error)")
            }
            for (path, item) in target.items { #expect(expected[path] == item) }
        }
    }
}
