// Commands that commit a snapshot with the content of earlier snapshots: backups of an archive, removals from an
// archive, and tags. Meanwhile another program forgets these earlier snapshots and prunes. Each test runs once for each
// call on the store, and the other program does all its work before that call.

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

    /// Returns a repository with an archive of three generations. The source only has the last generation.
    private static func prepared() throws -> [ObjectKey: [UInt8]] {
        let bench = try MemoryBench()
        for generation in 0..<3 { try bench.backup(tree(generation)) { $0.archive = .yes } }
        return bench.store.contents
    }

    private static func newest(_ repository: Repository) throws -> CommitRecord {
        try #require(try repository.settledSnapshotList().order.sorted.last)
    }

    /// An act of the other program. Each act leaves one snapshot of the archive, under a new id, and prunes everything
    /// else.
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
            // If the other program acts after the commit, it forgets the new snapshot with all others.
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

    /// If the snapshot is gone, the tag command does not report damage. If the snapshot stays, it gets its tag,
    /// whatever a prune moves.
    @Test(arguments: [true, false]) func aTagFindsNoDamage(stays: Bool) throws {
        let objects = try Beside.prepared()
        let calls = try Beside.eachCall(
            of: objects, { try Beside.prune($0, keeping: stays ? [1] : [0]) }
        ) { number, store, base in
            let opened = try MemoryBench.open(store)
            let all = try opened.snapshotList().order.sorted
            // If the prune came before the listing, there is only one snapshot.
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
