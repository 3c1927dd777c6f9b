import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import Testing

/// Manifests in which each record is valid but the whole is impossible. The damage is named, and all other files are
/// restored.
@Suite struct HostileFormTests {
    @Test(arguments: [FileType.regular, .fifo, .symlink])
    func nothingLiesBeneathWhatIsNoFolder(_ type: FileType) throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commit([
            hostile.entry("a", type), hostile.entry("a/b", .regular), hostile.entry("a/c", .directory),
            hostile.entry("b", .regular),
        ])
        let repository = hostile.bench.repository
        let (report, events) = try MemoryBench.check(repository)
        #expect(report.affectedSnapshots == 1)
        #expect("\(events)".contains(ManifestEntry.beneathNoFolder))
        let log = RestoreLog()
        let target = try MemoryBench.restore(repository, snapshot, log)
        #expect(target.items.keys.allSatisfy { $0.count == 1 })
        #expect(target.items[Array("b".utf8)] == .file([]))
        let request = RepairRequest(host: "h", program: "p")
        let repair = try RepairSnapshots(repository, request).run()
        #expect(repair.newSnapshots == 1)
        // The snapshot that the repair wrote is undamaged.
        let repaired = try #require(try repository.snapshots().readable.last)
        let reader = try ManifestReader(repaired, repository: repository, index: try BlobIndex(repository))
        var paths: [String] = []
        while case .entry(let entry)? = try reader.next() {
            paths.append(String(decoding: entry.path, as: UTF8.self))
        }
        #expect(paths == ["a", "b"])
    }

    /// After a damaged part, the entries continue in order after the last entry that was read.
    @Test func orderHoldsOverDamage() throws {
        let hostile = try HostileManifest()
        // The second segment is out of order. The third segment's path lies between the first two.
        let snapshot = try hostile.commit(
            ["a", "c", "b", "d"].map { hostile.entry($0, .regular) }, firstPaths: ["a", "b", "c", "d"])
        let repository = hostile.bench.repository
        let reader = try ManifestReader(snapshot, repository: repository, index: try BlobIndex(repository))
        var paths: [[UInt8]] = []
        while true {
            do {
                guard case .entry(let entry)? = try reader.next() else { break }
                paths.append(entry.path)
            } catch is CorruptionError { _ = reader.skipSegment() }
        }
        #expect(paths == ["a", "d"].map { Array($0.utf8) })
        _ = try RepairSnapshots(repository, RepairRequest(host: "h", program: "p")).run()
    }

    @Test func sizesThatOverflowStopAtTheLargest() throws {
        let hostile = try HostileManifest()
        let half = UInt64(Int64.max)
        let snapshot = try hostile.commit(
            ["a", "b", "c", "d"].map { hostile.file($0, size: half, [.hole(half)]) })
        let repository = hostile.bench.repository
        let index = try BlobIndex(repository)
        var request = RestoreRequest(snapshot: snapshot)
        request.isDryRun = true
        let report = try Restore(repository, index: index, to: nil).run(request)
        #expect(report.files == 4)
        #expect(report.bytes == .max)
        #expect(try StatsRun(repository, index).run([snapshot]).bytes == .max)
        #expect(try MemoryBench.check(repository).report.affectedFiles == 0)
        // In a repository with other ids, the copy has to read the files.
        let other = try MemoryBench()
        let copy = try SnapshotCopy(
            CopyRequest(host: "h", program: "p"), from: repository, to: other.repository
        ).run([snapshot])
        #expect(copy.copied == 1)
        #expect(try other.repository.snapshots().readable.first?.counters.bytes == .max)
    }

    @Test func contentBeyondTheEndIsNotCopied() throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commit([hostile.file("a", size: 5, [.hole(10), .chunk(hostile.chunk)])])
        let other = try MemoryBench()
        let copy = try SnapshotCopy(
            CopyRequest(host: "h", program: "p"), from: hostile.bench.repository, to: other.repository
        ).run([snapshot])
        #expect(copy.failedFiles > 0)
    }

    /// A file with more content than its size is damaged. The files before and after it in its segment are not.
    @Test func contentBeyondTheEndCostsNoOtherFile() throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commitLong([
            hostile.file("a", size: 50, [.chunk(hostile.chunk)]),
            hostile.file("b", size: 20, [.chunk(hostile.chunk)]),
            hostile.file("c", size: 1, [.hole(1 << 62)]),
            hostile.file(
                "d", size: 9, [Extent](repeating: .hole(5), count: 2 * FormatLimits.extentsPerRecord + 1)),
            hostile.file("e", size: 50, [.chunk(hostile.chunk)]), hostile.entry("f", .directory),
        ])
        let whole: Set<[UInt8]> = [Array("a".utf8), Array("e".utf8), Array("f".utf8)]
        let repository = hostile.bench.repository
        let report = try MemoryBench.check(repository).report
        #expect(report.affectedFiles == 3 && report.unlistedSnapshots == 0 && report.damagedObjects == 0)
        let log = RestoreLog()
        let restored = try MemoryBench.restore(repository, snapshot, log).items
        #expect(Set(restored.keys) == whole && log.failures.count == 3)
        let other = try MemoryBench()
        let copied = try SnapshotCopy(
            CopyRequest(host: "h", program: "p"), from: repository, to: other.repository
        ).run([snapshot])
        #expect(copied.failedFiles == 3)
        let repaired = try RepairSnapshots(repository, RepairRequest(host: "h", program: "p")).run()
        #expect(repaired.lostFiles == 3 && repaired.newSnapshots == 1)
        let copy = try #require(repository.snapshots().readable.first { $0.tags.contains("repaired") })
        #expect(try Set(MemoryBench.restore(repository, copy).items.keys) == whole)
    }

    /// A chain of folders that is as deep as a path can be. The time and memory for a folder must not grow with the
    /// number of folders above it, except for its path.
    @Test func aChainOfFoldersIsWalked() throws {
        let hostile = try HostileManifest()
        let depth = 1500
        let snapshot = try hostile.commitLong(
            (1...depth).map { level in
                hostile.entry(String(repeating: "a/", count: level - 1) + "a", .directory)
            } + [hostile.entry(String(repeating: "a/", count: depth) + "f", .regular)])
        let repository = hostile.bench.repository
        #expect(try MemoryBench.check(repository).report.affectedSnapshots == 0)
        let log = RestoreLog()
        let target = try MemoryBench.restore(repository, snapshot, log)
        #expect(target.items.count == depth + 1)
        let selection = RestoreSelection(
            RestoreRequest(snapshot: snapshot), RestoreFilter(), repository: repository,
            index: try BlobIndex(repository))
        #expect(try selection.unmatched() == nil)
    }
}
