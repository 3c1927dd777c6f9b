import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

/// Every object of a small repository is deleted, cut or changed. Repairs bring back everything that is not lost. The
/// next backup of the same source brings back the rest. No restore ever returns a wrong byte.
@Suite struct RepairTests {
    private static func tree(_ generation: Int) -> FakeTree {
        let random = SeededRandom(seed: 21)
        let changed = SeededRandom(seed: UInt64(80 + generation))
        return FakeTree([
            .other("s", .directory), .file("s/a", random.bytes(1500)),
            .file("s/b", changed.bytes(900)) { $0.stat.mtime.seconds += Int64(generation) },
            .file("s/c", Array(repeating: 65, count: 2000)), .file("s/d", random.bytes(40)),
            .other("s/e", .directory), .file("s/e/f", random.bytes(700)),
        ])
    }

    private static func prepared() throws -> MemoryBench {
        let bench = try MemoryBench()
        for generation in 0..<3 {
            try bench.backup(tree(generation)) { $0.time = Timestamp(seconds: Int64(generation)) }
        }
        return bench
    }

    /// The results of the three repairs.
    private struct Outcome {
        var reports: [RepairReport] = []
        var lost: Set<String> = []
        var replaced: [ID128: ID128] = [:]
    }

    private static let request = RepairRequest(host: "h", program: "p")

    private static func repair(
        _ repository: Repository, _ kinds: [Repair] = Repair.allCases, dryRun: Bool = false
    ) throws -> Outcome {
        let outcome = Mutex(Outcome())
        var request = request
        request.isDryRun = dryRun
        request.workerCount = 1
        let onEvent: @Sendable (RepairEvent) -> Void = { event in
            outcome.withLock { outcome in
                switch event {
                case .lostFile(let snapshot, let path, _):
                    outcome.lost.insert("\(snapshot) \(String(decoding: path, as: UTF8.self))")
                case .lostSnapshot(let snapshot, _): outcome.lost.insert("\(snapshot)")
                case .replaced(let snapshot, let copy?, _, _): outcome.replaced[snapshot] = copy
                default: break
                }
            }
        }
        for kind in kinds {
            // A repair may find blobs that the previous repair reported lost, so only the last report counts.
            outcome.withLock { $0.lost = [] }
            let report =
                switch kind {
                case .index: try RepairIndex(repository, request, onEvent: onEvent).run()
                case .packs: try RepairPacks(repository, request, onEvent: onEvent).run()
                case .snapshots: try RepairSnapshots(repository, request, onEvent: onEvent).run()
                }
            outcome.withLock { $0.reports.append(report) }
        }
        return outcome.withLock { $0 }
    }

    /// Restores a snapshot and returns its items. Records an issue for each item that is wrong.
    private static func restored(
        _ repository: Repository, _ snapshot: CommitRecord, _ expected: [[UInt8]: MemoryTarget.Item],
        _ what: String
    ) -> [[UInt8]: MemoryTarget.Item] {
        let target = MemoryTarget()
        _ = try? MemoryBench.restore(repository, snapshot, RestoreLog(), to: target)
        for (path, item) in target.items where expected[path] != item {
            Issue.record("\(what): wrong bytes in \(String(decoding: path, as: UTF8.self))")
        }
        return target.items
    }

    /// Repairs a damaged store, and checks everything that must then hold.
    private func judge(
        _ objects: [ObjectKey: [UInt8]], _ originals: [CommitRecord], changed: ObjectKey, _ what: String
    ) throws {
        let store = MemoryStore(objects)
        let repository = try MemoryBench.open(store)
        let outcome = try Self.repair(repository)
        // A repair only adds objects. It changes no object that exists.
        let after = store.contents
        for (key, bytes) in objects where after[key] != bytes {
            // The exception is a damaged commit record or a damaged spare, which the repair makes again from the other.
            if key != changed || !["records/", "snapshots/"].contains(where: key.description.hasPrefix) {
                Issue.record("\(what): \(key) was changed")
            }
        }
        for (generation, original) in originals.enumerated() {
            let expected = Self.tree(generation).expected
            guard let snapshot = try? repository.snapshot(original.id) else { continue }
            let items = Self.restored(repository, snapshot, expected, what)
            // Each missing file must be reported, by its own path or by its snapshot.
            for path in expected.keys where items[path] == nil {
                let name = "\(original.id) \(String(decoding: path, as: UTF8.self))"
                let isNamed = outcome.lost.contains(name) || outcome.lost.contains("\(original.id)")
                if !isNamed, !outcome.lost.contains(where: { $0.hasPrefix("\(original.id) ") }) {
                    Issue.record("\(what): \(name) is lost and not named")
                }
            }
            if items != expected, let copy = outcome.replaced[original.id] {
                let record = try repository.snapshot(copy)
                let log = RestoreLog()
                let target = try MemoryBench.restore(repository, record, log)
                #expect(log.failures.isEmpty, "\(what): the new snapshot is not whole")
                for (path, item) in target.items where expected[path] != item {
                    Issue.record("\(what): wrong bytes in a repaired snapshot")
                }
                #expect(record.tags.contains("repaired") && record.parent == original.id)
            }
        }
        try heal(store, repository, originals, what)
        // No object but a pack loses anything for good. A second repair has nothing to do.
        let second = try Self.repair(try MemoryBench.open(store), [.index, .packs])
        let isDone = second.reports.allSatisfy { !$0.wasNeeded }
        #expect(isDone, "\(what): the second repair has something to do")
    }

    /// Backs up all generations again. Everything to which the snapshots refer must then exist.
    private func heal(
        _ store: MemoryStore, _ repository: Repository, _ originals: [CommitRecord], _ what: String
    ) throws {
        for generation in 0..<3 {
            var request = MemoryBench.request()
            request.time = Timestamp(seconds: Int64(generation))
            request.parent = .none
            let report = try Backup(repository, of: Self.tree(generation)).run(request)
            #expect(report.damagedPacks.isEmpty, "\(what)")
        }
        for (generation, original) in originals.enumerated() {
            guard let snapshot = try? repository.snapshot(original.id) else { continue }
            let items = Self.restored(repository, snapshot, Self.tree(generation).expected, what)
            let isHealed = items == Self.tree(generation).expected
            #expect(isHealed, "\(what): generation \(generation) is not healed by the same content")
        }
    }

    private func eachObject(_ damage: (ObjectKey, [UInt8]) -> [(String, [UInt8]?)]) throws {
        let bench = try Self.prepared()
        let originals = try bench.repository.snapshots().readable
        let whole = bench.store.contents
        for key in whole.keys.sorted() where key != ObjectNames.config {
            for (what, bytes) in damage(key, whole[key]!) {
                var objects = whole
                objects[key] = bytes
                try judge(objects, originals, changed: key, "\(key): \(what)")
            }
        }
    }

    @Test func everyObjectDeletedCutOrGrown() throws {
        try eachObject { _, bytes in
            let cuts = [0, 1, 64, bytes.count / 2, bytes.count - 48, bytes.count - 1].filter {
                (0..<bytes.count).contains($0)
            }
            return [("deleted", nil), ("grown", bytes + [0]), ("grown twice", bytes + bytes)]
                + Set(cuts).sorted().map { ("cut to \($0)", Array(bytes.prefix($0))) }
        }
    }

    @Test func flippedBytes() throws {
        var random = SeededRandom(seed: TestSeed.random("flipped bytes").next())
        try eachObject { key, bytes in
            let isPack = key.description.hasPrefix("packs/")
            let positions =
                isLong
                ? Array(bytes.indices)
                : (0..<(isPack ? 8 : 3)).map { _ in Int.random(in: bytes.indices, using: &random) }
            return positions.map { position in
                var flipped = bytes
                flipped[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                return ("BAKSTORE_TEST_SEED=\(TestSeed.value), byte \(position)", flipped)
            }
        }
    }

    @Test func aWholeRepositoryNeedsNoRepair() throws {
        let bench = try Self.prepared()
        let before = bench.store.contents
        let outcome = try Self.repair(bench.repository)
        let isIdle = outcome.reports.allSatisfy { !$0.wasNeeded && $0.isWhole && $0.lostBlobs == 0 }
        #expect(isIdle)
        #expect(bench.store.contents == before)
    }

    @Test func aLostIndexIsMadeAnewFromThePacks() throws {
        let bench = try Self.prepared()
        let store = MemoryStore(bench.store.contents.filter { !$0.key.description.hasPrefix("index/") })
        let repository = try MemoryBench.open(store)
        let before = store.contents
        let dry = try Self.repair(repository, [.index], dryRun: true).reports[0]
        #expect(dry.wasNeeded && dry.foundBlobs > 10 && store.contents == before)
        let report = try Self.repair(repository, [.index]).reports[0]
        #expect(report.foundBlobs == dry.foundBlobs && report.lostBlobs == 0 && report.isWhole)
        #expect(try MemoryBench.check(repository).report.isClean)
        // The repair's decision also counts for a prune, which then finds nothing to do.
        let pruned = try Prune(repository, host: "h", program: "p").run()
        #expect(pruned.deletedPacks == 0)
        #expect(try MemoryBench.check(repository).report.isClean)
    }

    @Test func aPackWithoutIndexAndFooterIsSearched() throws {
        let bench = try Self.prepared()
        var objects = bench.store.contents.filter { !$0.key.description.hasPrefix("index/") }
        for key in objects.keys where key.description.hasPrefix("packs/") {
            objects[key]![objects[key]!.count - 60] ^= 1
            // The header is damaged, too, so the repair must find out the kind of the pack.
            objects[key]![20] ^= 1
        }
        let repository = try MemoryBench.open(MemoryStore(objects))
        let outcome = try Self.repair(repository)
        #expect(outcome.reports[0].damagedPacks == 6 && outcome.reports[0].isWhole)
        #expect(outcome.reports[1].damagedPacks == 6 && outcome.reports[1].lostBlobs == 0)
        #expect(outcome.reports[2].isWhole && !outcome.reports[2].wasNeeded)
        let report = try MemoryBench.check(repository).report
        #expect(report.isClean && report.unusedPacks == 6)
    }

    @Test func aBlobWithADamagedHeaderIsSaved() throws {
        let bench = try Self.prepared()
        var objects = bench.store.contents
        let key = try #require(objects.keys.sorted().first { $0.description.hasPrefix("packs/") })
        for offset in [64, 70, 80, 100] { objects[key]![offset] ^= 1 }
        let withFooter = try Self.repair(try MemoryBench.open(MemoryStore(objects)), [.packs]).reports[0]
        #expect(withFooter.damagedPacks == 1 && withFooter.lostBlobs == 0 && withFooter.salvagedBlobs > 0)
        objects[key]![objects[key]!.count - 1] ^= 1
        let without = try Self.repair(try MemoryBench.open(MemoryStore(objects)), [.packs]).reports[0]
        #expect(without == withFooter)
    }

    @Test func aDamagedCommitRecordWithoutASpareIsMadeUpFor() throws {
        let bench = try Self.prepared()
        let originals = try bench.repository.snapshots().readable
        for (generation, original) in originals.enumerated() {
            var objects = bench.store.contents
            objects[ObjectNames.snapshot(original.id)]![120] ^= 1
            objects[ObjectNames.spare(original.id)] = nil
            let repository = try MemoryBench.open(MemoryStore(objects))
            let outcome = try Self.repair(repository)
            let copy = try repository.snapshot(try #require(outcome.replaced[original.id]))
            #expect(!copy.isComplete && copy.root == original.root && copy.counters.files == 5)
            let isRight = try MemoryBench.restore(repository, copy).items == Self.tree(generation).expected
            #expect(isRight)
            // A second repair returns the same new snapshot.
            #expect(try Self.repair(repository, [.snapshots]).replaced[original.id] == copy.id)
            try repository.forget([original.id], host: "h", program: "p")
            #expect(try MemoryBench.check(repository).report.isClean)
        }
    }

    /// The kinds of damage to a commit record, with their names.
    private static let recordDamages: [(String, @Sendable ([UInt8]) -> [UInt8]?)] = [
        ("deleted", { _ in nil }), ("emptied", { _ in [] }), ("cut short", { Array($0.prefix(60)) }),
        ("cut to a tombstone's length", { Array($0.prefix(96)) }), ("cut by a byte", { $0.dropLast() }),
        ("changed", { bytes in bytes.enumerated().map { $0.offset == 120 ? $0.element ^ 1 : $0.element } }),
    ]

    /// The spare brings back a record that is damaged or lost, exactly as it was. This also works after a prune.
    @Test(arguments: [false, true])
    func aRecordComesBackByItsSpare(isPruned: Bool) throws {
        let bench = try Self.prepared()
        let all = try bench.repository.snapshots().readable
        if isPruned {
            try bench.repository.forget([all[0].id], host: "h", program: "p")
            try Self.prune(bench.repository)
        }
        let originals = try bench.repository.snapshots().readable
        #expect(originals.count == (isPruned ? 2 : 3))
        for (what, damage) in Self.recordDamages {
            for (place, original) in originals.enumerated() {
                var objects = bench.store.contents
                objects[ObjectNames.snapshot(original.id)] = damage(
                    objects[ObjectNames.snapshot(original.id)]!)
                let store = MemoryStore(objects)
                let repository = try MemoryBench.open(store)
                let found = try MemoryBench.check(repository).report
                #expect(!found.isClean && found.repairs == [.snapshots], "\(what)")
                #expect(throws: CorruptionError.self, "\(what)") { try Self.prune(repository) }
                #expect(try Self.repair(repository, [.snapshots], dryRun: true).reports[0].broughtBack == 1)
                #expect(store.contents == objects, "\(what)")

                let outcome = try Self.repair(repository, [.snapshots])
                #expect(outcome.reports[0].broughtBack == 1 && outcome.reports[0].isWhole, "\(what)")
                #expect(try MemoryBench.check(repository).report.isClean, "\(what)")
                try Self.prune(repository)
                let after = try repository.snapshotList()
                #expect(after.unreadable.isEmpty && after.readable.count == originals.count)
                for (old, new) in zip(originals, after.readable) {
                    var expected = old
                    (expected.id, expected.hasIndex, expected.original) = (new.id, new.hasIndex, new.original)
                    #expect(new == expected && new.originalID == old.originalID, "\(what)")
                }
                let generation = place + (isPruned ? 1 : 0)
                let isRight =
                    try MemoryBench.restore(repository, after.readable[place]).items
                    == Self.tree(generation).expected
                #expect(isRight, "\(what)")
                #expect(try !Self.repair(repository, [.snapshots]).reports[0].wasNeeded, "\(what)")
            }
        }
    }

    private static func prune(_ repository: Repository) throws {
        var options = PruneOptions()
        options.graceSeconds = 0
        options.maxUnused = .bytes(0)
        _ = try Prune(repository, options, host: "h", program: "p").run()
    }

    /// A check does not promise to bring back a snapshot that is lost. The commands that it advises help.
    @Test func noRepairIsAdvisedThatCannotHelp() throws {
        let bench = try Self.prepared()
        let all = try bench.repository.snapshots().readable
        try bench.repository.forget([all[0].id], host: "h", program: "p")
        try Self.prune(bench.repository)
        let lost = all[2].id
        for (what, damage) in Self.recordDamages {
            var objects = bench.store.contents
            objects[ObjectNames.snapshot(lost)] = damage(objects[ObjectNames.snapshot(lost)]!)
            objects[ObjectNames.spare(lost)] = nil
            let repository = try MemoryBench.open(MemoryStore(objects))
            let found = try MemoryBench.check(repository).report
            #expect(found.repairs.isEmpty && found.hopelessSnapshots == [lost], "\(what)")
            #expect(try !Self.repair(repository, [.snapshots]).reports[0].isWhole, "\(what)")
            #expect(throws: CorruptionError.self, "\(what)") { try Self.prune(repository) }
            try repository.forget([lost], host: "h", program: "p")
            try Self.prune(repository)
            #expect(try MemoryBench.check(repository).report.isClean, "\(what)")
            let isRight =
                try MemoryBench.restore(repository, all[1]).items == Self.tree(1).expected
            #expect(isRight, "\(what)")
        }
    }

    /// If a decision is unreadable, the sessions that it counts do not count as missing.
    @Test func whatADamagedDecisionStandsForIsNotCalledMissing() throws {
        let bench = try Self.prepared()
        try bench.repository.forget([bench.repository.snapshots().readable[0].id], host: "h", program: "p")
        try Self.prune(bench.repository)
        var objects = bench.store.contents
        let decision = try #require(objects.keys.first { $0.description.hasSuffix(".decision") })
        objects[decision]![70] ^= 1
        let repository = try MemoryBench.open(MemoryStore(objects))
        let (found, events) = try MemoryBench.check(repository)
        #expect(found.damagedObjects == 1 && found.repairs.contains(.index), "\(events)")
        #expect(!events.contains { "\($0)".contains("missing") }, "\(events)")
        #expect(try Self.repair(repository, [.index]).reports[0].isWhole)
        #expect(try MemoryBench.check(repository).report.isClean)
    }

    /// A repair has dropped a pack from the index. The pack's own list of blobs does not bring it back, and the check
    /// does not advise to do so.
    @Test func whatWasDroppedStaysDropped() throws {
        let bench = try Self.prepared()
        var objects = bench.store.contents
        let pack = try #require(
            objects.first { $0.key.description.hasPrefix("packs/") && $0.value[8] == 2 }?.key)
        objects[pack]![200] ^= 1
        let repository = try MemoryBench.open(MemoryStore(objects))
        _ = try Self.repair(repository, [.packs])
        let before = try MemoryBench.check(repository).report
        #expect(before.affectedFiles > 0 && before.unusedPacks > 0 && !before.repairs.contains(.index))
        #expect(try Self.repair(repository, [.index]).reports[0].foundBlobs == 0)
        #expect(try MemoryBench.check(repository).report.affectedFiles == before.affectedFiles)
    }

    /// The check does not advise a command again that has changed nothing. The command that it advises instead ends the
    /// advice.
    @Test func noRepairIsAdvisedForEver() throws {
        let bench = try Self.prepared()
        let last = try #require(bench.repository.snapshots().readable.last).id
        let pack = try #require(
            bench.store.contents.first { $0.key.description.hasPrefix("packs/") && $0.value[8] == 2 }?.key)
        func spoil(_ objects: inout [ObjectKey: [UInt8]]) { objects[ObjectNames.snapshot(last)]![120] ^= 1 }
        let damages: [(String, (inout [ObjectKey: [UInt8]]) -> Void)] = [
            (
                "a record and its spare",
                {
                    spoil(&$0)
                    $0[ObjectNames.spare(last)] = nil
                }
            ),
            ("content", { $0[pack] = nil }),
            (
                "content and a record",
                {
                    spoil(&$0)
                    $0[pack] = nil
                }
            ),
        ]
        for (what, damage) in damages {
            var objects = bench.store.contents
            damage(&objects)
            let repository = try MemoryBench.open(MemoryStore(objects))
            var report = try MemoryBench.check(repository).report
            #expect(report.repairs.contains(.snapshots), "\(what)")
            var rounds = 0
            while !report.repairs.isEmpty, rounds < 3 {
                _ = try Self.repair(repository, report.repairsInOrder)
                report = try MemoryBench.check(repository).report
                rounds += 1
            }
            #expect(report.repairs.isEmpty && !report.hopelessSnapshots.isEmpty, "\(what)")
            do {
                try Self.prune(repository)
            } catch { #expect(!"\(error)".contains("repair snapshots"), "\(what): \(error)") }
            try repository.forget(report.hopelessSnapshots, host: "h", program: "p")
            #expect(try MemoryBench.check(repository).report.isClean, "\(what)")
            try Self.prune(repository)
            for snapshot in try repository.snapshots().readable {
                let log = RestoreLog()
                _ = try MemoryBench.restore(repository, snapshot, log)
                #expect(log.failures.isEmpty, "\(what)")
            }
        }
    }

    @Test func aGoodCopyWinsOverADamagedOne() throws {
        // Two backups that did not know of each other stored the same content.
        let bench = try MemoryBench()
        let tree = Self.tree(0)
        let first = try BackupSession(bench.repository, host: "h", program: "p")
        _ = first
        let empty = MemoryStore(bench.store.contents)
        try bench.backup(tree)
        _ = try Backup(try MemoryBench.open(empty), of: tree).run(MemoryBench.request())
        let both = bench.store.contents.merging(empty.contents) { one, _ in one }
        let packs = bench.store.contents.keys.filter { $0.description.hasPrefix("packs/") }.sorted()
        for pack in packs {
            var objects = both
            objects[pack]![150] ^= 1
            let repository = try MemoryBench.open(MemoryStore(objects))
            let check = try MemoryBench.check(repository).report
            #expect(check.damagedObjects == 1 && check.affectedFiles == 0 && check.affectedSnapshots == 0)
            let report = try Self.repair(repository, [.packs]).reports[0]
            #expect(report.damagedPacks == 1 && report.salvagedBlobs == 0 && report.lostBlobs == 0)
            #expect(try MemoryBench.check(repository).report.isClean)
        }
    }

    @Test func aRepairThatFailsHalfwayChangesNothingThatCounts() throws {
        let bench = try Self.prepared()
        var objects = bench.store.contents
        let key = try #require(objects.keys.sorted().first { $0.description.hasPrefix("packs/") })
        objects[key]!.removeLast(30)
        let index = try #require(objects.keys.sorted().first { $0.description.hasPrefix("index/") })
        for kind in [Repair.index, .packs] {
            var damaged = objects
            if kind == .index { damaged[index] = nil }
            var failures = 0
            for failing in 1...20 {
                let store = MemoryStore(damaged)
                let faulty = FaultyStore(store) { _, mutating, call in
                    call.isMutating && mutating == failing ? .full : nil
                }
                do {
                    _ = try Self.repair(try MemoryBench.open(faulty), [kind])
                    break
                } catch is StoreError { failures += 1 }
                let after = try Self.repair(try MemoryBench.open(store), [kind]).reports[0]
                let undisturbed = try Self.repair(try MemoryBench.open(MemoryStore(damaged)), [kind]).reports[
                    0]
                #expect(after.lostBlobs == undisturbed.lostBlobs && after.lostFiles == undisturbed.lostFiles)
            }
            #expect(failures >= 2, "\(kind)")
        }
    }
}
