// HostileManifest: a repository whose manifest a test writes by hand, valid or not.

import BakCore
import BakFormat
import BakRepository
import BakStorage
import TestBench

struct HostileManifest {
    let bench: MemoryBench
    private let session: BackupSession
    private let chunks: BlobWriter
    private let manifest: BlobWriter
    /// A stored chunk of 50 bytes.
    let chunk: BlobReference

    static let chunkBytes = [UInt8](repeating: 9, count: 50)

    init() throws {
        bench = try MemoryBench()
        session = try BackupSession(bench.repository, host: "h", program: "p")
        chunks = session.makeWriter(.chunkPack, compression: .auto)
        manifest = session.makeWriter(.manifestPack, compression: .auto)
        chunk = try Self.chunkBytes.withUnsafeBytes { [chunks] in try chunks.store($0, isCompressed: false) }
    }

    func file(_ path: String, size: UInt64, _ extents: [Extent]) -> ManifestEntry {
        entry(path, .regular) {
            $0.stat.size = size
            $0.content = .extents(extents)
        }
    }

    func entry(_ path: String, _ type: FileType, _ change: (inout ManifestEntry) -> Void = { _ in })
        -> ManifestEntry
    {
        var stat = FileStat(type: type)
        stat.mode = 0o755
        var entry = ManifestEntry(
            path: Array(path.utf8), stat: stat, attributes: FileAttributes(),
            content: type == .regular ? .inline([]) : nil)
        change(&entry)
        return entry
    }

    /// Commits a snapshot with a segment for each entry, so that damage costs only one entry.
    ///
    /// - Parameter firstPaths: the first paths of the segments according to the root; nil for the true ones.
    func commit(_ entries: [ManifestEntry], firstPaths: [String]? = nil) throws -> CommitRecord {
        let segments = try entries.enumerated().map { place, entry in
            var segment = ManifestSegmentEncoder()
            segment.append(entry)
            let blob = try segment.finish().withUnsafeBytes { try manifest.store($0, isCompressed: false) }
            return ManifestSegmentReference(
                blob: blob, recordCount: segment.recordCount,
                firstPath: firstPaths.map { Array($0[place].utf8) } ?? entry.path)
        }
        let root = ManifestRoot(segments: segments).encode()
        return try commit(try root.withUnsafeBytes { try manifest.store($0, isCompressed: false) })
    }

    /// Commits a snapshot with the given segments. `cut` is the number of bytes missing at a segment's end.
    func commit(segments: [(entries: [ManifestEntry], cut: Int)]) throws -> CommitRecord {
        let segments = try segments.map { entries, cut in
            var segment = ManifestSegmentEncoder()
            for entry in entries { segment.append(entry) }
            let bytes = segment.finish().dropLast(cut)
            let blob = try bytes.withUnsafeBytes { try manifest.store($0, isCompressed: false) }
            return ManifestSegmentReference(
                blob: blob, recordCount: segment.recordCount, firstPath: entries[0].path)
        }
        let root = ManifestRoot(segments: segments).encode()
        return try commit(try root.withUnsafeBytes { try manifest.store($0, isCompressed: false) })
    }

    /// Commits a snapshot with an entry, a segment of raw records that the root names `times` times, and perhaps a last
    /// entry.
    func commit(
        _ entry: ManifestEntry, then records: [[UInt8]], times: Int, last: ManifestEntry? = nil
    ) throws -> CommitRecord {
        var first = ManifestSegmentEncoder()
        first.append(entry)
        var more = ByteWriter()
        more.byte(1)
        more.varint(records.count)
        for record in records { more.raw(record) }
        let name = { [manifest] (bytes: [UInt8], count: Int, path: [UInt8]) in
            ManifestSegmentReference(
                blob: try bytes.withUnsafeBytes { try manifest.store($0, isCompressed: false) },
                recordCount: count, firstPath: path)
        }
        var segments = [try name(first.finish(), 1, entry.path)]
        segments += repeatElement(try name(more.bytes, records.count, entry.path), count: times)
        if let last {
            var segment = ManifestSegmentEncoder()
            segment.append(last)
            segments.append(try name(segment.finish(), 1, last.path))
        }
        let root = ManifestRoot(segments: segments).encode()
        return try commit(try root.withUnsafeBytes { try manifest.store($0, isCompressed: false) })
    }

    /// Commits a snapshot with entries whose extents may fill many records.
    func commitLong(_ entries: [ManifestEntry]) throws -> CommitRecord {
        let writer = ManifestWriter(manifest)
        for entry in entries { try writer.append(entry) }
        return try commit(try writer.storeRoot())
    }

    private func commit(_ root: BlobReference) throws -> CommitRecord {
        try session.commit(continuing: false) { id, hasIndex in
            CommitRecord(
                id: id, time: Timestamp(seconds: 1), endTime: Timestamp(seconds: 1), host: "h", device: "d",
                user: "u", program: "p", paths: [], tags: [], parent: nil, isComplete: true,
                hasIndex: hasIndex, root: root, counters: SnapshotCounters())
        }
    }
}
