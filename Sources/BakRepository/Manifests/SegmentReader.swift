// SegmentReader: roots and segments of manifests from the repository, and the blobs that they refer to.

import BakCodec
import BakCore
import BakFormat

/// Reads parts of manifests. For one thread.
public final class SegmentReader {
    private let repository: Repository
    private let index: BlobIndex
    private lazy var reader = BlobReader(repository)
    /// Where blobs are taken from instead, and the one that was read last.
    private let cache: BlobCache?
    private var last: DecodedBlob?

    /// Makes a reader.
    ///
    /// - Parameter cache: has the blobs that others read as well; nil where each is read once.
    public init(_ repository: Repository, _ index: BlobIndex, cache: BlobCache? = nil) {
        (self.repository, self.index, self.cache) = (repository, index, cache)
    }

    /// A blob of a manifest, valid until the next call and while the reader is held.
    ///
    /// Throws `MissingBlobError`, `CorruptionError` or `StoreError`.
    public func bytes(_ blob: BlobReference) throws -> UnsafeRawBufferPointer {
        guard let cache else { return try reader.read(blob, kind: .manifestPack, index: index) }
        let found = try cache.blob(blob, kind: .manifestPack)
        last = found
        return found.bytes
    }

    /// The root of a manifest.
    ///
    /// Throws as `bytes` does.
    public func root(_ blob: BlobReference) throws -> ManifestRoot {
        defer { last = nil }
        return try ManifestRoot(decoding: bytes(blob), object: "manifest root \(blob.id)")
    }

    /// A decoder before a segment's first record. It borrows the bytes that `bytes` would return.
    ///
    /// Throws as `bytes` does.
    public func decoder(_ blob: BlobReference) throws -> ManifestSegmentDecoder {
        try ManifestSegmentDecoder(bytes(blob), object: Self.name(blob))
    }

    /// The same of a segment that has as many records as its root says. Throws as `bytes` does, and `CorruptionError`
    /// if it has another number.
    public func decoder(_ segment: ManifestSegmentReference) throws -> ManifestSegmentDecoder {
        let decoder = try decoder(segment.blob)
        guard decoder.recordsLeft == segment.recordCount else {
            throw CorruptionError(
                object: Self.name(segment.blob), offset: 0,
                reason: "it has \(decoder.recordsLeft) records, the root says \(segment.recordCount)")
        }
        return decoder
    }

    /// What errors call a segment.
    public static func name(_ segment: BlobReference) -> String { "manifest segment \(segment.id)" }

    // MARK: What they refer to

    /// Hands every chunk that a segment refers to to `body`; one that several files have comes several times.
    func forEachChunk(of segment: ManifestSegmentReference, _ body: (BlobReference) -> Void) throws {
        try Self.forEachChunk(of: decoder(segment), body)
    }

    /// The same for what a decoder has still to come. Throws `CorruptionError` if a record is damaged.
    public static func forEachChunk(
        of decoder: ManifestSegmentDecoder, _ body: (BlobReference) -> Void
    ) throws(CorruptionError) {
        while try decoder.advance() != nil {
            _ = try decoder.allExtents { extent in
                if case .chunk(let reference) = extent { body(reference) }
                return true
            }
        }
    }

    /// The chunks of each of some segments, which as many threads read as there are readers.
    static func chunks(
        of segments: ArraySlice<ManifestSegmentReference>, _ readers: [SegmentReader]
    ) throws -> [[ID128]] {
        guard readers.count > 1, segments.count > readers.count else {
            return try readers[0].chunks(of: segments)
        }
        let share = (segments.count + readers.count - 1) / readers.count
        let shares = stride(from: segments.startIndex, to: segments.endIndex, by: share).map {
            SharedScan(segments[$0..<min($0 + share, segments.endIndex)])
        }
        let threads = zip(readers, shares).map { reader, shared in
            shared.reader = reader
            return Thread {
                guard let reader = shared.reader else { return }
                shared.result = Result { try reader.chunks(of: shared.segments) }
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
        for segment in try self.root(root).segments {
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
    var reader: SegmentReader?
    var result: Result<[[ID128]], any Error>?

    init(_ segments: ArraySlice<ManifestSegmentReference>) { self.segments = segments }
}
