// BackupSession: what one run stores, from `sessions/<id>` to `snapshots/<id>`.
//
// The order is the protocol's, and nothing is visible before what it refers to is durable: session record;
// then the listing of collections, then the index; packs; index segment; commit record. A session commits
// once; a checkpoint commits one session and begins the next. After a failure nothing is committed any more:
// blobs that were taken for stored may not be.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// A running backup's writing side. `makeWriter` and `commit` belong to one thread; the writers that it
/// makes may each be used from another.
public final class BackupSession {
    /// The repository written to.
    public let repository: Repository
    /// The index that new blobs are compared with.
    public let index: BlobIndex
    /// The current session.
    public private(set) var id: ID128
    /// Whether everything is worked out and nothing is stored.
    public let isDryRun: Bool
    private let host: String
    private let program: String
    private var writers: [BlobWriter] = []
    private let sealed = SealedPacks()
    private let total = AddedTotal()
    private let witness: PackWitness

    /// Begins a session.
    ///
    /// - Parameters:
    ///   - repository: the repository to write to.
    ///   - host: the machine's name, for the session's record.
    ///   - program: the program and its version, for the session's record.
    ///   - isDryRun: whether to store nothing at all.
    ///   - onDamage: told of index segments that cannot be read, what they name being stored anew; nil to throw.
    public init(
        _ repository: Repository, host: String, program: String, isDryRun: Bool = false,
        onDamage: ((CorruptionError) -> Void)? = nil
    ) throws {
        self.repository = repository
        self.host = host
        self.program = program
        self.isDryRun = isDryRun
        id =
            isDryRun
            ? ID128(from: repository.random) : try Self.begin(repository, host: host, program: program)
        if isDryRun { try Self.refuseCollections(repository) }
        witness = PackWitness(repository.store)
        index = try BlobIndex(repository, rebuilding: false, witness: witness, onDamage: onDamage)
    }

    private static func begin(_ repository: Repository, host: String, program: String) throws -> ID128 {
        let id = ID128(from: repository.random)
        let record = SessionRecord(id: id, time: repository.time.now(), host: host, program: program)
        let bytes = record.encode(repository.context)
        try RepositoryError.refuseUnreadable("the session record", bytes) { bytes throws(CorruptionError) in
            try SessionRecord(decoding: bytes, object: "", id: id, context: repository.context)
        }
        let outcome = try bytes.withUnsafeBytes { try repository.store.put(Layout.session(id), $0) }
        guard outcome == .created else { throw RepositoryError.sessionRevoked(id) }
        // Only now: a collection that begins later sees the session.
        try refuseCollections(repository)
        return id
    }

    private static func refuseCollections(_ repository: Repository) throws {
        guard try repository.store.list(Layout.collections).isEmpty else {
            throw RepositoryError.prunedByNewerProgram
        }
    }

    /// Makes a writer that fills packs of its own. It lives as long as the session.
    public func makeWriter(_ kind: ObjectKind, compression: CompressionMode) -> BlobWriter {
        let writer = BlobWriter(
            kind: kind, compression: compression, repository, index, isDryRun ? nil : sealed, total)
        writers.append(writer)
        return writer
    }

    /// What all writers have added since the run began.
    public var added: BlobWriter.Added { total.current }

    /// Packs that the run refers to and that are missing or not as they were stored.
    public var damagedPacks: [CorruptionError] { witness.found }

    /// How many bytes wait for the next commit.
    public var uncommittedBytes: Int { sealed.byteCount }

    /// Makes everything stored so far durable and commits the current session with the record that
    /// `makeRecord` returns for it; then begins the next one when `continuing`.
    ///
    /// Everything that the record refers to must have been handed to writers before. Other threads may go
    /// on storing meanwhile; what they store after the call begins may count for the next session.
    public func commit(
        continuing: Bool, _ makeRecord: (_ session: ID128, _ hasIndex: Bool) -> CommitRecord
    ) throws -> CommitRecord {
        if isDryRun { return makeRecord(id, false) }
        var isCommitted = false
        defer { if !isCommitted { sealed.fail() } }
        for writer in writers { writer.lock() }
        let packs: [SealedPack]
        let segment: IndexSegment
        do {
            defer { for writer in writers { writer.unlock() } }
            for writer in writers { try writer.sealOpenPack() }
            guard let all = sealed.takeAll() else { throw RepositoryError.sessionFailed(id) }
            packs = all
            segment = IndexSegment(session: id, contents: packs.map { ($0.pack, $0.blobs) })
            if !packs.isEmpty { index.publishClaims(segment) }
        }
        try repository.store.publishStaged()
        if !packs.isEmpty {
            try put(Layout.indexSegment(id), segment.encode(repository.context))
        }
        let record = makeRecord(id, !packs.isEmpty)
        let bytes = record.encode(repository.context)
        try RepositoryError.refuseUnreadable("the commit record", bytes) { bytes throws(CorruptionError) in
            try CommitRecord(decoding: bytes, object: "", id: id, context: repository.context)
        }
        try put(Layout.snapshot(id), bytes)
        isCommitted = true
        if continuing { id = try Self.begin(repository, host: host, program: program) }
        return record
    }

    private func put(_ key: ObjectKey, _ bytes: [UInt8]) throws {
        guard try bytes.withUnsafeBytes({ try repository.store.put(key, $0) }) == .created else {
            throw RepositoryError.sessionRevoked(id)
        }
    }
}

/// A pack that has been handed to the store, until its session commits.
struct SealedPack: Sendable {
    var pack: IndexedPack
    var blobs: [BlobRecord]
}

/// The packs that wait for the next commit.
final class SealedPacks: @unchecked Sendable {
    private let monitor = Monitor()
    private var packs: [SealedPack] = []
    private var bytes = 0
    private var hasFailed = false

    var byteCount: Int { monitor.locked { bytes } }

    func append(_ pack: SealedPack) {
        monitor.locked {
            packs.append(pack)
            bytes += Int(pack.pack.size)
        }
    }

    /// Says that something which others may refer to has not been stored.
    func fail() { monitor.locked { hasFailed = true } }

    /// All packs since the last call; nil after a failure.
    func takeAll() -> [SealedPack]? {
        monitor.locked {
            if hasFailed { return nil }
            defer { (packs, bytes) = ([], 0) }
            return packs
        }
    }
}
