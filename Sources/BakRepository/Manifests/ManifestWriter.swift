// ManifestWriter: turns a sorted stream of records into manifest segments and a root.
//
// A segment ends before an entry whose path hashes to a boundary, once the segment has a minimum size, or
// when it is large. The boundary depends on the path alone, so that snapshots with mostly equal trees share
// segments, whatever was added or removed elsewhere.

import BakCodec
import BakCore
import BakFormat

/// Writes one run's manifest. For one thread.
public final class ManifestWriter {
    private let blobs: BlobWriter
    private var segment = ManifestSegmentEncoder()
    private var segments: [ManifestSegmentReference] = []
    private var lastPath: [UInt8] = []

    /// Boundaries are sought in segments of at least this many bytes,
    private static let minimumBytes = 16 << 10
    /// fall on one path in so many,
    private static let boundaryPeriod: UInt64 = 128
    /// and are forced at this many bytes.
    private static let maximumBytes = 256 << 10
    /// or when the paths have so many bytes together: with what a run adds, less than a reader takes.
    private static let maximumPathBytes = FormatLimits.segmentPathBytes / 2
    /// Runs of at most this many bytes may be appended one after the other: only an entry can begin a segment.
    public static let longestRunBytes = 64 << 10
    /// Their paths have at most so many bytes: half of what is left then.
    public static let longestRunPathBytes = FormatLimits.segmentPathBytes / 4

    /// Starts an empty manifest; `blobs` stores manifest segments.
    public init(_ blobs: BlobWriter) { self.blobs = blobs }

    /// Appends an entry; its path must come after all before it. Extents over the limit of one record go
    /// into continuations. Throws `RepositoryError.outsideLimits` for an entry that no reader would accept.
    public func append(_ entry: ManifestEntry) throws {
        precondition(lastPath.isEmpty || PathOrder.precedes(lastPath, entry.path), "entries must be sorted")
        if let fault = entry.fault(after: lastPath) {
            let path = String(decoding: entry.path, as: UTF8.self)
            throw RepositoryError.outsideLimits(what: "/" + path, reason: fault)
        }
        lastPath = entry.path
        guard case .extents(let extents) = entry.content, extents.count > FormatLimits.extentsPerRecord else {
            return try appendRecord(entry)
        }
        var first = entry
        first.content = .extents(Array(extents.prefix(FormatLimits.extentsPerRecord)))
        try appendRecord(first)
        var rest = extents.dropFirst(FormatLimits.extentsPerRecord)
        while !rest.isEmpty {
            if isFull { try closeSegment() }
            segment.append(
                continuation: Array(rest.prefix(FormatLimits.extentsPerRecord)), path: entry.path)
            rest = rest.dropFirst(FormatLimits.extentsPerRecord)
        }
    }

    /// Appends an entry of one record, and the extents that come after these: each record's as `more` gives them, until
    /// nil. Throws as `append` without further extents does, and what `more` throws.
    public func append(_ entry: ManifestEntry, continuedBy more: () throws -> [Extent]?) throws {
        try append(entry)
        while let extents = try more() {
            if isFull { try closeSegment() }
            segment.append(continuation: extents, path: entry.path)
        }
    }

    /// Appends unchanged entries as they are stored in a parent's segment. They must come after all before them,
    /// and none of their paths may be a boundary.
    public func append(_ run: EntryRun) {
        guard run.count > 0 else { return }
        segment.append(run)
        lastPath = run.lastPath
    }

    /// Whether a segment may end before the entry at `path`.
    public static func isBoundary(_ path: [UInt8]) -> Bool {
        path.withUnsafeBytes(Checksum.xxh3_64) % boundaryPeriod == 0
    }

    private func appendRecord(_ entry: ManifestEntry) throws {
        if isFull || segment.byteCount >= Self.minimumBytes && Self.isBoundary(entry.path) {
            try closeSegment()
        }
        segment.append(entry)
    }

    private var isFull: Bool {
        segment.byteCount >= Self.maximumBytes || segment.pathBytes >= Self.maximumPathBytes
    }

    private func closeSegment() throws {
        segments.append(try store(segment))
        segment = ManifestSegmentEncoder()
    }

    private func store(_ segment: ManifestSegmentEncoder) throws -> ManifestSegmentReference {
        let blob = try segment.finish().withUnsafeBytes { try blobs.store($0, isCompressed: false) }
        return ManifestSegmentReference(
            blob: blob, recordCount: segment.recordCount, firstPath: segment.firstPath ?? [])
    }

    /// Stores the root of what has been appended so far; appending may go on afterwards. Throws
    /// `RepositoryError.manifestTooLarge` if the root is over the format's limits, and as `BlobWriter.store` does.
    public func storeRoot() throws -> BlobReference {
        let open = segment.recordCount > 0 ? [try store(segment)] : []
        let root = ManifestRoot(segments: segments + open)
        let pathBytes = root.segments.reduce(0) { $0 + $1.firstPath.count }
        let bytes = root.encode()
        guard bytes.count <= FormatLimits.blobBytes, pathBytes <= FormatLimits.rootPathBytes,
            root.repeatedBytes <= FormatLimits.repeatedSegmentBytes
        else { throw RepositoryError.manifestTooLarge }
        return try bytes.withUnsafeBytes { try blobs.store($0, isCompressed: false) }
    }
}
