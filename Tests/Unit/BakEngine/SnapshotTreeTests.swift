// How often a snapshot that is copied as files has its lists of files decoded.

import BakCore
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@testable import BakEngine

@Suite struct SnapshotTreeTests {
    /// Asks for every entry that a walk meets.
    private func decodings(of snapshot: CommitRecord, _ repository: Repository) throws -> (Int, found: Int) {
        let tree = try SnapshotTree(snapshot, repository: repository, index: try BlobIndex(repository))
        var found = 0
        try tree.walk { event in
            guard case .entry(let path, let stat) = event else { return .proceed }
            if (try? tree.attributes(path, stat)) != nil { found += 1 }
            return .proceed
        }
        return (tree.decodings, found)
    }

    private func folders(_ name: String, _ count: Int, _ hostile: HostileManifest) -> [ManifestEntry] {
        (0..<count).map { hostile.entry("\(name)\(100_000 + $0)", .directory) }
    }

    /// A segment whose end is damaged is not decoded for each entry before that.
    @Test func aDamagedSegmentIsDecodedOnce() throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commit(segments: [
            (folders("a", 300, hostile), cut: 0), (folders("b", 300, hostile), cut: 1),
            (folders("c", 300, hostile), cut: 0),
        ])
        let (decodings, found) = try decodings(of: snapshot, hostile.bench.repository)
        #expect(decodings == 3 && found == 600)
    }

    /// It costs the copy what is in it, and nothing else.
    @Test func aDamagedSegmentCostsItsEntries() throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commit(segments: [
            (folders("a", 3, hostile), cut: 0), (folders("b", 3, hostile), cut: 1),
            (folders("c", 3, hostile), cut: 0),
        ])
        let destination = try Repository.create(
            in: MemoryStore(), options: MemoryBench.options, cache: MemoryCache(),
            time: hostile.bench.repository.time, random: hostile.bench.repository.random)
        let report = try SnapshotCopy(
            CopyRequest(host: "h", program: "p"), from: hostile.bench.repository, to: destination
        ).run([snapshot])
        #expect(report.copied == 1 && report.failedFiles == 3)
        let copy = try #require(try destination.snapshots().readable.first)
        let target = try MemoryBench.restore(destination, copy)
        #expect(target.items.keys.filter { $0.first != UInt8(ascii: "b") }.count == 6)
    }

    /// Of two segments of which only one fits into memory, both are not decoded for each entry of the first.
    @Test func largeNeighboursAreDecodedOnce() throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commit(segments: [
            (folders("a", 60_000, hostile), cut: 0), (folders("b", 60_000, hostile), cut: 0),
        ])
        let (decodings, found) = try decodings(of: snapshot, hostile.bench.repository)
        #expect(decodings == 2 && found == 120_000)
    }
}
