// A whole repair runs between any two calls of a backup on the store. A whole backup runs between any two calls of a
// repair.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

@Suite struct RepairBesideTests {
    /// The damage to the repository.
    enum Damage: String, CaseIterable {
        /// An index segment is lost. No content is lost.
        case lostSegment
        /// A bit in a chunk pack has changed. One chunk is lost.
        case changedChunk
        /// Only a pack's own list of blobs is damaged.
        case changedFooter
        /// A chunk pack is lost.
        case lostPack

        /// Damages the first snapshot, on whose packs all others rely.
        func strike(_ objects: inout [ObjectKey: [UInt8]]) throws {
            let repository = try MemoryBench.open(MemoryStore(objects))
            let oldest = try #require(try repository.snapshots().readable.first)
            let pack = try #require(
                try repository.indexSegment(oldest.id).packs.first { $0.kind == .chunkPack })
            let key = ObjectNames.pack(pack.id)
            switch self {
            case .lostSegment: objects[ObjectNames.indexSegment(oldest.id)] = nil
            case .changedChunk: objects[key]![400] ^= 1  // in the chunk of all generations
            case .changedFooter: objects[key]![Int(pack.size) - 40] ^= 1
            case .lostPack: objects[key] = nil
            }
        }

        var losesContent: Bool { self == .changedChunk || self == .lostPack }
    }

    private static func repair(_ store: any ObjectStore, _ kind: Repair) throws -> (RepairReport, Set<ID128>)
    {
        let repository = try MemoryBench.open(store)
        let lost = Mutex<Set<ID128>>([])
        let note: @Sendable (RepairEvent) -> Void = { event in
            switch event {
            case .lostFile(let snapshot, _, _), .lostSnapshot(let snapshot, _):
                lost.withLock { _ = $0.insert(snapshot) }
            default: break
            }
        }
        var request = RepairRequest(host: "h", program: "p")
        request.workerCount = 1
        let report =
            kind == .index
            ? try RepairIndex(repository, request, onEvent: note).run()
            : try RepairPacks(repository, request, onEvent: note).run()
        return (report, lost.withLock { $0 })
    }

    private static func backup(_ store: any ObjectStore, _ generation: Int) throws -> BackupReport {
        try Backup(try MemoryBench.open(store), of: Beside.tree(generation)).run(MemoryBench.request())
    }

    private static func restores(_ store: any ObjectStore, _ snapshot: ID128, _ generation: Int) throws
        -> Bool
    {
        let repository = try MemoryBench.open(store)
        let target = MemoryTarget()
        _ = try? MemoryBench.restore(repository, try repository.snapshot(snapshot), to: target)
        let expected = Beside.tree(generation).expected
        for (path, item) in target.items where item != expected[path] { Issue.record("wrong bytes") }
        return target.items == expected
    }

    /// Backs up all generations again. Then expects that all original snapshots are complete.
    private static func expectHealed(_ base: MemoryStore, _ originals: [ID128], _ what: String) throws {
        for kind in [Repair.index, .packs] { _ = try repair(base, kind) }
        for generation in 0..<3 { _ = try backup(base, generation) }
        for (generation, id) in originals.enumerated() {
            #expect(try restores(base, id, generation), "\(what): snapshot \(generation)")
        }
        try Beside.prune(base, keeping: Set(0..<10))
        #expect(try MemoryBench.check(try MemoryBench.open(base)).report.isClean, "\(what)")
    }

    private static func prepared(_ damage: Damage) throws -> ([ObjectKey: [UInt8]], [ID128]) {
        var objects = try Beside.prepared()
        let originals = try MemoryBench.open(MemoryStore(objects)).snapshots().readable.map(\.id)
        try damage.strike(&objects)
        return (objects, originals)
    }

    @Test(arguments: Damage.allCases, [Repair.index, .packs])
    func aBackupIsWholeWhereARepairCameBeforeItsEnd(damage: Damage, kind: Repair) throws {
        if damage == .lostSegment, kind == .packs {
            try Test.cancel("packs are repaired where the index is whole")
        }
        let (objects, originals) = try Self.prepared(damage)
        var wholeRuns = 0
        let calls = try Beside.eachCall(of: objects, { _ = try Self.repair($0, kind) }) {
            number, store, base in
            let report = try Self.backup(store, 3)
            let snapshot = try #require(report.snapshot)
            let isWhole = try Self.restores(base, snapshot.id, 3)
            wholeRuns += isWhole ? 1 : 0
            // The last calls put the commit record and its spare. A repair after these calls came too late for the
            // backup.
            let cameInTime = store.calls.count > number
            let mayLack = damage.losesContent && (!cameInTime || damage == .changedChunk && kind == .index)
            #expect(isWhole || mayLack, "\(damage) \(kind), call \(number)")
            guard number % 4 == 0 else { return }
            try Self.expectHealed(base, originals, "\(damage) \(kind), call \(number)")
            #expect(try Self.restores(base, snapshot.id, 3))
        }
        #expect(calls > 20)
        #expect(wholeRuns > 10 || damage == .changedChunk && kind == .index)
    }

    /// Each repair has work to do: there is a damaged pack, and a pack that no index names.
    @Test func aRepairOfPacksTakesNothingFromARepairOfTheIndex() throws {
        let (objects, originals) = try Self.prepared(.changedFooter)
        let interrupted = MemoryStore(objects)
        let store = FaultyStore(interrupted) { _, _, call in
            call.operation == "put" && call.object.hasPrefix("snapshots/") ? .full : nil
        }
        #expect(throws: StoreError.self) { try Self.backup(store, 5) }
        let decided = Mutex(0)
        let calls = try Beside.eachCall(
            of: interrupted.contents,
            { base in
                let report = try Self.repair(base, .index).0
                if report.wasNeeded { decided.withLock { $0 += 1 } }
            }
        ) { number, store, base in
            let (report, _) = try Self.repair(store, .packs)
            #expect(report.damagedPacks == 1 && report.lostBlobs == 0, "call \(number)")
            // The index may name the damaged pack again, but never a pack that is gone.
            let (check, events) = try MemoryBench.check(try MemoryBench.open(base))
            #expect(check.damagedObjects <= 1 && check.affectedFiles == 0, "call \(number)")
            let missing = events.filter {
                if case .damage(_, let reason) = $0 { reason.contains("missing") } else { false }
            }
            #expect(missing.isEmpty, "call \(number): \(missing)")
            for (generation, id) in originals.enumerated() {
                #expect(try Self.restores(base, id, generation), "call \(number)")
            }
        }
        #expect(calls > 20)
        #expect(decided.withLock { $0 } > 20)
    }

    @Test(arguments: Damage.allCases, [Repair.index, .packs])
    func aRepairNamesWhatABackupBesideItLacks(damage: Damage, kind: Repair) throws {
        if damage == .lostSegment, kind == .packs {
            try Test.cancel("packs are repaired where the index is whole")
        }
        let (objects, originals) = try Self.prepared(damage)
        let made = Mutex<ID128?>(nil)
        let calls = try Beside.eachCall(
            of: objects,
            { base in
                let id = try Self.backup(base, 3).snapshot?.id; made.withLock { $0 = id }
            }
        ) { number, store, base in
            made.withLock { $0 = nil }
            let (_, lost) = try Self.repair(store, kind)
            guard let snapshot = made.withLock({ $0 }) else { return }
            let isWhole = try Self.restores(base, snapshot, 3)
            #expect(isWhole || damage.losesContent, "\(damage) \(kind), call \(number)")
            if !isWhole, !(damage == .changedChunk && kind == .index) {
                #expect(lost.contains(snapshot), "\(damage) \(kind), call \(number)")
            }
            guard number % 4 == 0 else { return }
            try Self.expectHealed(base, originals, "\(damage) \(kind), call \(number)")
            #expect(try Self.restores(base, snapshot, 3), "\(damage) \(kind), call \(number)")
        }
        #expect(calls > 20)
    }
}
