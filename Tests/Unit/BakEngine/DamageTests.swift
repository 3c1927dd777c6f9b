import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

/// Every kind of damage to every object of a small repository. A check either names the damage, or the damage is
/// harmless. No restore ever returns a wrong byte.
@Suite struct DamageTests {
    private static func tree(_ generation: Int) -> FakeTree {
        let random = SeededRandom(seed: 3)
        let changed = SeededRandom(seed: UInt64(50 + generation))
        return FakeTree([
            .other("s", .directory), .file("s/a", random.bytes(1000)),
            .file("s/b", changed.bytes(900)) {
                $0.stat.mtime.seconds += Int64(generation)
            },
            .file("s/c", Array(repeating: 65, count: 2000)), .file("s/d", random.bytes(40)),
        ])
    }

    /// Returns a repository with three snapshots of different content.
    private static func prepared() throws -> MemoryBench {
        let bench = try MemoryBench()
        for generation in 0..<3 {
            try bench.backup(tree(generation)) { $0.time = Timestamp(seconds: Int64(generation)) }
        }
        return bench
    }

    /// Checks and restores a damaged store. `changed` lists the damaged objects.
    private func judge(
        _ objects: [ObjectKey: [UInt8]], _ snapshots: [CommitRecord], changed: [ObjectKey], _ what: String
    )
        throws
    {
        let repository: Repository
        do {
            repository = try MemoryBench.open(MemoryStore(objects))
        } catch {
            #expect(changed.contains(ObjectNames.config), "\(what): \(error)")
            return
        }
        let (report, events) = try MemoryBench.check(repository)
        // A lost session record is harmless, because its session has committed and no program reads it any more. A
        // damaged spare is harmless, too.
        let isHarmless = changed.allSatisfy { key in
            objects[key] == nil && key.description.hasPrefix("sessions/")
                || key.description.hasPrefix("records/")
        }
        var affected: Set<String> = []
        var named: Set<String> = []
        for event in events {
            switch event {
            case .damage(let object, _): named.insert(object)
            case .affectedFile(let snapshot, let path, _): affected.insert("\(snapshot) \(path)")
            case .affectedSnapshot(let snapshot, _): affected.insert("\(snapshot)")
            default: break
            }
        }
        #expect(report.isClean == isHarmless, "\(what)")
        if !isHarmless {
            #expect(changed.contains { named.contains($0.description) }, "\(what): \(named)")
        }
        for (generation, snapshot) in snapshots.enumerated() {
            let expected = Self.tree(generation).expected
            let log = RestoreLog()
            let target = MemoryTarget()
            do {
                let fresh = try repository.snapshot(snapshot.id)
                _ = try MemoryBench.restore(repository, fresh, log, to: target)
                for (path, item) in expected where target.items[path] != item {
                    #expect(target.items[path] == nil, "\(what): wrong bytes")
                    #expect(!log.failures.isEmpty, "\(what): silently missing")
                    #expect(
                        affected.contains("\(snapshot.id) \(path)") || affected.contains("\(snapshot.id)"),
                        "\(what): not named")
                }
            } catch {
                // The check must report that the whole snapshot is lost.
                #expect(
                    affected.contains("\(snapshot.id)") || objects[ObjectNames.snapshot(snapshot.id)] == nil,
                    "\(what): \(error)")
            }
            for (path, item) in target.items { #expect(expected[path] == item, "\(what): wrong bytes") }
        }
    }

    private func eachDamage(_ body: (inout [ObjectKey: [UInt8]], ObjectKey) -> [(String, [UInt8]?)]) throws {
        let bench = try Self.prepared()
        let snapshots = try bench.repository.snapshots().readable
        var whole = bench.store.contents
        for key in whole.keys.sorted() {
            for (what, bytes) in body(&whole, key) {
                var objects = whole
                objects[key] = bytes
                try judge(objects, snapshots, changed: [key], "\(key): \(what)")
            }
        }
    }

    @Test func theUndamagedRepositoryIsClean() throws {
        let bench = try Self.prepared()
        #expect(try MemoryBench.check(bench.repository).report.isClean)
        try judge(bench.store.contents, try bench.repository.snapshots().readable, changed: [], "nothing")
    }

    @Test func everyObjectDeletedCutOrGrownIsFound() throws {
        try eachDamage { objects, key in
            let bytes = objects[key]!
            let cuts = [0, 1, 47, 64, bytes.count / 2, bytes.count - 48, bytes.count - 1].filter {
                (0..<bytes.count).contains($0)
            }
            return [("deleted", nil), ("grown", bytes + [0]), ("grown twice", bytes + bytes)]
                + Set(cuts).sorted().map { ("cut to \($0)", Array(bytes.prefix($0))) }
        }
    }

    @Test func everyFlippedBitIsFound() throws {
        var random = SeededRandom(seed: TestSeed.random("flipped bits").next())
        try eachDamage { objects, key in
            let bytes = objects[key]!
            var positions = Set(0..<bytes.count)
            if !isLong {
                // A few positions at the start, in the middle and at the end of the object.
                let end = max(64, bytes.count - 64)
                let regions = [0..<64, 64..<end, end..<bytes.count].filter { !$0.isEmpty }
                positions = Set(
                    regions.flatMap { region in (0..<4).map { _ in Int.random(in: region, using: &random) } })
            }
            return positions.sorted().map { position in
                var flipped = bytes
                let bit = Int.random(in: 0..<8, using: &random)
                flipped[position] ^= 1 << bit
                return ("BAKSTORE_TEST_SEED=\(TestSeed.value), bit \(bit) of byte \(position)", flipped)
            }
        }
    }

    @Test func swappedObjectsAreFound() throws {
        let bench = try Self.prepared()
        let snapshots = try bench.repository.snapshots().readable
        let whole = bench.store.contents
        func kind(_ key: ObjectKey) -> Substring { key.description.prefix { $0 != "/" } }
        let keys = whole.keys.sorted()
        for (number, one) in keys.enumerated() {
            guard let other = keys[(number + 1)...].first(where: { kind($0) == kind(one) }) else { continue }
            var objects = whole
            (objects[one], objects[other]) = (whole[other], whole[one])
            try judge(objects, snapshots, changed: [one, other], "\(one) and \(other) swapped")
        }
    }

    @Test func theNextBackupMakesUpForADamagedIndex() throws {
        let bench = try Self.prepared()
        let whole = bench.store.contents
        let segments = whole.keys.filter { $0.description.hasPrefix("index/") }
        try #require(segments.count == 3)
        for key in segments {
            var objects = whole
            objects[key]![100] ^= 1
            let store = MemoryStore(objects)
            let events = EventLog()
            let report = try Backup(try MemoryBench.open(store), of: Self.tree(2), onEvent: events.note).run(
                MemoryBench.request())
            let isTold = events.all.contains { event in
                guard case .parentUnreadable(let reason, true) = event else { return false }
                return reason.contains("\(key)")
            }
            #expect(isTold, "\(key)")
            let repository = try MemoryBench.open(store)
            let target = try MemoryBench.restore(repository, try #require(report.snapshot))
            #expect(target.items == Self.tree(2).expected, "\(key)")
        }
    }

    @Test func aBackupSaysWhichPackItMisses() throws {
        let bench = try Self.prepared()
        let packs = bench.store.contents.filter { $0.key.description.hasPrefix("packs/") }
        for (key, bytes) in packs {
            let others: [[UInt8]?] = [
                nil, Array(bytes.dropLast()), bytes + [0, 0], [UInt8](repeating: 0, count: bytes.count + 2),
            ]
            for damaged in others {
                for parent in [BackupRequest.ParentChoice.latest, .none] {
                    var objects = bench.store.contents
                    objects[key] = damaged
                    let repository = try MemoryBench.open(MemoryStore(objects))
                    var request = MemoryBench.request()
                    request.parent = parent
                    let report = try Backup(repository, of: Self.tree(2)).run(request)
                    // A restore shows whether the new snapshot lacks something.
                    let log = RestoreLog()
                    let snapshot = try #require(report.snapshot)
                    let isWhole =
                        (try? MemoryBench.restore(repository, snapshot, log))?.items == Self.tree(2).expected
                    let named = report.damagedPacks.map(\.object)
                    #expect(isWhole ? named.allSatisfy { $0 == key.description } : named == [key.description])
                    // Appended bytes damage nothing.
                    if damaged == bytes + [0, 0] { #expect(isWhole && named.isEmpty) }
                }
            }
        }
    }

    @Test func aDamagedLocalCacheNeverMatters() throws {
        let bench = try MemoryBench()
        var random = SeededRandom(seed: 4)
        // More than 4096 chunks, so that the cache gets an index table.
        let tree = FakeTree([.other("s", .directory), .file("s/a", random.bytes(2_600_000))])
        let snapshot = try #require(try bench.backup(tree).snapshot)
        let table = try #require(bench.cache.contents["index"])
        #expect(table.count > 4096 * 30)
        random = SeededRandom(seed: TestSeed.random("damaged tables").next())
        for attempt in 0..<(isLong ? 5000 : 12) {
            let position = Int.random(in: 0..<table.count, using: &random)
            var damaged = table
            damaged[position] ^= 1 << Int.random(in: 0..<8, using: &random)
            if attempt % 4 == 3 { damaged.removeLast(position % 5000 + 1) }
            let cache = MemoryCache()
            cache.contents = ["index": damaged]
            let repository = try MemoryBench.open(bench.store, cache: cache)
            let index = try BlobIndex(repository)
            let whole = try BlobIndex(bench.repository)
            #expect(index.count == whole.count, "BAKSTORE_TEST_SEED=\(TestSeed.value)")
            try whole.forEach { entry, pack in
                let location = index.location(of: BlobReference(id: entry.id, length: entry.rawLength))
                if location?.offset != entry.offset || location?.pack != pack.id {
                    Issue.record("BAKSTORE_TEST_SEED=\(TestSeed.value): byte \(position) matters")
                }
            }
        }
        let target = try MemoryBench.restore(bench.repository, snapshot)
        #expect(target.items == tree.expected)
    }
}
