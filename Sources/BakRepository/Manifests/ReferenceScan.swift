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

    /// The chunks of each of some segments, which as many threads read as there are scans.
    static func chunks(
        of segments: ArraySlice<ManifestSegmentReference>, _ scans: [ReferenceScan]
    ) throws -> [[ID128]] {
        guard scans.count > 1, segments.count > scans.count else { return try scans[0].chunks(of: segments) }
        let share = (segments.count + scans.count - 1) / scans.count
        let shares = stride(from: segments.startIndex, to: segments.endIndex, by: share).map {
            SharedScan(segments[$0..<min($0 + share, segments.endIndex)])
        }
        let threads = zip(scans, shares).map { scan, shared in
            shared.scan = scan
            return Thread {
                guard let scan = shared.scan else { return }
                shared.result = Result { try scan.chunks(of: shared.segments) }
            }
        }
        for thread in threads { thread.join() }
        return try shares.flatMap { try $0.result?.get() ?? [] }
    }

    private func chunks(of segments: ArraySlice<ManifestSegmentReference>) throws -> [[ID128]] {
        try segments.map { segment in
            var chunks: [ID128] = []
            // A segment that was made for it names one chunk half a million times, and compresses to nothing.
            var limit = Self.manyChunks
            try forEachChunk(of: segment) {
                chunks.append($0.id)
                guard chunks.count >= limit else { return }
                chunks = Array(Set(chunks))
                limit = chunks.count + Self.manyChunks
            }
            return chunks
        }
    }

    /// More chunks than a segment of ours names.
    private static let manyChunks = 1 << 15

    /// Throws `MissingBlobError` unless everything that the manifest refers to may be counted on.
    func expectAll(of root: BlobReference) throws { try expectAll(of: root, where: index.holds) }

    /// The same where everything that the manifest refers to must be as `isThere` says.
    func expectAll(of root: BlobReference, where isThere: (BlobReference) -> Bool) throws {
        guard isThere(root) else { throw MissingBlobError(id: root.id) }
        for segment in try segments(of: root) {
            guard isThere(segment.blob) else { throw MissingBlobError(id: segment.blob.id) }
            var missing: ID128?
            try forEachChunk(of: segment) { reference in
                if missing == nil, !isThere(reference) { missing = reference.id }
            }
            if let missing { throw MissingBlobError(id: missing) }
        }
    }
}

/// One thread's part of several segments. It is used by the thread until that is joined, and then by who joined it.
private final class SharedScan: @unchecked Sendable {
    let segments: ArraySlice<ManifestSegmentReference>
    var scan: ReferenceScan?
    var result: Result<[[ID128]], any Error>?

    init(_ segments: ArraySlice<ManifestSegmentReference>) { self.segments = segments }
}
