import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

/// Readers and collections have the same view of the index, whatever object is missing, empty, cut short or put back. A
/// prune or a repair loses nothing that could be restored before. A restore confirms what a check says.
@Suite struct IndexViewTests {
    private static func tree(_ generation: Int) -> FakeTree {
        let random = SeededRandom(seed: 31)
        let changed = SeededRandom(seed: UInt64(90 + generation))
        return FakeTree([
            .other("s", .directory), .file("s/a", random.bytes(3000)),
            .file("s/b", changed.bytes(900)) { $0.stat.mtime.seconds += Int64(generation) },
            .other("s/e", .directory), .file("s/e/f", random.bytes(700)),
        ])
    }

    /// A repository that was pruned, and its objects from before the prune.
    private struct Scene {
        var objects: [ObjectKey: [UInt8]]
        var before: [ObjectKey: [UInt8]]
        /// The generation of each snapshot that is not forgotten.
        var generations: [ID128: Int]
    }

    private static func prepared() throws -> Scene {
        let bench = try MemoryBench()
        var ids: [ID128] = []
        func backup(_ generation: Int) throws {
            let report = try bench.backup(tree(generation)) {
                $0.time = Timestamp(seconds: Int64(generation))
            }
            ids.append(try #require(report.snapshot).id)
        }
        for generation in 0..<3 { try backup(generation) }
        let before = bench.store.contents
        try bench.repository.forget([ids[0]], host: "h", program: "p")
        try prune(bench.repository)
        for generation in 3..<5 { try backup(generation) }
        let generations = Dictionary(uniqueKeysWithValues: ids.enumerated().dropFirst().map { ($1, $0) })
        return Scene(objects: bench.store.contents, before: before, generations: generations)
    }

    private static func prune(_ repository: Repository) throws {
        var options = PruneOptions()
        (options.graceSeconds, options.maxUnused) = (0, .bytes(0))
        _ = try Prune(repository, options, host: "h", program: "p").run()
    }

    private static func repairIndex(_ repository: Repository) throws {
        _ = try RepairIndex(repository, RepairRequest(host: "h", program: "p")).run()
    }

    /// Returns the files that a restore would return correctly, each as snapshot and path.
    private static func restorable(_ objects: [ObjectKey: [UInt8]], _ generations: [ID128: Int]) -> Set<
        String
    > {
        guard let repository = try? MemoryBench.open(MemoryStore(objects)) else { return [] }
        var names: Set<String> = []
        for (id, generation) in generations {
            guard let snapshot = try? repository.snapshot(id),
                (try? repository.forgotten())?.contains(id) == false
            else { continue }
            let target = MemoryTarget()
            _ = try? MemoryBench.restore(repository, snapshot, RestoreLog(), to: target)
            let expected = tree(generation).expected
            for (path, item) in target.items {
                guard expected[path] == item else {
                    Issue.record("wrong bytes in \(String(decoding: path, as: UTF8.self))")
                    continue
                }
                names.insert("\(id) \(String(decoding: path, as: UTF8.self))")
            }
        }
        return names
    }

    private static func isWhole(_ names: Set<String>, _ generations: [ID128: Int]) -> Bool {
        names.count == generations.values.reduce(0) { $0 + tree($1).expected.count }
    }

    /// Changes of an object; a result of nil deletes it.
    private static let damages: [(name: String, change: @Sendable ([UInt8]) -> [UInt8]?)] = [
        ("missing", { _ in nil }), ("empty", { _ in [] }), ("cut to 7 bytes", { Array($0.prefix(7)) }),
        ("cut to a tombstone's length", { Array($0.prefix(96)) }), ("cut by one byte", { $0.dropLast() }),
    ]

    /// Runs several commands on a damaged store. After each command, everything that could be restored before can still
    /// be restored.
    private func judge(_ objects: [ObjectKey: [UInt8]], _ generations: [ID128: Int], _ what: String) throws {
        let first = Self.restorable(objects, generations)
        let check = try? MemoryBench.check(try MemoryBench.open(MemoryStore(objects))).report
        if let check, check.isClean, check.unsupportedObjects == 0 {
            #expect(Self.isWhole(first, generations), "\(what): the check is clean and a restore is not")
        }
        for commands in [["prune"], ["repair", "prune"], ["prune", "repair", "prune"]] {
            let store = MemoryStore(objects)
            var last = first
            for command in commands {
                let there = store.contents
                do {
                    let repository = try MemoryBench.open(store)
                    if command == "prune" {
                        try Self.prune(repository)
                    } else {
                        try Self.repairIndex(repository)
                    }
                } catch {
                    // A prune that cannot determine what is needed must delete no pack.
                    let kept = store.contents
                    let gone = there.keys.filter { kept[$0] == nil && "\($0)".hasPrefix("packs/") }
                    #expect(gone.isEmpty, "\(what), \(command) of \(commands) fails and deletes: \(error)")
                }
                let now = Self.restorable(store.contents, generations)
                #expect(
                    last.isSubset(of: now),
                    "\(what): \(command) of \(commands) loses \(last.subtracting(now))")
                last = now
            }
        }
    }

    @Test func nothingIsLostByWhatIsMissingOrCutShort() throws {
        let scene = try Self.prepared()
        var tried = 0
        for key in scene.objects.keys.sorted() where "\(key)" != "config" {
            for (name, change) in Self.damages {
                var objects = scene.objects
                objects[key] = change(scene.objects[key]!)
                if objects[key] == scene.objects[key] { continue }
                // A snapshot whose record is missing leaves no trace.
                let generations = scene.generations.filter {
                    objects[ObjectKey("snapshots/\($0.key)")] != nil
                }
                try judge(objects, generations, "\(key) \(name)")
                tried += 1
            }
        }
        #expect(tried > 60)
    }

    @Test func nothingIsLostByWhatIsPutBack() throws {
        let scene = try Self.prepared()
        let gone = scene.before.keys.filter { scene.objects[$0] == nil }.sorted()
        #expect(gone.count > 3)
        for key in gone + [nil] {
            var objects = scene.objects
            for back in gone where key == nil || back == key { objects[back] = scene.before[back] }
            let what = key.map { "\($0) put back" } ?? "all put back"
            try judge(objects, scene.generations, what)
            let store = MemoryStore(objects)
            try Self.prune(try MemoryBench.open(store))
            let report = try MemoryBench.check(try MemoryBench.open(store)).report
            #expect(report.isClean, "\(what)")
        }
    }

    /// The user forgets a snapshot whose record is cut short, by its id. Prune, check and restore then agree.
    @Test func aSnapshotWithADamagedRecordIsGivenUp() throws {
        let scene = try Self.prepared()
        for id in scene.generations.keys.sorted() {
            for (name, change) in Self.damages.dropFirst() {
                let key = ObjectKey("snapshots/\(id)")
                var objects = scene.objects
                objects[key] = change(scene.objects[key]!)
                let store = MemoryStore(objects)
                let repository = try MemoryBench.open(store)
                #expect(throws: (any Error).self, "\(name)") { try Self.prune(repository) }
                #expect(try repository.snapshots().unreadable.map(\.id) == [id], "\(name)")
                try repository.forget([id], host: "h", program: "p")
                try Self.prune(repository)
                let report = try MemoryBench.check(try MemoryBench.open(store)).report
                #expect(report.isClean, "\(name)")
                let rest = scene.generations.filter { $0.key != id }
                #expect(Self.isWhole(Self.restorable(store.contents, rest), rest), "\(name)")
            }
        }
    }

    /// Two copies of one repository are merged. Each was backed up to, and one was pruned.
    @Test func whatLiesWholeInAPackThatIsThereIsNeverCalledLost() throws {
        for winner in ["first", "second"] {
            let bench = try MemoryBench()
            let one = try #require(try bench.backup(Self.tree(0)).snapshot).id
            let other = MemoryStore(bench.store.contents)
            // The first copy forgets the first generation. The second copy backs up after it.
            let two = try #require(try bench.backup(Self.tree(1)).snapshot).id
            try bench.repository.forget([one], host: "h", program: "p")
            try Self.prune(bench.repository)
            let copy = try MemoryBench.open(other)
            var request = MemoryBench.request()
            request.tags = ["copy"]
            let three = try #require(try Backup(copy, of: Self.tree(0)).run(request).snapshot).id
            var objects = winner == "first" ? bench.store.contents : other.contents
            objects.merge(winner == "first" ? other.contents : bench.store.contents) { first, _ in first }
            let generations = [two: 1, three: 0]
            try judge(objects, generations, "merged, the \(winner) one wins")
            let store = MemoryStore(objects)
            try Self.repairIndex(try MemoryBench.open(store))
            #expect(Self.isWhole(Self.restorable(store.contents, generations), generations))
            try Self.prune(try MemoryBench.open(store))
            #expect(Self.isWhole(Self.restorable(store.contents, generations), generations))
            #expect(try MemoryBench.check(try MemoryBench.open(store)).report.isClean)
        }
    }

    @Test func aCheckSaysThatTheIndexIsToBeRepairedWherePacksCameBack() throws {
        let bench = try MemoryBench()
        let one = try #require(try bench.backup(Self.tree(0)).snapshot).id
        let other = bench.store.contents
        try bench.backup(Self.tree(1))
        try bench.repository.forget([one], host: "h", program: "p")
        try Self.prune(bench.repository)
        var objects = bench.store.contents
        // The snapshot comes back without its forget marker.
        objects.merge(other) { first, _ in first }
        objects[ObjectKey("forget/\(one)")] = nil
        let report = try MemoryBench.check(try MemoryBench.open(MemoryStore(objects))).report
        #expect(report.repairsInOrder.first == .index)
    }
}
