// A restore handles its entries in windows: it plans the next window while it carries out the present one. Whatever the
// number of windows, everything is restored. In a folder that it has made itself, the restore looks for nothing.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@Suite struct RestoreWindowTests {
    private static func tree() -> FakeTree {
        var random = SeededRandom(seed: 11)
        var entries: [FakeEntry] = [.other("s", .directory)]
        for folder in 0..<6 {
            entries.append(.other("s/\(folder)", .directory))
            for file in 10..<40 {
                let count = Int.random(in: 0..<4000, using: &random)
                entries.append(.file("s/\(folder)/\(file)", random.bytes(count)))
            }
        }
        return FakeTree(entries)
    }

    @Test(arguments: [1, 7, 1000], [1, 3])
    func everythingComesBack(filesTogether: Int, workers: Int) throws {
        let bench = try MemoryBench()
        let snapshot = try #require(try bench.backup(Self.tree()).snapshot)
        let target = MemoryTarget()
        let log = RestoreLog()
        var request = RestoreRequest(snapshot: snapshot)
        (request.filesTogether, request.workerCount) = (filesTogether, workers)
        let index = try BlobIndex(bench.repository)
        let report = try Restore(bench.repository, index: index, to: target, onEvent: log.note).run(request)
        #expect(target.items == Self.tree().expected)
        #expect(report.files == 180 && log.failures.isEmpty)
        // The restore stats each of the seven folders once, in its second pass, before it sets the folder's metadata.
        #expect(target.statCount == 7)
    }

    @Test func whatIsThereIsLookedAt() throws {
        let bench = try MemoryBench()
        let snapshot = try #require(try bench.backup(Self.tree()).snapshot)
        let target = MemoryTarget()
        target.items = [Array("s".utf8): .folder, Array("s/3".utf8): .folder]
        target.items[Array("s/3/12".utf8)] = .file([1])
        var request = RestoreRequest(snapshot: snapshot)
        request.overwrite = .never
        let index = try BlobIndex(bench.repository)
        let report = try Restore(bench.repository, index: index, to: target).run(request)
        #expect(report.files == 179 && report.kept == 1)
        #expect(target.items[Array("s/3/12".utf8)] == .file([1]))
        // Each folder lies in a folder that existed before, so the restore stats it once for its inode number, and once
        // before it sets the metadata.
        #expect(target.statCount == 30 + 7 + 7)
    }

    @Test func nothingIsCalledDurableAfterASyncHasFailed() throws {
        let bench = try MemoryBench()
        let snapshot = try #require(try bench.backup(Self.tree()).snapshot)
        let index = try BlobIndex(bench.repository)
        var request = RestoreRequest(snapshot: snapshot)
        request.filesTogether = 7
        let sound = MemoryTarget()
        _ = try Restore(bench.repository, index: index, to: sound).run(request)
        // Besides the sync at the end, there was one while windows were still to come.
        #expect(sound.syncCount > 1)
        for failing in 1...2 {
            let target = MemoryTarget(failingSync: failing)
            #expect(throws: TargetError.self) {
                try Restore(bench.repository, index: index, to: target).run(request)
            }
        }
    }
}
