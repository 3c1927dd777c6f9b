// ManifestReader: the records of a snapshot as a stream, from any path on. One segment's
// bytes are in memory and one record at a time is decoded: paths are front-coded, so that a hostile segment's
// records could take thousands of times its size.

import BakCodec
import BakCore
import BakFormat

/// Reads a snapshot's manifest. For one thread.
public final class ManifestReader {
    private let index: BlobIndex
    private let blobs: BlobReader
    private let root: ManifestRoot
    private var nextSegment: Int
    private var segmentName = ""
    /// Borrows the bytes that `blobs` returned last.
    private var decoder: ManifestSegmentDecoder?
    /// The path that the root says the next record has, at the start of a segment.
    private var promisedPath: [UInt8]?
    private var lastEntry: ManifestEntry?
    /// The content of the last entry so far, in bytes.
    private var contentBytes: UInt64 = 0

    /// Opens the manifest of a snapshot at its first record, or at the segment that holds the first record
    /// at or after `path`.
    ///
    /// Throws `MissingBlobError`, `CorruptionError` or `StoreError`.
    public init(_ snapshot: CommitRecord, repository: Repository, index: BlobIndex, from path: [UInt8] = [])
        throws
    {
        self.index = index
        blobs = BlobReader(repository)
        let bytes = try blobs.read(snapshot.root, kind: .manifestPack, index: index)
        root = try ManifestRoot(decoding: bytes, object: "manifest root \(snapshot.root.id)")
        // Start at the segment before the first one whose first path is not before `path`: a file's extents
        // may go over a boundary, and `path` may lie within the segment before.
        let after =
            root.segments.firstIndex { !PathOrder.precedes($0.firstPath, path) } ?? root.segments.count
        nextSegment = max(0, after - 1)
        startsWithinFile = nextSegment > 0
    }

    /// Whether the first segment read may begin with extents of a file whose entry was skipped.
    private var startsWithinFile: Bool

    /// The segments of the manifest, in order.
    public var segments: [ManifestSegmentReference] { root.segments }

    /// The next record; nil after the last. Paths increase strictly over the whole stream.
    public func next() throws -> ManifestRecord? {
        while true {
            if let record = try decoder?.next() {
                if let record = try checked(record) { return record }
                continue
            }
            guard nextSegment < root.segments.count else { return nil }
            nextSegment += 1
            try loadSegment(root.segments[nextSegment - 1])
        }
    }

    /// After `next` threw what damage throws: leaves out the rest of that segment, so that `next` goes on
    /// with the one after it. Returns the path at which that segment begins.
    public func skipSegment() -> [UInt8] {
        decoder = nil
        promisedPath = nil
        lastEntry = nil
        startsWithinFile = true
        return root.segments[nextSegment - 1].firstPath
    }

    /// Checks a record against the one before it; nil for leading extents of a file that was skipped.
    private func checked(_ record: ManifestRecord) throws(CorruptionError) -> ManifestRecord? {
        defer { promisedPath = nil }
        switch record {
        case .entry(let entry):
            guard promisedPath == nil || promisedPath == entry.path else {
                throw damage("it does not begin at the path that the root says")
            }
            if let lastEntry, !PathOrder.precedes(lastEntry.path, entry.path) {
                throw damage("its paths do not follow those of the segment before")
            }
            lastEntry = entry
            contentBytes = 0
            if case .extents(let extents) = entry.content { try count(extents) }
        case .continuation(let extents):
            guard let lastEntry else {
                guard startsWithinFile else { throw damage("it begins with extents of no file") }
                return nil
            }
            guard lastEntry.stat.type == .regular, case .extents = lastEntry.content else {
                throw damage("extents after an entry that has none")
            }
            guard promisedPath == nil || promisedPath == lastEntry.path else {
                throw damage("it does not begin at the path that the root says")
            }
            try count(extents)
        }
        return record
    }

    /// Adds up a file's extents, each run of which was found to be under 2^63 bytes.
    private func count(_ extents: [Extent]) throws(CorruptionError) {
        contentBytes += extents.reduce(0) { $0 + $1.length }
        guard let lastEntry, contentBytes <= lastEntry.stat.size else {
            throw damage("a file's extents are longer than the file")
        }
    }

    private func damage(_ reason: String) -> CorruptionError {
        CorruptionError(object: segmentName, offset: 0, reason: reason)
    }

    private func loadSegment(_ reference: ManifestSegmentReference) throws {
        decoder = nil
        let bytes = try blobs.read(reference.blob, kind: .manifestPack, index: index)
        segmentName = "manifest segment \(reference.blob.id)"
        let decoder = try ManifestSegmentDecoder(bytes, object: segmentName)
        guard decoder.recordsLeft == reference.recordCount else {
            throw damage("it has \(decoder.recordsLeft) records, the root says \(reference.recordCount)")
        }
        self.decoder = decoder
        promisedPath = reference.firstPath
    }
}
