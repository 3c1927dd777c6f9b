// DeletionCheck: whether files could be deleted where they are, because a backup has them. Each is read and cut as a
// backup would; its content is looked for in the complete snapshots, whatever its path there; and every chunk of it is
// read back from the store, verified and compared.
//
// Always holds: a file is called safe only after all of its content has come back from the store, only when a snapshot
// that stays for good has it, only when it has not changed since it was read, and only once the repository remembers
// it. Nothing is ever deleted. Memory grows with the number of files that are asked about.

import BakChunking
import BakCodec
import BakCore
import BakFormat
import BakRepository
import BakStorage

/// Why a file must be kept.
public enum DeletionReason: Equatable, Sendable {
    /// It could not be read, with the reason.
    case unreadable(String)
    /// It changed while it was read, or after that.
    case changed
    /// No complete snapshot has its content.
    case notStored
    /// Only a snapshot has its content that is in doubt, and may turn out to be none that counts.
    case inDoubt(snapshot: ID128)
    /// What a snapshot has under the ids of its content is something else.
    case otherContent(snapshot: ID128)
    /// What a snapshot has of it is damaged, with what was found.
    case damaged(snapshot: ID128, String)
    /// The snapshots that have its content do not stay.
    case notForGood(Staying)
    /// The repository is on its disk.
    case sameDisk
    /// It is a part of the repository.
    case ofRepository
    /// The repository could not remember that it is safe, so that nobody would be asked before it is removed.
    case notRemembered(StoreError)
}

/// What was found out about one file.
public struct DeletionVerdict: Sendable {
    /// The file.
    public var path: [UInt8]
    /// What was read of it, in bytes.
    public var byteCount: UInt64 = 0
    /// Of the snapshots that have its content, the one that stays for longest.
    public var snapshot: ID128?
    /// How long that one stays.
    public var staying: Staying?
    /// Why it must be kept; nothing when it is safe.
    public var reasons: [DeletionReason] = []

    /// True if the file may be deleted.
    public var isSafe: Bool { reasons.isEmpty }
}

/// What a check for deletion found.
public struct DeletionReport: Sendable {
    /// Files that are safe, and their bytes.
    public var safeFiles: UInt64 = 0
    /// Their content together, in bytes.
    public var safeBytes: UInt64 = 0
    /// Files that must be kept, and what could not be looked at.
    public var unsafeFiles: UInt64 = 0
    /// Of these, files that a snapshot has which does not stay, and their bytes.
    public var passingFiles: UInt64 = 0
    /// Their content together, in bytes.
    public var passingBytes: UInt64 = 0
    /// Links and special files, which have no content.
    public var otherItems: UInt64 = 0
    /// What has been read of the files, and read back from the store, in bytes.
    public var readBytes: UInt64 = 0
    /// The paths that were asked about and have no file at or beneath them.
    public var emptyRoots: [[UInt8]] = []
    /// True if it is not known of some file whether the repository is on its disk.
    public var hasUnknownDisk = false
    /// Whether the user ended it before its end: what was not called safe is not.
    public var wasInterrupted = false

    /// True if everything that was asked about may be deleted, and there was something.
    public var isAllSafe: Bool {
        unsafeFiles == 0 && safeFiles > 0 && emptyRoots.isEmpty && !wasInterrupted
    }
}

/// On which terms a file counts as safe.
public struct DeletionTerms {
    /// How long each snapshot stays; one that is not named here stays for good.
    public var staying: [ID128: Staying] = [:]
    /// Whether the repository is on the disk of the file at that path; nil when that is not known.
    public var isOnRepositoryDisk: (_ path: [UInt8]) -> Bool? = { _ in false }
    /// The repository's own folder, nothing in which is ever safe.
    public var ownFolder: OwnFolder?

    /// Who asks, for the repository to remember what was called safe; nil when it need not.
    public var origin: RecordOrigin?

    /// Everything stays, no file is on the repository's disk, and nothing is remembered.
    public init() {}
}

/// Checks files against one repository. For one thread.
public final class DeletionCheck {
    private struct File {
        var path: [UInt8]
        var stat: FileStat
        /// The size that was shown of it, which need not be its content's.
        var shownBytes: UInt64
        /// What its chunks have, by ids that nobody can make two contents for.
        var digest: ID128
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
    private let terms: DeletionTerms
    private let onVerdict: (DeletionVerdict) -> Void
    private let onRead: @Sendable (_ count: UInt64) -> Void
    private let stop: StopSignal
    private var report = DeletionReport()
    /// The files that have not been found, by their content.
    private var pending: [FileContent: [File]] = [:]
    /// Their sizes, each with the most extents that one of them has.
    private var pendingSizes: [UInt64: Int] = [:]
    /// Why content that a snapshot has is not safe.
    private var faults: [FileContent: DeletionReason] = [:]
    /// The chunks that have been read back, and their digests.
    private var verified: [BlobReference: ID128] = [:]
    private let digester: ChunkDigester
    private var verdicts: [DeletionVerdict] = []
    /// What is remembered of the files that are safe, by the snapshot that has them.
    private var vouches: [ID128: [Vouch.File]] = [:]
    /// Whether the repository is on the disk of a folder: of one file system some may be on another machine than
    /// others.
    private var diskRelations: [ArraySlice<UInt8>: Bool?] = [:]
    private var rootsWithFiles: Set<[UInt8]> = []

    /// Prepares a check of what lies at `roots` of `tree`.
    ///
    /// - Parameters:
    ///   - terms: how long the snapshots stay, and what is on the repository's disk.
    ///   - onVerdict: told of each file, in the order of their paths, when everything has been looked at.
    ///   - onRead: told how many bytes have been read, of files or of the store.
    ///   - stop: polled; when it is given the check ends.
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

    /// Checks. Throws failures of the repository; what concerns one file is a verdict.
    public func run() throws -> DeletionReport {
        // Listed before the index is read, which then has all that they refer to.
        let all = try repository.snapshots().readable.filter(\.isComplete)
        let confirmed = Set(all.flatMap(\.confirmed))
        let isInDoubt = { (snapshot: CommitRecord) in
            !snapshot.doubtfulPaths.isEmpty && !confirmed.contains(snapshot.originalID)
        }
        // Nothing of a dry run reaches the store; its index leaves out what a prune is about to remove.
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
                // Somebody has removed it meanwhile. Another may have the content, but that one was not read.
                (verdict.staying, verdict.reasons) = (.ruledOut, [.notForGood(.ruledOut)])
            } else if let failure, verdict.isSafe {
                verdict.reasons = [.notRemembered(failure)]
            }
            count(verdict)
        }
        return report
    }

    /// Snapshots in the order in which they are looked into, so that the first that has a file's content is the one
    /// that keeps it for longest.
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

    /// Remembers what is called safe before it is called so; returns why it could not. What is remembered already needs
    /// no store that can be written to.
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

    /// Reads every file and notes what it is made of.
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
                // The folders above what was asked about are none of it.
                let root = roots.first { PathOrder.isAtOrBeneath(path, $0) }
                if stat.type == .directory, terms.ownFolder?.isSeen(at: path, stat, in: tree) == true {
                    // What was asked about may lie in it.
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

    /// Looks for the pending files in a snapshot. What cannot be read of its manifest proves nothing, and one that is
    /// in doubt makes nothing safe.
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
                // The rest of a damaged segment is missing, and so may be a part of the file.
                _ = manifest.skipSegment()
                candidate = nil
                continue
            }
            switch next {
            case .continuation(let more)?:
                candidate?.extents.append(contentsOf: more)
                // What has more extents than any of the files has other content.
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

    /// Calls the files safe that have a candidate's content, once it has been read back.
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

    /// Says whether a file may go whose content is in `snapshot`, and has been read back.
    private func judge(_ file: File, _ fingerprint: ID128, in snapshot: CommitRecord) {
        let staying = terms.staying[snapshot.id] ?? .forGood(.noRules)
        var verdict = DeletionVerdict(
            path: file.path, byteCount: file.stat.size, snapshot: snapshot.id, staying: staying)
        if !staying.isForGood { verdict.reasons.append(.notForGood(staying)) }
        let folder = file.path.lastIndex(of: UInt8(ascii: "/")).map { file.path[..<$0] } ?? []
        let isOnDisk = diskRelations[folder] ?? terms.isOnRepositoryDisk(file.path)
        if isOnDisk == true { verdict.reasons.append(.sameDisk) }
        if let fault = changeSinceRead(file) {
            // What is not there any more lies nowhere, which says nothing of the folder's other files.
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

    /// What happened to a file since it was read, which may be long ago; nil when it is as it was.
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

/// What chunks have, by ids that nobody can have made two contents for. In a plain repository whoever can read `config`
/// can make a file whose chunks have the ids of another's, so there each chunk is named once more, under a key of this
/// run.
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

    /// What the file's chunks were together.
    func take() -> ID128 {
        defer { digests.removeAll(keepingCapacity: true) }
        return digests.withUnsafeBytes { hasher?.id(of: $0) ?? .zero }
    }
}
