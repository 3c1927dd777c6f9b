import BakCore
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@testable import BakEngine

/// Lists of extents in which each record is valid. Their total effect must not take unlimited time or memory.
@Suite struct HostileExtentTests {
    /// Returns chunks and holes that fill several segments. Some holes follow each other.
    private func longExtents(_ hostile: HostileManifest, _ count: Int) -> [Extent] {
        (0..<count).map { $0 % 5 < 3 ? .hole(UInt64($0 % 3) + 1) : .chunk(hostile.chunk) }
    }

    private func file(_ path: String, _ extents: [Extent], _ hostile: HostileManifest) -> ManifestEntry {
        hostile.file(path, size: extents.total(\.length), extents)
    }

    private func copy(
        _ snapshot: CommitRecord, of hostile: HostileManifest
    ) throws -> (CopyReport, Repository) {
        let other = try MemoryBench()
        let report = try SnapshotCopy(
            CopyRequest(host: "h", program: "p"), from: hostile.bench.repository, to: other.repository
        ).run([snapshot])
        return (report, other.repository)
    }

    /// A root may name a segment several times, and each time its extents continue the file. A segment without extents
    /// is refused.
    @Test(arguments: [(record: [2, 1, 3], isWhole: true), (record: [2, 0], isWhole: false)])
    func segmentsThatAreNamedAgain(_ record: [UInt8], _ isWhole: Bool) throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commit(
            hostile.file("a", size: isWhole ? 3001 : 1, [.hole(1)]),
            then: [[UInt8]](repeating: record, count: 100), times: 30)
        let repository = hostile.bench.repository
        #expect(try MemoryBench.check(repository).report.isClean == isWhole)
        let log = RestoreLog()
        let restored = try MemoryBench.restore(repository, snapshot, log).items
        #expect(log.failures.isEmpty == isWhole)
        if isWhole { #expect(restored == [[97]: .file([UInt8](repeating: 0, count: 3001))]) }
        let (report, _) = try copy(snapshot, of: hostile)
        #expect((report.failedFiles == 0) == isWhole)
    }

    /// A file is already longer than its size, and a segment continues it again and again. The reader skips these
    /// segments, but reads the entries after them.
    @Test func extentsBeyondTheEndAreNotRead() throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commit(
            hostile.file("a", size: 150, [.hole(1)]), then: [[UInt8]](repeating: [2, 1, 3], count: 100),
            times: 5000, last: hostile.file("b", size: 50, [.chunk(hostile.chunk)]))
        let repository = hostile.bench.repository
        let reader = try ManifestReader(snapshot, repository: repository, index: try BlobIndex(repository))
        var steps = 0
        var segments: Set<Int> = []
        while try reader.advance() != nil {
            steps += 1
            segments.insert(reader.segmentNumber)
        }
        #expect(steps == 152 && segments == [1, 2, 3, 5002])
        let log = RestoreLog()
        let restored = try MemoryBench.restore(repository, snapshot, log).items
        #expect(restored == [[98]: .file(HostileManifest.chunkBytes)] && log.failures.count == 1)
        #expect(try MemoryBench.check(repository).report.affectedFiles == 1)
        #expect(try copy(snapshot, of: hostile).0.failedFiles == 1)
    }

    /// A stored file has more extents than any file in question, so it cannot be one of these files.
    @Test func contentOfMoreExtentsIsNotSafe() throws {
        let hostile = try HostileManifest()
        let size = 30_000
        _ = try hostile.commitLong([
            hostile.file("s/a", size: UInt64(size), [Extent](repeating: .hole(1), count: size))
        ])
        let random = SeededRandom(seed: 1)
        let tree = FakeTree([.other("s", .directory), .file("s/a", random.bytes(size))])
        func safeFiles() throws -> UInt64 {
            try DeletionCheck(hostile.bench.repository, of: tree, roots: [Array("s".utf8)]) { _ in }.run()
                .safeFiles
        }
        #expect(try safeFiles() == 0)
        try hostile.bench.backup(tree)
        #expect(try safeFiles() == 1)
    }

    /// A file has less content than its size. The missing part is not read as zeros: the file counts as damaged, and
    /// the other files do not.
    @Test func contentThatIsShortIsNotCopied() throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commitLong([
            hostile.file("a", size: (1 << 62) + 1, [.hole(1 << 62)]),
            hostile.file("b", size: 1 << 40, [.chunk(hostile.chunk)]),
            hostile.file("c", size: 1 << 40, []),
            hostile.file("d", size: 1 << 62, [.hole(1 << 61), .hole(1 << 61)]),
            hostile.file("e", size: 50, [.chunk(hostile.chunk)]),
        ])
        let (report, copies) = try copy(snapshot, of: hostile)
        #expect(report.copied == 1 && report.failedFiles == 3)
        let copy = try #require(try copies.snapshots().readable.first)
        var found: [String: FileContent?] = [:]
        let reader = try ManifestReader(copy, repository: copies, index: try BlobIndex(copies))
        while case .entry(let entry)? = try reader.next() {
            found[String(decoding: entry.path, as: UTF8.self)] = entry.content
        }
        #expect(found == ["d": .extents([.hole(1 << 62)]), "e": .inline(HostileManifest.chunkBytes)])
    }

    @Test func aFileOfManySegmentsIsCopied() throws {
        let hostile = try HostileManifest()
        let extents = longExtents(hostile, 60_000)
        let snapshot = try hostile.commitLong([
            file("a", extents, hostile), file("b", [.hole(9), .chunk(hostile.chunk)], hostile),
            file("c", Array(extents.reversed()), hostile),
        ])
        let repository = hostile.bench.repository
        let reader = try ManifestReader(snapshot, repository: repository, index: try BlobIndex(repository))
        try #require(reader.segments.count > 3)
        let expected = try MemoryBench.restore(repository, snapshot).items
        let (report, copies) = try copy(snapshot, of: hostile)
        #expect(report.copied == 1 && report.failedFiles == 0)
        let copy = try #require(try copies.snapshots().readable.first)
        #expect(try MemoryBench.restore(copies, copy).items == expected)
        #expect(expected.count == 3)
    }

    /// A repair writes the rest of a list of files without keeping all extents of a file in memory.
    @Test func filesOfManySegmentsAreRepaired() throws {
        let hostile = try HostileManifest()
        let extents = longExtents(hostile, 60_000)
        let snapshot = try hostile.commitLong([
            file("a", extents, hostile), hostile.file("b", size: 51, [.chunk(hostile.chunk)]),
            file("c", Array(extents.reversed()), hostile), file("d", [.chunk(hostile.chunk)], hostile),
        ])
        let repository = hostile.bench.repository
        let repair = try RepairSnapshots(repository, RepairRequest(host: "h", program: "p")).run()
        #expect(repair.lostFiles == 1 && repair.newSnapshots == 1)
        let repaired = try #require(repository.snapshots().readable.first { $0.tags.contains("repaired") })
        var expected = try MemoryBench.restore(repository, snapshot).items
        expected[Array("b".utf8)] = nil
        #expect(try MemoryBench.restore(repository, repaired).items == expected)
        #expect(expected.count == 3)
        #expect(try MemoryBench.check(repository).report.affectedFiles == 1)
    }

    @Test func filesOfManySegmentsStayInAnArchive() throws {
        let hostile = try HostileManifest()
        let extents = longExtents(hostile, 60_000)
        let snapshot = try hostile.commitLong([
            file("a", extents, hostile), file("b", extents, hostile),
            file("c", Array(extents.reversed()), hostile), file("d", [.chunk(hostile.chunk)], hostile),
        ])
        let repository = hostile.bench.repository
        var request = ArchiveRemovalRequest(
            snapshot: snapshot, paths: [Array("b".utf8)], host: "h", program: "p")
        request.takesPresent = true
        let left = try #require(try ArchiveRemoval(request, from: repository).run().snapshot)
        var expected = try MemoryBench.restore(repository, snapshot).items
        expected[Array("b".utf8)] = nil
        #expect(try MemoryBench.restore(repository, left).items == expected)
        #expect(expected.count == 3)
    }

    /// Holes that follow each other become one hole, even over many records.
    @Test func holesAreGatheredAsOne() throws {
        let hostile = try HostileManifest()
        let holes = [Extent](repeating: .hole(1), count: 30_000)
        let snapshot = try hostile.commitLong([
            file("a", holes + [.chunk(hostile.chunk)] + holes, hostile)
        ])
        let repository = hostile.bench.repository
        let cursor = try ParentCursor(snapshot, repository: repository, index: try BlobIndex(repository))
        let segment = try #require(cursor.entry(at: Array("a".utf8)))
        #expect(
            cursor.whole(segment)?.content
                == .extents([.hole(30_000), .chunk(hostile.chunk), .hole(30_000)]))
    }
}
