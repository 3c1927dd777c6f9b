// A whole prune runs between any two calls on the store of a backup, a restore or a check.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

@Suite struct PruneBesideTests {
    @Test(arguments: [Set<Int>(), [0]])
    func aBackupLosesNothing(keeping places: Set<Int>) throws {
        let repetitions = Mutex(0)
        let calls = try Beside.eachCall(
            of: Beside.prepared(), { try Beside.prune($0, keeping: places) }
        ) { number, store, base in
            let report = try Backup(
                try MemoryBench.open(store), of: Beside.tree(3),
                onEvent: { event in
                    if case .parentUnreadable(let reason, false) = event, reason.contains("prune ended") {
                        repetitions.withLock { $0 += 1 }
                    }
                }
            ).run(MemoryBench.request())
            #expect(report.damagedPacks.isEmpty, "call \(number)")
            // If the prune comes before the put of the spare, the snapshot already exists. The other program then
            // forgets it, too.
            let calls = store.calls
            if calls.indices.contains(number - 1), calls[number - 1].object.hasPrefix("records/") { return }
            for _ in 0..<2 {
                let repository = try MemoryBench.open(base)
                let target = try MemoryBench.restore(repository, try #require(report.snapshot))
                #expect(target.items == Beside.tree(3).expected, "call \(number)")
                #expect(try MemoryBench.check(repository).report.isClean, "call \(number)")
                // The next prune finds everything that it needs.
                let rest = try repository.snapshots().readable.count
                try Beside.prune(base, keeping: [rest - 1])
            }
        }
        #expect(calls > 20)
        // If all other snapshots were forgotten, some runs must store blobs again on which they had relied.
        if places.isEmpty { #expect(repetitions.withLock { $0 } > 0) }
    }

    @Test func aRestoreLosesNothing() throws {
        let calls = try Beside.eachCall(
            of: Beside.prepared(), { try Beside.prune($0, keeping: [1]) }
        ) { number, store, _ in
            let repository = try MemoryBench.open(store)
            let snapshot = try repository.snapshots().readable
            // Looks for the snapshot that stays. The others may already be gone.
            let kept = try #require(snapshot.first { snapshot.count == 1 || $0.id == snapshot[1].id })
            let log = RestoreLog()
            let target = try MemoryBench.restore(repository, kept, log)
            #expect(log.failures.isEmpty, "call \(number)")
            #expect(target.items == Beside.tree(1).expected, "call \(number)")
        }
        #expect(calls > 20)
    }

    private static let depths: [CheckDepth] = [
        .structure, .readData, .readData(.percent(40)),
    ]

    @Test(arguments: depths, [Set<Int>(), [1]])
    func aCheckFindsNoDamage(depth: CheckDepth, keeping places: Set<Int>) throws {
        let calls = try Beside.eachCall(
            of: Beside.prepared(), { try Beside.prune($0, keeping: places) }
        ) { number, store, base in
            let (report, events) = try MemoryBench.check(try MemoryBench.open(store), depth: depth)
            let found = events.filter {
                switch $0 {
                case .step, .progress, .unused: false
                default: true
                }
            }
            #expect(report.isClean && found.isEmpty, "call \(number): \(found)")
            // The check saw all snapshots, from before or after the prune.
            #expect([3, places.count].contains(report.snapshots), "call \(number)")
            #expect((report.packs == 0) == (report.snapshots == 0), "call \(number)")
            #expect((report.verifiedPacks == 0) == (depth == .structure || report.packs == 0))
            if depth == .readData { #expect(report.verifiedPacks == report.packs, "call \(number)") }
        }
        #expect(calls > 70)
    }

    /// Damages a chunk pack that only the oldest snapshot uses completely. Nothing in it becomes unused when the others
    /// go.
    private static func damage(_ objects: inout [ObjectKey: [UInt8]]) throws -> ObjectKey {
        let repository = try MemoryBench.open(MemoryStore(objects))
        let oldest = try #require(try repository.snapshots().readable.first)
        let pack = try #require(
            try repository.indexSegment(oldest.id).packs.first { $0.kind == .chunkPack })
        objects[ObjectNames.pack(pack.id)]![400] ^= 1
        return ObjectNames.pack(pack.id)
    }

    @Test func aCheckFindsTheDamageThatIsThere() throws {
        var objects = try Beside.prepared()
        let damaged = try Self.damage(&objects)
        let calls = try Beside.eachCall(of: objects, { try Beside.prune($0, keeping: [0]) }) {
            number, store, _ in
            let (report, events) = try MemoryBench.check(try MemoryBench.open(store))
            let named = events.compactMap { if case .damage(let object, _) = $0 { object } else { nil } }
            #expect(Set(named) == [damaged.description], "call \(number)")
            #expect(report.damagedObjects == 1, "call \(number)")
            // One snapshot, all three, or two of which one was forgotten before the check read it.
            #expect((1...3).contains(report.affectedSnapshots), "call \(number)")
            #expect(report.affectedFiles == report.affectedSnapshots, "call \(number)")
        }
        #expect(calls > 70)
    }
}
