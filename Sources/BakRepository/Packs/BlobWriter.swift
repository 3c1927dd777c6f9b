// BlobWriter: computes the ids of content, and stores content that the repository does not have in an open pack.
// Payload bytes never cross threads: the thread that has them compresses them into the pack.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Stores blobs of one kind. May be used from any thread. Threads that share a writer compute ids in parallel and take
/// turns at storing.
public final class BlobWriter: @unchecked Sendable {
    /// The totals of a writer.
    public struct Added: Equatable, Sendable {
        /// The number of new blobs.
        public var blobs = 0
        /// The new blobs' bytes before compression.
        public var bytes = 0
        /// The new blobs' bytes as stored, with blob headers.
        public var storedBytes = 0

        mutating func add(_ other: Added) {
            blobs += other.blobs
            bytes += other.bytes
            storedBytes += other.storedBytes
        }
    }

    private let repository: Repository
    private let index: BlobIndex
    /// Takes the finished packs; nil if the writer only counts and stores nothing.
    private let sealed: SealedPacks?
    private let hasher: ContentHasher
    private let compressor: Compressor
    private let builder: PackBuilder
    private let total: AddedTotal
    private let monitor = Monitor()

    init(
        kind: ObjectKind, compression: CompressionMode, _ repository: Repository, _ index: BlobIndex,
        _ sealed: SealedPacks?, _ total: AddedTotal
    ) {
        self.repository = repository
        self.index = index
        self.sealed = sealed
        self.total = total
        hasher = repository.hasher(for: kind)
        compressor = Compressor(compression)
        builder = PackBuilder(
            kind: kind, targetBytes: repository.config.packBytes,
            sealer: repository.context.sealer)
        builder.reset(id: ID128(from: repository.random))
    }

    /// Computes the id of `content`, and stores it unless the blob is known.
    ///
    /// - Parameters:
    ///   - content: 1 to `FormatLimits.blobBytes` bytes.
    ///   - isCompressed: true if the content's container is known to be compressed.
    /// - Returns: the blob's reference. The blob is durable only after the next commit.
    /// - Throws: `CorruptionError` if a blob of this id has another length, and `StoreError` if a full pack cannot be
    ///   stored.
    public func store(_ content: UnsafeRawBufferPointer, isCompressed: Bool) throws -> BlobReference {
        precondition(!content.isEmpty && content.count <= FormatLimits.blobBytes)
        let reference = BlobReference(id: hasher.id(of: content), length: UInt32(content.count))
        try store(reference) { compressor.compress(content, isCompressedContent: isCompressed) }
        return reference
    }

    /// Stores a blob if the index does not know it, and returns true if so. Calls `compress` only in that case. Stores
    /// the bytes that `compress` returns without a check, so the caller must have verified them.
    @discardableResult
    func store(_ reference: BlobReference, _ compress: () -> Compressed) throws -> Bool {
        try monitor.locked {
            guard try index.claim(reference) else { return false }
            // From here on, other threads rely on this thread to store the blob. If it fails to, the session must not
            // commit.
            var isKept = false
            defer { if !isKept { sealed?.fail() } }
            let compressed = compress()
            if builder.isFull(for: compressed.stored.count, of: repository.config.packBytes) {
                try sealOpenPack()
            }
            builder.append(id: reference.id, rawLength: Int(reference.length), compressed: compressed)
            total.add(
                Added(
                    blobs: 1, bytes: Int(reference.length),
                    storedBytes: PackLayout.blobHeaderBytes + compressed.stored.count))
            isKept = true
            return true
        }
    }

    func lock() { monitor.lock() }
    func unlock() { monitor.unlock() }

    /// Hands the open pack to the store and starts the next one. The caller holds the lock.
    func sealOpenPack() throws {
        guard !builder.isEmpty else { return }
        if let sealed {
            let (pack, blobs, bytes) = builder.finish()
            try sealed.stage(SealedPack(pack: pack, blobs: blobs), bytes)
        }
        builder.reset(id: ID128(from: repository.random))
    }
}

/// The totals of all writers of a session. They have a lock of their own: a writer holds its lock while it compresses,
/// and reading the total must not wait for that.
final class AddedTotal: @unchecked Sendable {
    private let monitor = Monitor()
    private var total = BlobWriter.Added()

    var current: BlobWriter.Added { monitor.locked { total } }

    func add(_ more: BlobWriter.Added) { monitor.locked { total.add(more) } }
}
