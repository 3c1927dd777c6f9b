import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

/// Every orderly end of a run closes its sessions, so that no prune waits for one.
@Suite struct ClosingTests {
    private static func tree(_ generation: Int = 0) -> FakeTree {
        let random = SeededRandom(seed: 19)
        let changed = SeededRandom(seed: UInt64(100 + generation))
        return FakeTree([
            .other("s", .directory), .file("s/a", random.bytes(3000)),
            .file("s/b", changed.bytes(2000)) { $0.stat.mtime.seconds += Int64(generation) },
            .file("s/c", random.bytes(900)), .file("s/d", [1, 2, 3]),
        ])
    }

    /// Returns the sessions for which a prune would wait.
    private static func open(_ store: MemoryStore) throws -> [String] {
        let decided = Set(try store.list("snapshots").map { $0.key.description.split(separator: "/")[1] })
        return try store.list("sessions").map { $0.key.description.split(separator: "/")[1] }.filter {
            !decided.contains($0)
        }.map(String.init)
    }

    @Test(arguments: [StoreError.Kind.lostData, .full, .readOnly])
    func aFailureOfAnyCallLeavesNoSessionOpen(kind: StoreError.Kind) throws {
        let bench = try MemoryBench()
        try bench.backup(Self.tree())
        let before = bench.store.contents
        for checkpointBytes in [1, 1 << 20] {
            var number = 1
            while true {
                let store = MemoryStore(before)
                let failing = number
                let faulty = FaultyStore(store) { call, _, _ in call == failing ? kind : nil }
                var request = MemoryBench.request()
                request.checkpointBytes = checkpointBytes
                _ = try? Backup(try MemoryBench.open(faulty), of: Self.tree(1)).run(request)
                if faulty.calls.count < number { break }
                #expect(try Self.open(store) == [], "call \(number): \(faulty.calls[number - 1])")
                number += 1
            }
            #expect(number > 15)
        }
    }

    /// A sweep removes the staged objects before they are published. The run begins again once, and keeps the packs
    /// that it has published.
    @Test(arguments: [1, 2])
    func whatIsRemovedBeforeItIsPublishedIsStoredAgainOnce(times: Int) throws {
        let bench = try MemoryBench()
        try bench.backup(Self.tree())
        let lost = Mutex(0)
        let faulty = FaultyStore(bench.store) { _, _, call in
            guard call.operation == "publish" else { return nil }
            return lost.withLock { count in
                count += 1
                return count <= times ? .notFound : nil
            }
        }
        let run = { try Backup(try MemoryBench.open(faulty), of: Self.tree(1)).run(MemoryBench.request()) }
        if times == 1 {
            let snapshot = try #require(try run().snapshot)
            let target = try MemoryBench.restore(try MemoryBench.open(bench.store), snapshot)
            #expect(target.items == Self.tree(1).expected)
        } else {
            do {
                _ = try run()
                Issue.record("it was stored")
            } catch RepositoryError.unpublishedRemoved {}
        }
        #expect(faulty.calls.count { $0.operation == "put" && $0.object.hasPrefix("sessions/") } == 2)
        #expect(try Self.open(bench.store) == [])
    }

    /// The medium takes nothing any more, like a full disk. The run fails with that error and does not hang.
    @Test func aMediumThatIsFullForGoodEndsTheRun() throws {
        let bench = try MemoryBench()
        for first in 1...12 {
            let store = MemoryStore(bench.store.contents)
            let faulty = FaultyStore(store) { _, mutating, call in
                mutating >= first && call.isMutating && call.operation != "delete" ? .full : nil
            }
            do {
                _ = try Backup(try MemoryBench.open(faulty), of: Self.tree(1)).run(MemoryBench.request())
            } catch let error as StoreError { #expect(error.kind == .full) }
            // After a failed put, the commit record may still arrive, so the run cannot close its session.
            let hasTried = faulty.calls.contains {
                $0.operation == "put" && $0.object.hasPrefix("snapshots/")
            }
            #expect(try hasTried || Self.open(store) == [], "from \(first) on")
        }
    }

    @Test func aRunThatHasNothingToCommitClosesItsSession() throws {
        let bench = try MemoryBench()
        try bench.backup(Self.tree())
        let unchanged = try bench.backup(Self.tree()) { $0.skipsIfUnchanged = true }
        #expect(unchanged.wasUnchanged)
        #expect(try Self.open(bench.store) == [])
        let tombstones = try bench.store.list("snapshots").filter { $0.size < 100 }
        #expect(tombstones.isEmpty)
        // The run is stopped at each poll in turn.
        for stop in 0..<60 {
            let polls = Mutex(0)
            let backup = Backup(
                bench.repository, of: Self.tree(stop + 2),
                stop: StopSignal {
                    polls.withLock { polls in
                        polls += 1
                        return polls > stop
                    }
                })
            _ = try backup.run(MemoryBench.request())
            #expect(try Self.open(bench.store) == [], "stop \(stop)")
        }
        // The source's only path cannot be read.
        let empty = try bench.backup(FakeTree([])) { $0.paths = [Array("gone".utf8)] }
        #expect(empty.snapshot == nil)
        #expect(try Self.open(bench.store) == [])
    }

    @Test func copiesAndRepairsCloseTheirSessions() throws {
        let bench = try MemoryBench()
        for generation in 0..<3 { try bench.backup(Self.tree(generation)) }
        let snapshots = try bench.repository.snapshots().readable
        for sameIDs in [true, false] {
            for stop in 0..<12 {
                let store = MemoryStore()
                let options =
                    sameIDs ? Repository.Options(like: bench.repository.config) : MemoryBench.options
                let destination = try Repository.create(
                    in: store, options: options, cache: MemoryCache(), time: bench.repository.time,
                    random: bench.repository.random)
                let polls = Mutex(0)
                _ = try SnapshotCopy(
                    CopyRequest(host: "h", program: "p"), from: bench.repository, to: destination,
                    stop: StopSignal {
                        polls.withLock { polls in
                            polls += 1
                            return polls > 3 * stop
                        }
                    }
                ).run(snapshots)
                #expect(try Self.open(store) == [], "same ids \(sameIDs), stop \(stop)")
            }
        }
        // A pack is lost. The repair commits the rest, or nothing.
        let packs = bench.store.contents.keys.filter { $0.description.hasPrefix("packs/") }
        for pack in packs.sorted() {
            var objects = bench.store.contents
            objects[pack] = nil
            let store = MemoryStore(objects)
            _ = try? RepairSnapshots(
                try MemoryBench.open(store), RepairRequest(host: "h", program: "p")
            ).run()
            #expect(try Self.open(store) == [], "\(pack)")
        }
    }
}
