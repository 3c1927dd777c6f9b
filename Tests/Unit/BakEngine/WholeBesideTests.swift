// A whole backup or prune runs between any two calls of a command that looks for damage. The repository is undamaged,
// so the command must report nothing.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

@Suite struct WholeBesideTests {
    /// A command that looks for missing, damaged or lost data.
    enum Judge: String, CaseIterable {
        case repairIndex, repairPacks, repairSnapshots, dryRepairIndex, check, checkData

        /// Runs the command. Returns everything that it reports.
        func words(_ store: any ObjectStore) throws -> [String] {
            let repository = try MemoryBench.open(store)
            let words = Mutex<[String]>([])
            var request = RepairRequest(host: "h", program: "p")
            (request.workerCount, request.isDryRun) = (1, self == .dryRepairIndex)
            let note: @Sendable (RepairEvent) -> Void = { event in
                switch event {
                case .step, .progress: break
                default: words.withLock { $0.append("\(event)") }
                }
            }
            func run(_ repair: RepositoryRepair) throws {
                let report = try repair.run()
                // A repair may find packs that a backup has just stored. That is not damage.
                let isWhole = report.isWhole && report.damagedPacks == 0 && report.lostBlobs == 0
                if !isWhole { words.withLock { $0.append("\(report)") } }
            }
            switch self {
            case .repairIndex, .dryRepairIndex: try run(RepairIndex(repository, request, onEvent: note))
            case .repairPacks: try run(RepairPacks(repository, request, onEvent: note))
            case .repairSnapshots: try run(RepairSnapshots(repository, request, onEvent: note))
            case .check, .checkData:
                let (report, events) = try MemoryBench.check(
                    repository, depth: self == .check ? .structure : .readData)
                if !report.isClean { words.withLock { $0.append("\(report) \(events)") } }
            }
            return words.withLock { $0 }
        }
    }

    /// The work of another program.
    enum Change: String, CaseIterable {
        case backup, prune, repairedIndex

        func act(_ base: MemoryStore) throws {
            switch self {
            case .backup:
                _ = try Backup(try MemoryBench.open(base), of: Beside.tree(3)).run(MemoryBench.request())
            case .prune: try Beside.prune(base, keeping: [2])
            case .repairedIndex:
                // There is a stray pack, so that this repair has work to do and decides a round.
                let stray = try Self.strayPack(of: base)
                _ = try stray.bytes.withUnsafeBytes { try base.put(stray.key, $0) }
                _ = try RepairIndex(try MemoryBench.open(base), RepairRequest(host: "h", program: "p")).run()
            }
        }

        /// Returns a pack that no index names, such as a backup that ended early leaves.
        private static func strayPack(of base: MemoryStore) throws -> (key: ObjectKey, bytes: [UInt8]) {
            let other = MemoryStore(base.contents)
            let store = FaultyStore(other) { _, _, call in
                call.operation == "put" && call.object.hasPrefix("index/") ? .full : nil
            }
            #expect(throws: StoreError.self) {
                try Backup(try MemoryBench.open(store), of: Beside.tree(9)).run(MemoryBench.request())
            }
            let added = other.contents.first { key, _ in
                key.description.hasPrefix("packs/") && base.contents[key] == nil
            }
            let (key, bytes) = try #require(added)
            return (key, bytes)
        }
    }

    @Test(arguments: Judge.allCases, Change.allCases)
    func nothingWholeIsCalledDamaged(judge: Judge, change: Change) throws {
        let calls = try Beside.eachCall(of: try Beside.prepared(), change.act) { number, store, _ in
            let words = try judge.words(store)
            #expect(words.isEmpty, "\(judge) \(change), call \(number)")
        }
        #expect(calls > 10)
    }

    /// A plan without a decision is unreadable. A check must report only that, even if a repair decides the plan's
    /// round meanwhile.
    @Test(arguments: [CheckDepth.structure, .readData])
    func anOpenDamagedPlanIsAllThatIsDamaged(depth: CheckDepth) throws {
        var objects = try Beside.prepared()
        objects[ObjectNames.plan(1)] = Array(repeating: 7, count: 90)
        let repairs = Mutex(0)
        let calls = try Beside.eachCall(
            of: objects,
            { base in
                let repository = try MemoryBench.open(base)
                let report = try RepairIndex(repository, RepairRequest(host: "h", program: "p")).run()
                if report.wasNeeded { repairs.withLock { $0 += 1 } }
            }
        ) { number, store, base in
            let (report, events) = try MemoryBench.check(try MemoryBench.open(store), depth: depth)
            let isOnlyPlan =
                report.damagedObjects <= 1 && report.affectedFiles == 0 && report.affectedSnapshots == 0
                && report.repairs.isSubset(of: [.index])
            #expect(isOnlyPlan, "call \(number): \(report) \(events)")
            if number == .max {
                #expect(report.damagedObjects == 1)
            } else if base.contents[ObjectNames.decision(1)] != nil {
                #expect(try MemoryBench.check(try MemoryBench.open(base)).report.isClean, "call \(number)")
            }
        }
        #expect(calls > 10)
        #expect(repairs.withLock { $0 } > 10)
    }
}
