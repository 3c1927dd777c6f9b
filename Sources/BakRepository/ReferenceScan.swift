// ReferenceScan: every blob that a manifest refers to: its segments, and the chunks of its files.

import BakCodec
import BakCore
import BakFormat

/// Reads manifests for what they refer to. For one thread.
final class ReferenceScan {
    private let index: BlobIndex
    private let reader: BlobReader

    init(_ repository: Repository, _ index: BlobIndex) {
        self.index = index
        reader = BlobReader(repository)
    }

    /// The segments of a manifest, in order.
    func segments(of root: BlobReference) throws -> [ManifestSegmentReference] {
        let bytes = try reader.read(root, kind: .manifestPack, index: index)
        return try ManifestRoot(decoding: bytes, object: "manifest root \(root.id)").segments
    }

    /// Hands every chunk that a segment refers to to `body`; one that several files have comes several times.
    func forEachChunk(of segment: ManifestSegmentReference, _ body: (BlobReference) -> Void) throws {
        let bytes = try reader.read(segment.blob, kind: .manifestPack, index: index)
        let object = "manifest segment \(segment.blob.id)"
        let decoder = try ManifestSegmentDecoder(bytes, object: object)
        guard decoder.recordsLeft == segment.recordCount else {
            throw CorruptionError(
                object: object, offset: 0,
                reason: "it has \(decoder.recordsLeft) records, the root says \(segment.recordCount)")
        }
        while try decoder.advance() != nil {
            _ = try decoder.allExtents { extent in
                if case .chunk(let reference) = extent { body(reference) }
                return true
            }
        }
    }

    /// Throws `MissingBlobError` unless everything that the manifest refers to may be counted on.
    func expectAll(of root: BlobReference) throws {
        guard index.holds(root) else { throw MissingBlobError(id: root.id) }
        for segment in try segments(of: root) {
            guard index.holds(segment.blob) else { throw MissingBlobError(id: segment.blob.id) }
            var missing: ID128?
            try forEachChunk(of: segment) { reference in
                if missing == nil, !index.holds(reference) { missing = reference.id }
            }
            if let missing { throw MissingBlobError(id: missing) }
        }
    }
}
