// ContentKeeper: sees to it that a session may count on all of a snapshot that it did not store. What lies only in
// packs that a collection is about to delete is read while it is there and stored anew, as a backup would store it:
// what is condemned is no damage, and it is not gone before a decision says so.

import BakCore
import BakFormat
import BakStorage

/// Keeps what snapshots refer to. For the thread that its session belongs to.
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

    /// Chunks are fetched together when there are so many of them, or so many bytes.
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

    /// Sees to it that a manifest which this run did not write may be referred to by its commit; false if it was told
    /// to stop before the end, and then it may not.
    ///
    /// Throws `MissingBlobError` for what the index does not have, `CorruptionError` for what cannot be read, and
    /// `StoreError`. It costs a look at all that the manifest refers to, and what a backup of the condemned part of it
    /// would cost.
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
            // It takes one copy of each. Where that is damaged another may serve.
            for chunk in wanted.sorted(by: { $0.id < $1.id }) where !session.index.isKnown(chunk) {
                let bytes = try reader.copy(of: chunk, kind: .chunkPack, index: session.index)
                _ = try bytes.withUnsafeBytes { try chunks.store($0, isCompressed: false) }
            }
        }
    }
}
