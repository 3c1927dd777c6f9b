// HostileManifest: a repository whose manifest a test writes by hand, whatever it says.

import BakCore
import BakFormat
import BakRepository
import BakStorage

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

    /// Commits a snapshot of these entries in one segment, each in one record.
    func commit(_ entries: [ManifestEntry]) throws -> CommitRecord {
        var segment = ManifestSegmentEncoder()
        for entry in entries { segment.append(.entry(entry), path: entry.path) }
        let blob = try segment.finish().withUnsafeBytes { try manifest.store($0, isCompressed: false) }
        let root = ManifestRoot(segments: [
            ManifestSegmentReference(
                blob: blob, recordCount: segment.recordCount, firstPath: segment.firstPath ?? [])
        ])
        return try commit(try root.encode().withUnsafeBytes { try manifest.store($0, isCompressed: false) })
    }

    /// Commits a snapshot of these entries, whose extents may fill many records.
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
