// What commits a snapshot of what others have, beside one who forgets these and prunes: archives, what is taken out of
// them, and tags. All of that happens before one call on the store, before the next, and so on.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@Suite struct ArchiveBesideTests {
    private static func tree(_ generation: Int) -> FakeTree {
        let random = SeededRandom(seed: UInt64(generation + 1))
        return FakeTree([
            .other("s", .directory), .file("s/g\(generation)", random.bytes(3000)),
        ])
    }

    /// An archive of three generations, of which only the last is in the source.
    private static func prepared() throws -> [ObjectKey: [UInt8]] {
        let bench = try MemoryBench()
        for generation in 0..<3 { try bench.backup(tree(generation)) { $0.archive = .yes } }
        return bench.store.contents
    }

    private static func newest(_ repository: Repository) throws -> CommitRecord {
        try #require(try repository.settledSnapshotList().order.sorted.last)
    }

    /// What others do meanwhile: each leaves one snapshot of the archive, under a new id, and prunes all else.
    enum Act: CaseIterable {
        case tag, remove

        func act(_ store: any ObjectStore) throws {
            let repository = try MemoryBench.open(store)
            let old = try newest(repository)
            switch self {
            case .tag: try tagAgain(old, repository, "meanwhile")
            case .remove:
                _ = try ArchiveRemoval(
                    ArchiveRemovalRequest(
                        snapshot: old, paths: [Array("s/g1".utf8)], host: "h", program: "p"),
                    from: repository
                ).run()
            }
            let all = try repository.snapshotList().order.sorted
            try repository.forget(all.dropLast().map(\.id), host: "h", program: "p")
            try Beside.prune(store, keeping: [0])
        }
    }

    private static func tagAgain(_ old: CommitRecord, _ repository: Repository, _ tag: String) throws {
        var new = old
        new.tags.append(tag)
        #expect(
            try repository.recommit(
                [(old, new)], host: "h", program: "p", stop: .never, onDone: { _, _ in }))
    }

    private static func files(_ repository: Repository, _ snapshot: CommitRecord) throws -> Set<String> {
        let log = RestoreLog()
        let target = try MemoryBench.restore(repository, snapshot, log)
        #expect(log.failures.isEmpty)
        return Set(
            target.items.keys.map { String(decoding: $0, as: UTF8.self) }.filter { $0.hasPrefix("s/g") })
    }

    @Test(arguments: Act.allCases) func anArchiveGoesOnFromWhatIsThere(act: Act) throws {
        let calls = try Beside.eachCall(of: Self.prepared(), act.act) { number, store, base in
            let report = try Backup(try MemoryBench.open(store), of: Self.tree(3)).run(
                MemoryBench.request())
            #expect(report.damagedPacks.isEmpty && report.counters.failedItems == 0, "call \(number)")
            let repository = try MemoryBench.open(base)
            // What comes after the commit forgets it with all the others.
            let made = try #require(report.snapshot)
            if let found = try repository.snapshots().readable.first(where: { $0.id == made.id }) {
                let files = try Self.files(repository, found)
                #expect(files.isSuperset(of: ["s/g0", "s/g2", "s/g3"]), "call \(number)")
            }
            #expect(try MemoryBench.check(repository).report.isClean, "call \(number)")
        }
        #expect(calls > 20)
    }

    @Test(arguments: Act.allCases) func aRemovalGoesOnFromWhatIsThere(act: Act) throws {
        let calls = try Beside.eachCall(of: Self.prepared(), act.act) { number, store, base in
            let opened = try MemoryBench.open(store)
            let report = try opened.undisturbed {
                try ArchiveRemoval(
                    ArchiveRemovalRequest(
                        snapshot: try Self.newest(opened), paths: [Array("s/g0".utf8)], host: "h",
                        program: "p"),
                    from: opened
                ).run()
            }
            let made = try #require(report.snapshot, "call \(number)")
            let repository = try MemoryBench.open(base)
            if let found = try repository.snapshots().readable.first(where: { $0.id == made.id }) {
                let files = try Self.files(repository, found)
                #expect(files.contains("s/g2") && !files.contains("s/g0"), "call \(number)")
            }
            #expect(try MemoryBench.check(repository).report.isClean, "call \(number)")
        }
        #expect(calls > 20)
    }

    /// Who is gone is not damaged, and who stays gets its tag whatever a prune moves.
    @Test(arguments: [true, false]) func aTagFindsNoDamage(stays: Bool) throws {
        let objects = try Beside.prepared()
        let calls = try Beside.eachCall(
            of: objects, { try Beside.prune($0, keeping: stays ? [1] : [0]) }
        ) { number, store, base in
            let opened = try MemoryBench.open(store)
            let all = try opened.snapshotList().order.sorted
            // Where the prune came before the list there is one.
            let old = all.count > 1 ? all[1] : all[0]
            do {
                try Self.tagAgain(old, opened, "new")
                let repository = try MemoryBench.open(base)
                for snapshot in try repository.snapshots().readable {
                    _ = try MemoryBench.restore(repository, snapshot)
                }
                #expect(try MemoryBench.check(repository).report.isClean, "call \(number)")
            } catch RepositoryError.snapshotRemoved(let id) {
                #expect(!stays && id == old.id, "call \(number)")
            }
        }
        #expect(calls > 20)
    }
}
