// LaterExtents: reads a file's later extents a second time. The later extents are those in continuations, after the
// record of the file's entry. A caller must read all extents of a file once before it knows whether to keep the file.
// The caller cannot keep the extents until then, because they may not fit into memory.

import BakCore
import BakFormat

/// The later extents of files of one snapshot. Files must be asked for in the order of their paths. Belongs to one
/// thread.
public final class LaterExtents {
    private let open: () throws -> ManifestReader
    private lazy var reader = Result { try open() }

    /// Prepares to read a snapshot's manifest, which is opened at the first use.
    public init(of snapshot: CommitRecord, _ repository: Repository, _ index: BlobIndex) {
        open = { try ManifestReader(snapshot, repository: repository, index: index) }
    }

    /// Appends an entry of the snapshot to `manifest`, with its later extents. `entry` has the extents of its own
    /// record.
    ///
    /// - Throws: `CorruptionError` if the list of files has changed, and the errors of `ManifestReader` and
    ///   `ManifestWriter`.
    public func append(_ entry: ManifestEntry, to manifest: ManifestWriter) throws {
        let reader = try reader.get()
        try seek(entry.path, in: reader)
        try manifest.append(entry) {
            guard try reader.advance() == .continuation else { return nil }
            return try reader.segment?.extentList()
        }
    }

    private func seek(_ path: [UInt8], in reader: ManifestReader) throws {
        // Reading the later extents of a file also moves the reader to the next entry, which may be the one wanted now.
        while reader.segment?.hasEntry != true || reader.segment?.path != path {
            let kind: ManifestSegmentDecoder.RecordKind?
            do {
                kind = try reader.advance()
            } catch  where error is CorruptionError || error is MissingBlobError {
                // The caller's first reading also skipped this segment, so the file is not in it.
                _ = reader.skipSegment()
                continue
            }
            guard kind != nil else {
                throw CorruptionError(
                    object: "the list of files", offset: 0, reason: "it has changed while it was read")
            }
        }
    }
}
