// DeletionCheck: whether files could be deleted where they are, because a backup has them. Each is read and cut as a
// backup would; its content is looked for in the complete snapshots, whatever its path there; and every chunk of it is
// read back from the store and verified.
//
// Always holds: a file is called safe only after all of its content has come back from the store. Nothing is stored,
// and nothing is ever deleted. Memory grows with the number of files that are asked about.

import BakChunking
import BakCore
import BakFormat
import BakRepository
import BakStorage

/// What a check for deletion tells while it runs, from its thread.
public enum DeletionEvent: Sendable {
    /// The file's content is in this complete snapshot and has been read back.
    case safe(path: [UInt8], snapshot: ID128)
    /// It must be kept.
    case unsafe(path: [UInt8], reason: String)
}

/// What a check for deletion found.
public struct DeletionReport: Sendable {
    /// Files that are safe, and their bytes.
    public var safeFiles: UInt64 = 0
    public var safeBytes: UInt64 = 0
    /// Files that must be kept, and what could not be looked at.
    public var unsafeFiles: UInt64 = 0
    /// Links and special files, which have no content.
    public var otherItems: UInt64 = 0
    /// What has been read of the files, and read back from the store, in bytes.
    public var readBytes: UInt64 = 0
    /// Whether the user ended it before its end: what was not called safe is not.
    public var wasInterrupted = false
}

/// Checks files against one repository. For one thread.
public final class DeletionCheck {
    private struct File {
        var path: [UInt8]
        var byteCount: UInt64
    }

    /// A file of a snapshot, as far as its records have been read.
    private struct Candidate {
        var inline: [UInt8]?
        var extents: [Extent] = []
        var byteCount: UInt64

        init(_ content: FileContent, byteCount: UInt64) {
            self.byteCount = byteCount
            switch content {
            case .inline(let bytes): inline = bytes
            case .extents(let extents): self.extents = extents
            }
        }

        var content: FileContent { inline.map { .inline($0) } ?? .extents(extents) }
    }

    private let repository: Repository
    private let tree: any SourceTree
    private let roots: [[UInt8]]
    private let onEvent: (DeletionEvent) -> Void
    private let onRead: @Sendable (_ count: UInt64) -> Void
    private let isCancelled: @Sendable () -> Bool
    private var report = DeletionReport()
    /// The files that have not been found, by their content.
    private var pending: [FileContent: [File]] = [:]
    private var pendingSizes: Set<UInt64> = []
    /// Why content that a snapshot has is not safe.
    private var faults: [FileContent: String] = [:]
    private var verified: Set<BlobReference> = []

    /// Prepares a check of what lies at `roots` of `tree`.
    ///
    /// - Parameters:
    ///   - onEvent: told of each file.
    ///   - onRead: told how many bytes have been read, of files or of the store.
    ///   - isCancelled: polled; when it turns true the check ends.
    public init(
        _ repository: Repository, of tree: any SourceTree, roots: [[UInt8]],
        onEvent: @escaping (DeletionEvent) -> Void,
        onRead: @escaping @Sendable (_ count: UInt64) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.repository = repository
        self.tree = tree
        self.roots = roots
        self.onEvent = onEvent
        self.onRead = onRead
        self.isCancelled = isCancelled
    }

    /// Checks. Throws failures of the repository; what concerns one file is an event.
    public func run() throws -> DeletionReport {
        // Nothing of a dry run reaches the store; its index leaves out what a prune is about to remove.
        let session = try BackupSession(repository, host: "", program: "", isDryRun: true)
        try readFiles(session)
        let snapshots = try repository.snapshots().readable.filter(\.isComplete)
        let reader = BlobReader(repository)
        for snapshot in snapshots.reversed() where !pending.isEmpty && !isCancelled() {
            try look(into: snapshot, session.index, reader)
        }
        report.wasInterrupted = isCancelled()
        if report.wasInterrupted { return report }
        let rest = pending.flatMap { content, files in files.map { (path: $0.path, fault: faults[content]) } }
        for (path, fault) in rest.sorted(by: { PathOrder.precedes($0.path, $1.path) }) {
            keep(path, fault ?? "no complete snapshot has its content")
        }
        return report
    }

    private func keep(_ path: [UInt8], _ reason: String) {
        report.unsafeFiles += 1
        onEvent(.unsafe(path: path, reason: reason))
    }

    /// Reads every file and notes what it is made of.
    private func readFiles(_ session: BackupSession) throws {
        let (isCancelled, onRead) = (isCancelled, onRead)
        let ingester = FileIngester(
            tree: tree, writer: session.makeWriter(.chunkPack, compression: .off),
            chunkers: try ChunkerSet(repository.config), inlineBytes: repository.config.inlineBytes,
            settling: Settling(time: repository.time, granularity: tree.timestampGranularityNanoseconds),
            shouldStop: isCancelled, onRead: { onRead(UInt64($0)) })
        try tree.walk { event in
            if isCancelled() { return .stop }
            switch event.seen {
            case .failure(let path, let error): keep(path, error.description)
            case .entry(let path, let stat):
                // The folders above what was asked about are none of it.
                guard roots.contains(where: { PathOrder.isAtOrBeneath(path, $0) }) else { break }
                if stat.type == .regular {
                    note(try ingester.ingest(path), path)
                } else if stat.type != .directory {
                    report.otherItems += 1
                }
            case .unseen: preconditionFailure("it has been looked at")
            }
            return .proceed
        }
    }

    private func note(_ result: IngestResult, _ path: [UInt8]) {
        switch result {
        case .dropped: break
        case .failed(let error): keep(path, error.description)
        case .stored(let entry, let readBytes, _):
            report.readBytes += readBytes
            guard !entry.changedWhileRead, let content = entry.content else {
                return keep(path, "it changed while it was read")
            }
            pending[content, default: []].append(File(path: path, byteCount: entry.stat.size))
            pendingSizes.insert(entry.stat.size)
        }
    }

    /// Looks for the pending files in a snapshot. What cannot be read of its manifest proves nothing.
    private func look(into snapshot: CommitRecord, _ index: BlobIndex, _ reader: BlobReader) throws {
        guard
            let manifest = try passingDamage({
                try ManifestReader(snapshot, repository: repository, index: index)
            })
        else { return }
        var candidate: Candidate?
        while !isCancelled() {
            guard let next = try passingDamage({ try manifest.next() }) else {
                // The rest of a damaged segment is missing, and so may be a part of the file.
                _ = manifest.skipSegment()
                candidate = nil
                continue
            }
            switch next {
            case .continuation(let more)?: candidate?.extents.append(contentsOf: more)
            case .entry(let entry)?:
                try settle(candidate, in: snapshot, index, reader)
                candidate = nil
                if entry.stat.type == .regular, pendingSizes.contains(entry.stat.size),
                    let content = entry.content
                {
                    candidate = Candidate(content, byteCount: entry.stat.size)
                }
            case nil: return try settle(candidate, in: snapshot, index, reader)
            }
        }
    }

    /// Calls the files safe that have a candidate's content, once it has been read back.
    private func settle(
        _ candidate: Candidate?, in snapshot: CommitRecord, _ index: BlobIndex, _ reader: BlobReader
    ) throws {
        guard let candidate, let files = pending[candidate.content], files[0].byteCount == candidate.byteCount
        else { return }
        if let fault = try readBack(candidate.extents, index, reader) {
            faults[candidate.content] =
                "what is stored of it in snapshot \(snapshot.id.short) is damaged: \(fault)"
            return
        }
        pending[candidate.content] = nil
        for file in files {
            report.safeFiles += 1
            report.safeBytes &+= file.byteCount
            onEvent(.safe(path: file.path, snapshot: snapshot.id))
        }
    }

    /// What `body` gives; nil when it meets damage.
    private func passingDamage<Value>(_ body: () throws -> Value) throws -> Value? {
        do {
            return try body()
        } catch let error where error is CorruptionError || error is MissingBlobError {
            return nil
        }
    }

    /// Reads every chunk of a file from the store; returns what is wrong with it.
    private func readBack(_ extents: [Extent], _ index: BlobIndex, _ reader: BlobReader) throws -> String? {
        for case .chunk(let reference) in extents where !verified.contains(reference) {
            do {
                let bytes = try reader.read(reference, kind: .chunkPack, index: index)
                report.readBytes += UInt64(bytes.count)
                onRead(UInt64(bytes.count))
                verified.insert(reference)
            } catch let error where error is CorruptionError || error is MissingBlobError {
                return "\(error)"
            }
        }
        return nil
    }
}
