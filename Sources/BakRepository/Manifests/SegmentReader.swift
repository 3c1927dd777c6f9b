// SegmentReader: reads roots and segments of manifests, and finds the blobs that they refer to.

import BakCodec
import BakCore
import BakFormat

/// Reads parts of manifests. Belongs to one thread.
public final class SegmentReader {
    private let repository: Repository
    private let index: BlobIndex
    private lazy var reader = BlobReader(repository)
    /// The cache for blobs. `last` is the blob that `bytes` last took from it: the reader holds this blob, so that the
    /// returned bytes stay valid.
    private let cache: BlobCache?
    private var last: DecodedBlob?

    /// Makes a reader.
    ///
    /// - Parameter cache: the cache for blobs that other readers also use; nil if each blob is read once.
    public init(_ repository: Repository, _ index: BlobIndex, cache: BlobCache? = nil) {
        (self.repository, self.index, self.cache) = (repository, index, cache)
    }

    /// Returns a blob of a manifest. The bytes are valid until the next call, and only while the reader exists.
    ///
    /// - Throws: `MissingBlobError`, `CorruptionError` or `StoreError`.
    public func bytes(_ blob: BlobReference) throws -> UnsafeRawBufferPointer {
        guard let cache else { return try reader.read(blob, kind: .manifestPack, index: index) }
        let found = try cache.blob(blob, kind: .manifestPack)
        last = found
        return found.bytes
    }

    /// Returns the root of a manifest.
    ///
    /// - Throws: the same errors as `bytes`.
    public func root(_ blob: BlobReference) throws -> ManifestRoot {
        defer { last = nil }
        return try ManifestRoot(decoding: bytes(blob), object: "manifest root \(blob.id)")
    }

    /// Returns a decoder that stands before a segment's first record. The decoder borrows the bytes that `bytes`
    /// returns, so it is valid just as long as they are.
    ///
    /// - Throws: the same errors as `bytes`.
    public func decoder(_ blob: BlobReference) throws -> ManifestSegmentDecoder {
        try ManifestSegmentDecoder(bytes(blob), object: Self.name(blob))
    }

    /// Returns a decoder of a segment, after checking that the segment has as many records as its root says.
    ///
    /// - Throws: the same errors as `bytes`, and `CorruptionError` if the number of records is different.
    public func decoder(_ segment: ManifestSegmentReference) throws -> ManifestSegmentDecoder {
        let decoder = try decoder(segment.blob)
        guard decoder.recordsLeft == segment.recordCount else {
            throw CorruptionError(
                object: Self.name(segment.blob), offset: 0,
                reason: "it has \(decoder.recordsLeft) records, the root says \(segment.recordCount)")
        }
        return decoder
    }

    /// Returns a segment's name for errors.
    public static func name(_ segment: BlobReference) -> String { "manifest segment \(segment.id)" }

    // MARK: References

    /// Passes every chunk that a segment names to `body`. A chunk of several files is passed several times.
    func forEachChunk(of segment: ManifestSegmentReference, _ body: (BlobReference) -> Void) throws {
        try Self.forEachChunk(of: decoder(segment), body)
    }

    /// Passes every chunk of a decoder's remaining records to `body`.
    ///
    /// - Throws: `CorruptionError` if a record is damaged.
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

    /// Returns the chunks of each of these segments. If there are more segments than readers, each reader works on a
    /// thread of its own.
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
            // A hostile segment may name one chunk half a million times, and still compress to almost nothing. So drop
            // duplicates when there are many.
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

    /// No segment that this program has written names this many chunks.
    private static let manyChunks = 1 << 15

    /// Throws `MissingBlobError` unless a session may rely on everything that the manifest refers to.
    func expectAll(of root: BlobReference) throws { try expectAll(of: root, where: index.holds) }

    /// Throws `MissingBlobError` unless `isThere` returns true for everything that the manifest refers to.
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

/// One thread's share of several segments. The thread uses this object until it is joined. After that, only the thread
/// that joined it uses the object.
private final class SharedScan: @unchecked Sendable {
    let segments: ArraySlice<ManifestSegmentReference>
    var reader: SegmentReader?
    var result: Result<[[ID128]], any Error>?

    init(_ segments: ArraySlice<ManifestSegmentReference>) { self.segments = segments }
}
