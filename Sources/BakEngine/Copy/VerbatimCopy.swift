// VerbatimCopy: copies snapshots into a repository that gives content the same ids. Manifests are copied as they are.
// Chunks are copied as they are compressed. Chunks that the destination has are not read.
//
// Each snapshot is committed by itself, and a new session then continues the copy. A long copy also commits a part of
// the manifest from time to time, so that an interruption costs only the content copied after the last commit.

import BakCore
import BakFormat
import BakRepository

/// Copies snapshots between two repositories that give content the same ids. For one thread.
final class VerbatimCopy {
    private let request: CopyRequest
    private let source: Repository
    private let sourceIndex: BlobIndex
    private let session: BackupSession
    private let manifests: BlobWriter
    private let transfer: BlobTransfer
    private let reader: SegmentReader
    private let stop: StopSignal
    /// Segments whose chunks are all in the destination or in `wanted`.
    private var scanned: Set<ID128> = []
    private var wanted: Set<BlobReference> = []
    private var wantedBytes = 0
    /// Chunks that a dry run would have copied.
    private var dryRunChunks: Set<BlobReference> = []

    /// Chunks are fetched together once there are this many of them, or this many bytes.
    private static let windowChunks = 1 << 16
    private static let windowBytes = 512 << 20

    init(
        _ request: CopyRequest, from source: Repository, index: BlobIndex, to session: BackupSession,
        onCopied: @escaping @Sendable (Int) -> Void, stop: StopSignal
    ) {
        self.request = request
        self.source = source
        self.session = session
        self.stop = stop
        sourceIndex = index
        reader = SegmentReader(source, index)
        manifests = session.makeWriter(.manifestPack, compression: .auto)
        transfer = BlobTransfer(
            from: source, index: index, to: session, workerCount: request.workerCount, onCopied: onCopied,
            stop: stop)
    }

    /// Bytes that a dry run would have copied, without manifests.
    var dryRunBytes: UInt64 { dryRunChunks.total { UInt64($0.length) } }

    /// Copies a snapshot and commits it; returns nil if the user interrupted it.
    ///
    /// - Throws: `MissingBlobError` or `CorruptionError` if the source no longer has all of it, and `StoreError`.
    func copy(_ snapshot: CommitRecord, parent: ID128?, continuing: Bool) throws -> CommitRecord? {
        let root = try reader.root(snapshot.root)
        for (number, segment) in root.segments.enumerated() {
            if stop.isRequested { break }
            try take(segment.blob)
            guard wanted.count >= Self.windowChunks || wantedBytes >= Self.windowBytes else { continue }
            try fetch()
            if !stop.isRequested, session.isCommitDue(bytes: request.checkpointBytes), !request.isDryRun {
                let part = ManifestRoot(segments: Array(root.segments[...number])).encode()
                _ = try commit(snapshot, parent, try store(part), isComplete: false, continuing: true)
            }
        }
        try fetch()
        // The copied chunks stay, so the next copy need not fetch them again.
        if stop.isRequested { return nil }
        let reference = try store(root.encode())
        guard reference == snapshot.root else {
            throw CorruptionError(
                object: "manifest root \(snapshot.root.id)", offset: 0,
                reason: "it is not encoded as it must be")
        }
        return try commit(
            snapshot, parent, reference, isComplete: snapshot.isComplete, continuing: continuing)
    }

    private func store(_ bytes: [UInt8]) throws -> BlobReference {
        try bytes.withUnsafeBytes { try manifests.store($0, isCompressed: false) }
    }

    /// Copies a segment and notes which of its chunks to fetch.
    private func take(_ reference: BlobReference) throws {
        guard scanned.insert(reference.id).inserted else { return }
        let bytes = try reader.bytes(reference)
        let decoder = try ManifestSegmentDecoder(bytes, object: SegmentReader.name(reference))
        try SegmentReader.forEachChunk(of: decoder, want)
        _ = try manifests.store(bytes, isCompressed: false)
    }

    private func want(_ chunk: BlobReference) {
        guard !session.index.isKnown(chunk), !dryRunChunks.contains(chunk), wanted.insert(chunk).inserted
        else {
            return
        }
        wantedBytes += Int(chunk.length)
    }

    private func fetch() throws {
        if request.isDryRun {
            for chunk in wanted where sourceIndex.location(of: chunk) == nil {
                throw MissingBlobError(id: chunk.id)
            }
            dryRunChunks.formUnion(wanted)
        } else {
            do {
                try transfer.copy(wanted)
            } catch {
                // Segments whose chunks are not all there must be scanned again.
                scanned.removeAll()
                (wanted, wantedBytes) = ([], 0)
                throw error
            }
        }
        (wanted, wantedBytes) = ([], 0)
    }

    private func commit(
        _ snapshot: CommitRecord, _ parent: ID128?, _ root: BlobReference, isComplete: Bool, continuing: Bool
    ) throws -> CommitRecord {
        try session.commit(continuing: continuing) { id, hasIndex in
            var record = snapshot
            (record.id, record.hasIndex, record.root) = (id, hasIndex, root)
            (record.parent, record.original) = (parent, snapshot.originalID)
            record.isComplete = isComplete
            return record
        }
    }
}
