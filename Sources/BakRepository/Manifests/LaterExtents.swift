// LaterExtents: the extents that files have beyond their own records, read a second time. Whether a file is to be kept
// is known when all of them have been read once, and a file may have more of them than fit into memory.

import BakCore
import BakFormat

/// The further extents of files of one snapshot, which are asked for in the order of their paths. For one thread.
public final class LaterExtents {
    private let open: () throws -> ManifestReader
    private lazy var reader = Result { try open() }

    /// Makes one that opens the manifest when it is asked first.
    public init(of snapshot: CommitRecord, _ repository: Repository, _ index: BlobIndex) {
        open = { try ManifestReader(snapshot, repository: repository, index: index) }
    }

    /// Appends an entry that has been read, with the extents that it has beyond its own record, to a manifest.
    ///
    /// Throws `CorruptionError` when the list of files is not what it was.
    public func append(_ entry: ManifestEntry, to manifest: ManifestWriter) throws {
        let reader = try reader.get()
        try seek(entry.path, in: reader)
        try manifest.append(entry) {
            guard try reader.advance() == .continuation else { return nil }
            return try reader.segment?.extentList()
        }
    }

    private func seek(_ path: [UInt8], in reader: ManifestReader) throws {
        // The extents of the file before have ended with the entry after it.
        while reader.segment?.hasEntry != true || reader.segment?.path != path {
            let kind: ManifestSegmentDecoder.RecordKind?
            do {
                kind = try reader.advance()
            } catch  where error is CorruptionError || error is MissingBlobError {
                // As before: what is asked for was not in there.
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
