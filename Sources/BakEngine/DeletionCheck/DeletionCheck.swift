// DeletionCheck: decides which files can be deleted from their place because a backup has them. It reads and cuts each
// file as a backup would. It looks for the content in the complete snapshots, under any path. Then it reads every chunk
// back from the store, verifies the chunk and compares it with the file.
//
// Always holds: a file is called safe only if
// - all of its content came back from the store;
// - a snapshot that stays for good has the content;
// - the file has not changed since it was read;
// - the repository has recorded a vouch for it, if the terms ask for vouches.
//
// The check deletes nothing. Its memory grows with the number of files that are checked.

import BakChunking
import BakCodec
import BakCore
import BakFormat
import BakRepository
import BakStorage

/// Why a file must be kept.
public enum DeletionReason: Equatable, Sendable {
    /// It could not be read, for the given reason.
    case unreadable(String)
    /// It changed during or after the read.
    case changed
    /// No complete snapshot has its content.
    case notStored
    /// Only a snapshot in doubt has its content. Retention may ignore that snapshot.
    case inDoubt(snapshot: ID128)
    /// The snapshot has different content under the same chunk ids.
    case otherContent(snapshot: ID128)
    /// The snapshot's copy is damaged; the text says how.
    case damaged(snapshot: ID128, String)
    /// None of the snapshots that have its content stays for good.
    case notForGood(Staying)
    /// The repository is on the same disk.
    case sameDisk
    /// The file is a part of the repository.
    case ofRepository
    /// The repository could not record a vouch, so no later command would ask before it removes the content.
    case notRemembered(StoreError)
}

/// The result for one file.
public struct DeletionVerdict: Sendable {
    /// The file.
    public var path: [UInt8]
    /// Number of bytes read of it.
    public var byteCount: UInt64 = 0
    /// The snapshot that stays longest among those that have its content.
    public var snapshot: ID128?
    /// How long that snapshot stays.
    public var staying: Staying?
    /// Why the file must be kept; empty if it is safe.
    public var reasons: [DeletionReason] = []

    /// True if the file may be deleted.
    public var isSafe: Bool { reasons.isEmpty }
}

/// The result of a deletion check.
public struct DeletionReport: Sendable {
    /// Number of safe files.
    public var safeFiles: UInt64 = 0
    /// Their size, in bytes.
    public var safeBytes: UInt64 = 0
    /// Number of files that must be kept, and of items that could not be examined.
    public var unsafeFiles: UInt64 = 0
    /// Number of unsafe files whose content is stored, but only in snapshots that do not stay for good.
    public var passingFiles: UInt64 = 0
    /// Their size, in bytes.
    public var passingBytes: UInt64 = 0
    /// Links and special files, which have no content.
    public var otherItems: UInt64 = 0
    /// Number of bytes read of the files and from the store.
    public var readBytes: UInt64 = 0
    /// The requested paths that have no file at or beneath them.
    public var emptyRoots: [[UInt8]] = []
    /// True if it is unknown for at least one file whether the repository is on the same disk.
    public var hasUnknownDisk = false
    /// True if the user interrupted the check. No file is called safe then.
    public var wasInterrupted = false

    /// True if the check ran to its end, every file is safe, and every requested path has a file.
    public var isAllSafe: Bool {
        unsafeFiles == 0 && safeFiles > 0 && emptyRoots.isEmpty && !wasInterrupted
    }
}

/// The terms on which a file counts as safe.
public struct DeletionTerms {
    /// How long each snapshot stays. A snapshot that is not listed stays for good.
    public var staying: [ID128: Staying] = [:]
    /// True if the repository is on the disk of the file at that path; nil if unknown.
    public var isOnRepositoryDisk: (_ path: [UInt8]) -> Bool? = { _ in false }
    /// The repository's own folder. No file in it is ever safe.
    public var ownFolder: OwnFolder?

    /// The origin to record with the vouches; nil records none.
    public var origin: RecordOrigin?

    /// Every snapshot stays, no file is on the repository's disk, and no vouch is recorded.
    public init() {}
}

/// Checks files against one repository. For one thread.
public final class DeletionCheck {
    private struct File {
        var path: [UInt8]
        var stat: FileStat
        /// The size that stat reported. The content's size may differ.
        var shownBytes: UInt64
        /// In a plain repository, a digest of the file's chunks: it cannot be forged, but the chunk ids can. In other
        /// repositories it is zero.
        var digest: ID128
    }

    /// A file of a snapshot, with the extents read so far.
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
    private let terms: DeletionTerms
    private let onVerdict: (DeletionVerdict) -> Void
    private let onRead: @Sendable (_ count: UInt64) -> Void
    private let stop: StopSignal
    private var report = DeletionReport()
    /// The files not found yet, by content.
    private var pending: [FileContent: [File]] = [:]
    /// The sizes of the pending files. Each maps to the largest number of extents among them.
    private var pendingSizes: [UInt64: Int] = [:]
    /// Why content that a snapshot has is not safe.
    private var faults: [FileContent: DeletionReason] = [:]
    /// The chunks that were read back, with their digests.
    private var verified: [BlobReference: ID128] = [:]
    private let digester: ChunkDigester
    private var verdicts: [DeletionVerdict] = []
    /// The vouches to record for safe files, by the snapshot that has them.
    private var vouches: [ID128: [Vouch.File]] = [:]
    /// For each folder: true if the repository is on its disk; nil if unknown. Folders of one file system may lie on
    /// different machines, so the answer for one folder says nothing about another.
    private var diskRelations: [ArraySlice<UInt8>: Bool?] = [:]
    private var rootsWithFiles: Set<[UInt8]> = []

    /// Prepares a check of the files at `roots` in `tree`.
    ///
    /// - Parameters:
    ///   - terms: how long each snapshot stays, and which files are on the repository's disk.
    ///   - onVerdict: called with each file's verdict in path order, after all files were examined.
    ///   - onRead: called with the number of bytes read, from files or from the store.
    ///   - stop: polled; once it is requested the check ends.
    public init(
        _ repository: Repository, of tree: any SourceTree, roots: [[UInt8]],
        terms: DeletionTerms = DeletionTerms(), onVerdict: @escaping (DeletionVerdict) -> Void,
        onRead: @escaping @Sendable (_ count: UInt64) -> Void = { _ in },
        stop: StopSignal = .never
    ) {
        self.repository = repository
        self.tree = tree
        self.roots = roots
        self.terms = terms
        self.onVerdict = onVerdict
        self.onRead = onRead
        self.stop = stop
        digester = ChunkDigester(repository)
    }

    /// Runs the check.
    ///
    /// - Throws: Failures of the repository. A failure that concerns one file becomes its verdict.
    public func run() throws -> DeletionReport {
        // List the snapshots before the index is read, so that the index has everything they refer to.
        let all = try repository.snapshots().readable.filter(\.isComplete)
        let confirmed = Set(all.flatMap(\.confirmed))
        let isInDoubt = { (snapshot: CommitRecord) in
            !snapshot.doubtfulPaths.isEmpty && !confirmed.contains(snapshot.originalID)
        }
        // A dry run writes nothing to the store. Its index leaves out blobs that a prune is about to delete, so no file
        // is called safe because of these.
        let session = try BackupSession(repository, host: "", program: "", isDryRun: true)
        try readFiles(session)
        let reader = BlobReader(repository)
        for snapshot in longestStayingFirst(all.filter { !isInDoubt($0) })
        where !pending.isEmpty && !stop.isRequested {
            try look(into: snapshot, session.index, reader)
        }
        for snapshot in all.reversed() where isInDoubt(snapshot) && !pending.isEmpty && !stop.isRequested {
            try look(into: snapshot, session.index, reader, isInDoubt: true)
        }
        report.wasInterrupted = stop.isRequested
        if report.wasInterrupted { return report }
        for (content, files) in pending {
            for file in files {
                keep(file.path, faults[content] ?? .notStored, byteCount: file.stat.size)
            }
        }
        report.emptyRoots = roots.filter { !rootsWithFiles.contains($0) }
        verdicts.sort { PathOrder.precedes($0.path, $1.path) }
        let failure = try remember()
        let forgotten = try repository.forgotten()
        for var verdict in verdicts {
            if let snapshot = verdict.snapshot, forgotten.contains(snapshot) {
                // The snapshot was forgotten meanwhile, so the file must be kept. Another snapshot may have the
                // content, but the check did not read the content back from that snapshot.
                (verdict.staying, verdict.reasons) = (.ruledOut, [.notForGood(.ruledOut)])
            } else if let failure, verdict.isSafe {
                verdict.reasons = [.notRemembered(failure)]
            }
            count(verdict)
        }
        return report
    }

    /// Returns the snapshots in search order: of all snapshots with a file's content, the first stays longest.
    private func longestStayingFirst(_ snapshots: [CommitRecord]) -> [CommitRecord] {
        func staying(_ snapshot: CommitRecord) -> Staying {
            terms.staying[snapshot.id] ?? .forGood(.noRules)
        }
        return snapshots.reversed().enumerated().sorted { one, other in
            let (left, right) = (staying(one.element), staying(other.element))
            if left.isShorter(than: right) { return false }
            return right.isShorter(than: left) || one.offset < other.offset
        }.map(\.element)
    }

    private func keep(_ path: [UInt8], _ reason: DeletionReason, byteCount: UInt64 = 0) {
        verdicts.append(DeletionVerdict(path: path, byteCount: byteCount, reasons: [reason]))
    }

    /// Records vouches before any file is called safe; returns the error if that fails. If the repository already has
    /// all these vouches, nothing is written, so this also succeeds on a read-only store.
    private func remember() throws -> StoreError? {
        guard let origin = terms.origin, !vouches.isEmpty else { return nil }
        do {
            try repository.vouch(for: vouches, origin)
            return nil
        } catch let error as StoreError {
            return error
        }
    }

    private func count(_ verdict: DeletionVerdict) {
        if verdict.isSafe {
            report.safeFiles += 1
            report.safeBytes.add(verdict.byteCount)
        } else {
            report.unsafeFiles += 1
            if verdict.staying?.isForGood == false {
                report.passingFiles += 1
                report.passingBytes.add(verdict.byteCount)
            }
        }
        onVerdict(verdict)
    }

    /// Reads every file and notes its content.
    private func readFiles(_ session: BackupSession) throws {
        let (stop, onRead) = (stop, onRead)
        let ingester = FileIngester(
            tree: tree, writer: session.makeWriter(.chunkPack, compression: .off),
            chunkers: try ChunkerSet(repository.config), inlineBytes: repository.config.inlineBytes,
            racyTimestamps: RacyTimestamps(time: repository.time, tree: tree),
            stop: stop, onRead: { onRead(UInt64($0)) },
            onChunk: { [digester] in digester.add(digester.digest(of: $0)) })
        try tree.walk { event in
            if stop.isRequested { return .stop }
            switch event.seen {
            case .failure(let path, let error):
                if error.endsRun { throw error }
                keep(path, .unreadable(error.description))
            case .entry(let path, let stat):
                // Skip the folders above the requested paths.
                let root = roots.first { PathOrder.isAtOrBeneath(path, $0) }
                if stat.type == .directory, terms.ownFolder?.isSeen(at: path, stat, in: tree) == true {
                    // Requested paths inside the repository must be kept, too.
                    for root in roots where PathOrder.isAtOrBeneath(root, path) {
                        rootsWithFiles.insert(root)
                        keep(root, .ofRepository)
                    }
                    return .skipChildren
                }
                guard let root else { break }
                if stat.type == .regular {
                    rootsWithFiles.insert(root)
                    try note(try ingester.ingest(path), path)
                } else if stat.type != .directory {
                    report.otherItems += 1
                }
            case .unseen: preconditionFailure("it has been looked at")
            }
            return .proceed
        }
    }

    private func note(_ result: IngestResult, _ path: [UInt8]) throws {
        let digest = digester.take()
        switch result {
        case .dropped: break
        case .failed(let error):
            if error.endsRun { throw error }
            keep(path, .unreadable(error.description))
        case .stored(let entry, let readBytes, let shortfalls):
            report.readBytes += readBytes
            if let shortfall = shortfalls.content { return keep(path, .unreadable(shortfall.description)) }
            guard !entry.changedWhileRead, let content = entry.content else {
                return keep(path, .changed, byteCount: entry.stat.size)
            }
            pending[content, default: []].append(
                File(
                    path: path, stat: entry.stat, shownBytes: shortfalls.shownBytes, digest: digest))
            var count = 0
            if case .extents(let extents) = content { count = extents.count }
            pendingSizes[entry.stat.size] = max(count, pendingSizes[entry.stat.size] ?? 0)
        }
    }

    /// Looks for the content of the pending files in a snapshot. It skips unreadable parts of the snapshot's manifest;
    /// content that only such a part names is not found here. If the snapshot is in doubt, it makes no file safe, and
    /// the check only notes that it has the content.
    private func look(
        into snapshot: CommitRecord, _ index: BlobIndex, _ reader: BlobReader, isInDoubt: Bool = false
    ) throws {
        func settle(_ candidate: Candidate?) throws {
            guard isInDoubt else { return try self.settle(candidate, in: snapshot, index, reader) }
            if let candidate, faults[candidate.content] == nil {
                faults[candidate.content] = .inDoubt(snapshot: snapshot.id)
            }
        }
        guard
            let manifest = try passingDamage({
                try ManifestReader(snapshot, repository: repository, index: index)
            })
        else { return }
        var candidate: Candidate?
        while !stop.isRequested {
            guard let next = try passingDamage({ try manifest.next() }) else {
                // The rest of the damaged segment is skipped. It may have more extents of the current file.
                _ = manifest.skipSegment()
                candidate = nil
                continue
            }
            switch next {
            case .continuation(let more)?:
                candidate?.extents.append(contentsOf: more)
                // If there are more extents than any pending file of that size has, the content differs.
                if let size = candidate?.byteCount, let count = candidate?.extents.count,
                    count > pendingSizes[size, default: 0]
                {
                    candidate = nil
                }
            case .entry(let entry)?:
                try settle(candidate)
                candidate = nil
                if entry.stat.type == .regular, pendingSizes[entry.stat.size] != nil,
                    let content = entry.content
                {
                    candidate = Candidate(content, byteCount: entry.stat.size)
                }
            case nil: return try settle(candidate)
            }
        }
    }

    /// Reads a candidate's content back, and judges the pending files that have the same content.
    private func settle(
        _ candidate: Candidate?, in snapshot: CommitRecord, _ index: BlobIndex, _ reader: BlobReader
    ) throws {
        guard let candidate, let files = pending[candidate.content], files[0].stat.size == candidate.byteCount
        else { return }
        if let fault = try readBack(candidate.extents, index, reader) {
            faults[candidate.content] = .damaged(snapshot: snapshot.id, fault)
            return
        }
        for case .chunk(let reference) in candidate.extents { digester.add(verified[reference]!) }
        let digest = digester.take()
        let isSame = { (file: File) in file.digest == digest }
        let others = files.filter { !isSame($0) }
        pending[candidate.content] = others.isEmpty ? nil : others
        if !others.isEmpty, faults[candidate.content] == nil {
            faults[candidate.content] = .otherContent(snapshot: snapshot.id)
        }
        let fingerprint = candidate.content.fingerprint
        for file in files where isSame(file) { judge(file, fingerprint, in: snapshot) }
    }

    /// Appends the verdict on a file whose content in `snapshot` was read back.
    private func judge(_ file: File, _ fingerprint: ID128, in snapshot: CommitRecord) {
        let staying = terms.staying[snapshot.id] ?? .forGood(.noRules)
        var verdict = DeletionVerdict(
            path: file.path, byteCount: file.stat.size, snapshot: snapshot.id, staying: staying)
        if !staying.isForGood { verdict.reasons.append(.notForGood(staying)) }
        let folder = file.path.lastIndex(of: UInt8(ascii: "/")).map { file.path[..<$0] } ?? []
        let isOnDisk = diskRelations[folder] ?? terms.isOnRepositoryDisk(file.path)
        if isOnDisk == true { verdict.reasons.append(.sameDisk) }
        if let fault = changeSinceRead(file) {
            // The file has changed, or it is gone and lies on no disk. So `isOnDisk` may be wrong for the folder's
            // other files, and is not stored for the folder.
            verdict.reasons = [fault]
        } else {
            diskRelations[folder] = .some(isOnDisk)
            if isOnDisk == nil { report.hasUnknownDisk = true }
        }
        if verdict.isSafe {
            vouches[snapshot.id, default: []].append(Vouch.File(content: fingerprint, path: file.path))
        }
        verdicts.append(verdict)
    }

    /// Compares the file with its state when the check read it, perhaps long ago. Returns nil if it is the same, else
    /// `.changed` or `.unreadable`.
    private func changeSinceRead(_ file: File) -> DeletionReason? {
        do {
            let open = try tree.open(file.path)
            defer { open.close() }
            let stat = try open.stat()
            let isAsItWas =
                stat.mtime == file.stat.mtime && stat.ctime == file.stat.ctime
                && stat.size == file.shownBytes
            return isAsItWas ? nil : .changed
        } catch {
            return .unreadable(error.description)
        }
    }

    /// Returns the result of `body`, or nil if it meets damage.
    private func passingDamage<Value>(_ body: () throws -> Value) throws -> Value? {
        do {
            return try body()
        } catch let error where error is CorruptionError || error is MissingBlobError {
            return nil
        }
    }

    /// Reads every chunk of a file from the store; returns the first fault.
    private func readBack(_ extents: [Extent], _ index: BlobIndex, _ reader: BlobReader) throws -> String? {
        var rest: [BlobReference] = []
        var wanted: Set<BlobReference> = []
        for case .chunk(let reference) in extents
        where verified[reference] == nil && wanted.insert(reference).inserted { rest.append(reference) }
        var faults: [BlobReference: any Error] = [:]
        try reader.read(rest, kind: .chunkPack, index: index) { reference, result in
            switch result {
            case .success(let bytes):
                report.readBytes += UInt64(bytes.count)
                onRead(UInt64(bytes.count))
                verified[reference] = digester.digest(of: bytes)
            case .failure(let error): faults[reference] = error
            }
        }
        return rest.first { faults[$0] != nil }.map { "\(faults[$0]!)" }
    }
}

/// Makes digests of chunks that cannot be forged. In a plain repository, anyone who can read `config` can make a file
/// whose chunks have the same ids as the chunks of another file. There, the digest of a chunk is its hash under a
/// random key of this run. In other repositories chunk ids cannot be forged, so no digest is needed, and all digests
/// are zero.
private final class ChunkDigester {
    private let hasher: FreshHasher?
    private var digests: [UInt8] = []

    init(_ repository: Repository) {
        hasher = repository.config.idAlgorithm == .xxh3 ? FreshHasher(repository.random) : nil
    }

    func digest(of chunk: UnsafeRawBufferPointer) -> ID128 { hasher?.id(of: chunk) ?? .zero }

    /// Adds the next chunk of a file.
    func add(_ digest: ID128) {
        guard hasher != nil else { return }
        withUnsafeBytes(of: digest) { digests.append(contentsOf: $0) }
    }

    /// Returns the digest of the file's chunks together, and starts the next file.
    func take() -> ID128 {
        defer { digests.removeAll(keepingCapacity: true) }
        return digests.withUnsafeBytes { hasher?.id(of: $0) ?? .zero }
    }
}
