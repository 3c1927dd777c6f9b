// The counts of a library's benchmark, compared with a simple count of the same files.

import BakChunking
import BakCodec
import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

@testable import BakAnalysis

@Suite struct LibraryBenchmarkTests {
    /// Returns an empty repository with the same secret as that of `bench`, for the measurement.
    private static func settings(_ bench: MemoryBench) throws -> Repository {
        try Repository.create(
            in: MemoryStore(), options: Repository.Options(like: bench.repository.config),
            cache: MemoryCache(), time: bench.repository.time, random: bench.repository.random)
    }

    private static func report(
        _ bench: MemoryBench, _ tree: FakeTree, baseline: CommitRecord? = nil,
        slotLimit: Int = LibraryBenchmark.slotLimit
    ) throws -> LibraryReport {
        try LibraryBenchmark(
            settings(bench), of: tree, roots: [Array("s".utf8)],
            baseline: baseline.map { LibraryBaseline($0, in: bench.repository) }, slotLimit: slotLimit
        ).run(workerCount: 2)
    }

    /// Returns a picture with a comment and then the scan `scan`.
    private static func jpeg(_ comment: [UInt8], _ scan: [UInt8]) -> [UInt8] {
        let length = comment.count + 2
        return [0xff, 0xd8, 0xff, 0xfe, UInt8(length >> 8), UInt8(length & 255)] + comment
            + [0xff, 0xda, 0, 3, 1] + scan.filter { $0 != 0xff } + [0xff, 0xd9]
    }

    private static func library(_ seed: UInt64) -> [FakeEntry] {
        let random = SeededRandom(seed: seed)
        let picture = jpeg(random.bytes(400), random.bytes(90_000))
        let film = Array("\0\0\0\u{18}ftypisom0000".utf8) + random.bytes(300_000)
        let text = Array(String(repeating: "the same line again and again\n", count: 3000).utf8)
        return [
            .other("s", .directory), .file("s/a.jpg", picture), .file("s/album", film),
            .file("s/b.jpg", picture), .file("s/empty"), .file("s/film.mp4", film + random.bytes(10_000)),
            .other("s/link", .symlink), .file("s/note", Array("small".utf8)),
            .file("s/note-again", Array("small".utf8)), .other("s/sub", .directory),
            .file("s/sub/a.copy", picture), .file("s/sub/text", text),
        ]
    }

    @Test func countsWhatThereIs() throws {
        let entries = Self.library(1)
        let report = try Self.report(try MemoryBench(), FakeTree(entries))
        let files = entries.filter { $0.stat.type == .regular }
        #expect(report.files == UInt64(files.count) && report.files == 9)
        #expect(report.bytes == files.reduce(0) { $0 + $1.stat.size } && report.readBytes == report.bytes)
        #expect(report.folders == 2 && report.others == 1 && report.failedItems == 0)
        #expect(!report.wasInterrupted && report.changes == nil)
        let rows = Dictionary(uniqueKeysWithValues: report.types.map { ($0.type, $0) })
        #expect(Set(rows.keys) == [.jpeg, .mp4, .text, .empty])
        #expect(rows[.jpeg]?.files == 3 && rows[.mp4]?.files == 2 && rows[.text]?.files == 3)
        #expect(rows[.empty]?.files == 1 && rows[.empty]?.bytes == 0)
        let picture = entries[1].stat.size
        #expect(rows[.jpeg]?.duplicateFiles == 2 && rows[.jpeg]?.duplicateBytes == 2 * picture)
        #expect(rows[.text]?.duplicateFiles == 1 && rows[.text]?.duplicateBytes == 5)
        #expect(report.duplicateFiles == 3 && report.duplicateBytes == 2 * picture + 5)
        #expect(report.types.map(\.bytes) == report.types.map(\.bytes).sorted(by: >))
        let largest = try #require(report.duplicates.first)
        #expect(largest.files == 3 && largest.fileBytes == picture && report.duplicates.count == 2)
        #expect(
            largest.paths.map { String(decoding: $0, as: UTF8.self) } == [
                "s/a.jpg", "s/b.jpg", "s/sub/a.copy",
            ])
        #expect(rows[.text].map { $0.storedBytes * 4 < $0.differentBytes } == true)
    }

    /// Cutting each file separately and as a whole gives the same numbers.
    @Test func chunksAreThoseOfEachScheme() throws {
        let bench = try MemoryBench()
        let entries = Self.library(2)
        let report = try Self.report(bench, FakeTree(entries))
        let config = bench.repository.config
        #expect(report.schemes.map(\.scheme) == CutScheme.all)
        for row in report.schemes {
            let cutter = try SchemeCutter(row.scheme, config)
            var known: Set<[UInt8]> = []
            var (chunks, bytes, different) = (0, 0, 0)
            for entry in entries where entry.content.count > config.inlineBytes {
                entry.content.withUnsafeBytes { content in
                    var cursor = SchemeCursor(cutter)
                    while let chunk = cursor.next(in: content, isLast: true) {
                        chunks += 1
                        bytes += chunk.byteCount
                        let piece = Array(content[cursor.start..<cursor.start + chunk.byteCount])
                        if known.insert(piece).inserted { different += piece.count }
                        cursor.start += chunk.byteCount
                    }
                }
            }
            #expect(row.chunks == UInt64(chunks) && row.bytes == UInt64(bytes), "\(row.scheme)")
            #expect(row.differentChunks == UInt64(known.count), "\(row.scheme)")
            #expect(row.differentBytes == UInt64(different) && !row.isEstimate, "\(row.scheme)")
            #expect(row.storedBytes <= row.differentBytes && row.overheadBytes == UInt64(known.count * 120))
            #expect(row.isCompressionMeasured == (row.scheme == .standard))
        }
    }

    /// The projection equals what a first backup then stores, except at the ends of manifests that two threads write.
    @Test func theProjectionIsWhatABackupStores() throws {
        let bench = try MemoryBench()
        let tree = FakeTree(Self.library(3))
        let report = try Self.report(bench, tree)
        let backup = try bench.backup(tree) { _ in }
        let stats = try StatsRun(bench.repository, try BlobIndex(bench.repository) { _ in }).run(
            [try #require(backup.snapshot)])
        let standard = report.schemes[0]
        let chunks = UInt64(stats.needed.blobs - stats.manifests.blobs)
        #expect(standard.differentChunks == chunks)
        // Inline content is not a chunk.
        let inline = UInt64(2 * "small".utf8.count)
        #expect(standard.differentBytes + inline == UInt64(stats.needed.rawBytes - stats.manifests.rawBytes))
        let stored = UInt64(stats.needed.storedBytes - stats.manifests.storedBytes)
        #expect(standard.storedBytes <= stored && standard.totalBytes >= stored)
        #expect(report.metadataBytes > 0 && report.metadataBytes < UInt64(stats.manifests.storedBytes) * 3)
    }

    @Test func namesBeyondTheBoundAreEstimated() throws {
        let bench = try MemoryBench()
        let tree = FakeTree(Self.library(4))
        let exact = try Self.report(bench, tree)
        let estimate = try Self.report(bench, tree, slotLimit: 512)
        #expect(estimate.schemes[0].isEstimate && !exact.schemes[0].isEstimate)
        #expect(estimate.schemes[0].chunks == exact.schemes[0].chunks)
        #expect(estimate.schemes[0].bytes == exact.schemes[0].bytes)
        let (few, all) = (Double(estimate.schemes[0].differentBytes), Double(exact.schemes[0].differentBytes))
        #expect(abs(few / all - 1) < 0.4, "\(few) of \(all)")
        #expect(!estimate.areDuplicatesEstimated && estimate.duplicateBytes == exact.duplicateBytes)
    }

    @Test func aFileOfSeveralNamesIsReadOnce() throws {
        let random = SeededRandom(seed: 8)
        let content = random.bytes(5000)
        func name(_ path: String, inode: UInt64) -> FakeEntry {
            .file(path, content) { ($0.stat.inode, $0.stat.linkCount) = (inode, 2) }
        }
        let tree = FakeTree([
            .other("s", .directory), name("s/a", inode: 7), name("s/b", inode: 8), name("s/c", inode: 7),
        ])
        let bench = try MemoryBench()
        let benchmark = try LibraryBenchmark(Self.settings(bench), of: tree, roots: [Array("s".utf8)])
        let report = try benchmark.run(workerCount: 2)
        #expect(report.files == 2 && report.furtherNames == 1 && report.readBytes == 10_000)
        // The other inode has the same content, so it counts as a duplicate. The second name of the first inode does
        // not.
        #expect(report.duplicateFiles == 1 && report.duplicateBytes == 5000)
        #expect(tree.opened.withLock { Set($0.map { $0.last }) } == Set("ab".utf8.map { $0 }))
        #expect(benchmark.progress.files == 3 && benchmark.progress.bytes == 15_000)
    }

    @Test func whatCannotBeReadIsNamed() throws {
        var entries = Self.library(5)
        entries[2].fault = "read"
        entries[4].fault = "open"
        entries.append(.file("s/zz") { $0.fault = "stat" })
        let failures = Mutex<[String]>([])
        let bench = try MemoryBench()
        let report = try LibraryBenchmark(
            Self.settings(bench), of: FakeTree(entries), roots: [Array("s".utf8)],
            onEvent: { event in
                if case .failed(let path, _) = event {
                    failures.withLock { $0.append(String(decoding: path, as: UTF8.self)) }
                }
            }
        ).run(workerCount: 2)
        #expect(failures.withLock { $0.sorted() } == ["s/album", "s/empty", "s/zz"])
        #expect(report.failedItems == 3 && report.files == 7)
    }

    @Test func anInterruptionLeavesWhatWasRead() throws {
        let asked = Atomic<Int>(0)
        let bench = try MemoryBench()
        let report = try LibraryBenchmark(
            Self.settings(bench), of: FakeTree(Self.library(6)), roots: [Array("s".utf8)],
            stop: StopSignal { asked.add(1, ordering: .relaxed).newValue > 20 }
        ).run(workerCount: 1)
        #expect(report.wasInterrupted && report.files < 9)
        #expect(report.types.reduce(0) { $0 + $1.bytes } == report.bytes)
    }

    @Test func hintsSpareWhatAnEditDidNotTouch() throws {
        let bench = try MemoryBench()
        let random = SeededRandom(seed: 7)
        let (scan, other) = (random.bytes(200_000), random.bytes(9000))
        let before = FakeTree([
            .other("s", .directory), .file("s/gone", other), .file("s/kept", random.bytes(9000)),
            .file("s/p.jpg", Self.jpeg(Array("one".utf8), scan)),
        ])
        let snapshot = try #require(try bench.backup(before) { _ in }.snapshot)
        let stored = bench.store.contents
        let after = FakeTree([
            .other("s", .directory), before.entries[2], .file("s/new", other),
            .file("s/p.jpg", Self.jpeg(Array("two, longer than before".utf8), scan)) {
                $0.stat.mtime = Timestamp(seconds: 2000)
            },
        ])
        let changes = try #require(try Self.report(bench, after, baseline: snapshot).changes)
        #expect(changes.changedFiles == 1 && changes.changedBytes == after.entries[3].stat.size)
        #expect(changes.newFiles == 1 && changes.newBytes == 9000 && changes.unreadableFiles == 0)
        #expect(changes.rows.map(\.scheme) == CutScheme.forChanges)
        let different = changes.rows.map(\.differentBytes)
        #expect(different[0] > 0 && different[0] < 2000, "\(different)")
        #expect(different[1] > 2 * different[0] && different[2] > different[0], "\(different)")
        #expect(bench.store.contents == stored)
    }
}
