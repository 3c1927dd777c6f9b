// ContentKeeper: lets a session commit a snapshot whose content other sessions stored. Some of this content may lie
// only in condemned packs, which a prune plans to delete, so the session must not rely on them. Until a decision names
// such a pack, its content is intact. The keeper reads that content and stores it again, as a backup would.

import BakCore
import BakFormat
import BakStorage

/// Keeps the content that snapshots refer to. Belongs to its session's thread.
public final class ContentKeeper {
    private let repository: Repository
    private let session: BackupSession
    private let segments: SegmentReader
    private let reader: BlobReader
    private let manifests: BlobWriter
    private let chunks: BlobWriter
    private lazy var transfer = BlobTransfer(
        from: repository, index: session.index, to: session, workerCount: 1)
    private var wanted: Set<BlobReference> = []
    private var wantedBytes = 0

    /// The keeper fetches chunks together when this many chunks, or this many bytes, are wanted.
    private static let windowChunks = 1 << 16
    private static let windowBytes = 256 << 20

    /// Prepares to keep content for a session, before its first commit.
    public init(_ session: BackupSession) {
        (self.session, repository) = (session, session.repository)
        segments = SegmentReader(repository, session.index)
        reader = BlobReader(repository)
        manifests = session.makeWriter(.manifestPack, compression: .auto)
        chunks = session.makeWriter(.chunkPack, compression: .auto)
    }

    /// Keeps all content of a manifest that this run did not write, so that the run's commit may refer to the manifest.
    /// Returns false if `stop` ended the work early; the commit must not refer to the manifest then.
    ///
    /// The call looks up everything that the manifest refers to, and costs as much as a backup of the condemned part.
    ///
    /// - Throws: `MissingBlobError` if the index lacks a blob, `CorruptionError` if a blob cannot be read, and
    ///   `StoreError`.
    public func keepAll(of root: BlobReference, stop: StopSignal = .never) throws -> Bool {
        if session.keepsCondemned {
            try session.expectPresent(root)
            return true
        }
        defer { (wanted, wantedBytes) = ([], 0) }
        let index = session.index
        guard index.location(of: root) != nil else { throw MissingBlobError(id: root.id) }
        for segment in try segments.root(root).segments {
            if stop.isRequested { return false }
            try segments.forEachChunk(of: segment) { chunk in
                if !index.isKnown(chunk), wanted.insert(chunk).inserted { wantedBytes += Int(chunk.length) }
            }
            try keep(segment.blob)
            if wanted.count >= Self.windowChunks || wantedBytes >= Self.windowBytes { try fetch() }
        }
        if stop.isRequested { return false }
        try fetch()
        try keep(root)
        return true
    }

    private func keep(_ manifest: BlobReference) throws {
        if session.index.isKnown(manifest) { return }
        let bytes = try reader.copy(of: manifest, kind: .manifestPack, index: session.index)
        _ = try bytes.withUnsafeBytes { try manifests.store($0, isCompressed: false) }
    }

    private func fetch() throws {
        defer { (wanted, wantedBytes) = ([], 0) }
        guard !wanted.isEmpty else { return }
        do {
            try transfer.copy(wanted)
        } catch is CorruptionError {
            // The transfer tries one copy of each chunk. If that copy is damaged, another one may serve.
            for chunk in wanted.sorted(by: { $0.id < $1.id }) where !session.index.isKnown(chunk) {
                let bytes = try reader.copy(of: chunk, kind: .chunkPack, index: session.index)
                _ = try bytes.withUnsafeBytes { try chunks.store($0, isCompressed: false) }
            }
        }
    }
}
