// LaterExtents: the extents that files have beyond their own records, read a second time. Whether to keep a file is
// known only after all its extents have been read once, and they may not all fit into memory.

import BakCore
import BakFormat

/// The further extents of files of one snapshot, asked for in the order of their paths. Belongs to one thread.
public final class LaterExtents {
    private let open: () throws -> ManifestReader
    private lazy var reader = Result { try open() }

    /// Prepares to read a snapshot's manifest, which is opened at the first use.
    public init(of snapshot: CommitRecord, _ repository: Repository, _ index: BlobIndex) {
        open = { try ManifestReader(snapshot, repository: repository, index: index) }
    }

    /// Appends an entry that has been read to a manifest, with the extents that it has beyond its own record.
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
        // Reading the extents of the file before has already moved to the entry after it.
        while reader.segment?.hasEntry != true || reader.segment?.path != path {
            let kind: ManifestSegmentDecoder.RecordKind?
            do {
                kind = try reader.advance()
            } catch  where error is CorruptionError || error is MissingBlobError {
                // The first reading skipped this segment too, so the file is not in it.
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
