// A copy reads a snapshot as a source. These tests count how often this decodes the segments of its manifest.

import BakCore
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@testable import BakEngine

@Suite struct SnapshotTreeTests {
    /// Walks the snapshot and asks for the attributes of each entry. Returns the number of decodings and of entries
    /// found.
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

    /// A segment with a damaged end is decoded only once, not again for each of its entries.
    @Test func aDamagedSegmentIsDecodedOnce() throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commit(segments: [
            (folders("a", 300, hostile), cut: 0), (folders("b", 300, hostile), cut: 1),
            (folders("c", 300, hostile), cut: 0),
        ])
        let (decodings, found) = try decodings(of: snapshot, hostile.bench.repository)
        #expect(decodings == 3 && found == 600)
    }

    /// A damaged segment costs the copy only the entries in that segment.
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

    /// Only one of two large segments fits into memory. Both are still decoded only once, not again for each entry of
    /// the first.
    @Test func largeNeighboursAreDecodedOnce() throws {
        let hostile = try HostileManifest()
        let snapshot = try hostile.commit(segments: [
            (folders("a", 60_000, hostile), cut: 0), (folders("b", 60_000, hostile), cut: 0),
        ])
        let (decodings, found) = try decodings(of: snapshot, hostile.bench.repository)
        #expect(decodings == 2 && found == 120_000)
    }
}
