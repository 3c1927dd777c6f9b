// ManifestWriter: turns a sorted stream of records into manifest segments and a root.
//
// A path is a boundary if its hash is a multiple of `boundaryPeriod`. A segment ends before a boundary, unless the
// segment is still too small. Without a boundary, it ends at its maximum size. Whether a path is a boundary depends on
// the path alone. Snapshots with mostly equal trees therefore share segments, even if some entries were added or
// removed.
//
// A run is a sequence of unchanged entries, in the form in which a segment of the parent stores them.

import BakCodec
import BakCore
import BakFormat

/// Writes one manifest. Belongs to one thread.
public final class ManifestWriter {
    private let blobs: BlobWriter
    private var segment = ManifestSegmentEncoder()
    private var segments: [ManifestSegmentReference] = []
    private var lastPath: [UInt8] = []

    /// A segment ends at a boundary only if it has at least this many bytes.
    private static let minimumBytes = 16 << 10
    /// One path in this many is a boundary.
    private static let boundaryPeriod: UInt64 = 128
    /// A segment ends at this size even without a boundary.
    private static let maximumBytes = 256 << 10
    /// A segment ends when its paths have this many bytes in total. Runs may still be added after that. Even then, the
    /// segment stays below the limit of a reader.
    private static let maximumPathBytes = FormatLimits.segmentPathBytes / 2
    /// The most bytes that consecutive runs may have in total. There must be a limit because a segment can end only
    /// before a single entry and not before a run.
    public static let longestRunBytes = 64 << 10
    /// The most bytes that the paths of consecutive runs may have in total: half of what `maximumPathBytes` leaves of a
    /// reader's limit.
    public static let longestRunPathBytes = FormatLimits.segmentPathBytes / 4

    /// Starts an empty manifest. `blobs` stores its segments.
    public init(_ blobs: BlobWriter) { self.blobs = blobs }

    /// Appends an entry, whose path must come after all earlier paths. Extents over the limit of one record go into
    /// continuations, which are further records.
    ///
    /// - Throws: `RepositoryError.outsideLimits` if no reader would accept the entry, and the errors of
    ///   `BlobWriter.store`.
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

    /// Appends an entry whose extents fit into one record, and further extents of the same file. `more` returns the
    /// extents of each continuation, and nil at the end.
    ///
    /// - Throws: the same errors as `append` without `more`, and what `more` throws.
    public func append(_ entry: ManifestEntry, continuedBy more: () throws -> [Extent]?) throws {
        try append(entry)
        while let extents = try more() {
            if isFull { try closeSegment() }
            segment.append(continuation: extents, path: entry.path)
        }
    }

    /// Appends a run. Its entries must come after all earlier entries, and none of their paths may be a boundary.
    public func append(_ run: EntryRun) {
        guard run.count > 0 else { return }
        segment.append(run)
        lastPath = run.lastPath
    }

    /// True if a segment may end before the entry at `path`.
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

    /// Stores the root of all entries appended so far. More entries may be appended afterwards.
    ///
    /// - Throws: `RepositoryError.manifestTooLarge` if the root exceeds the format's limits, and the errors of
    ///   `BlobWriter.store`.
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
