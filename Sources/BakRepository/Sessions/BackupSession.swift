// BackupSession: stores the data of one run, from the session record `sessions/<id>` to the commit record
// `snapshots/<id>`. A collection is the work of a prune. It condemns packs in a plan. Then it waits for each session
// that may not have seen the plan, or ends that session. Then it decides which packs to delete. A collection ends a
// session by putting a tombstone under the name of the session's commit record, so that the session can no longer
// commit.
//
// A session works in the order that the protocol prescribes. It puts the session record, lists the collections, reads
// the index, stores packs, puts its index segment, and puts its commit record. No object becomes visible before the
// objects that it refers to are durable. A session commits once. A checkpoint registers the next session before it
// commits the current one, so that collections always see a session of the run. If storing or committing fails, the run
// commits nothing more, because a blob to which other objects refer may not have been stored.
//
// A run must verify its content in two cases: it finds a tombstone in place of its commit record, or it finds, when a
// checkpoint registers the next session, that a collection has begun or ended. In the first case, the run registers
// another session. In both cases, it then reads the newest index, looks up in it everything to which the commit record
// refers, and commits. A collection that begins later sees the session that was registered before this lookup. It waits
// for that session or ends it, so it does not delete the content unnoticed.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// The writing side of a running backup. `makeWriter` and `commit` belong to one thread. Each writer may be used from
/// another thread.
public final class BackupSession {
    /// The packs of a run that could not commit, which the next run may use.
    public struct KeptPacks: Sendable {
        var packs: [SealedPack]
        /// The newest round that was decided before the first of these packs was stored.
        var round: UInt64

        /// Makes an empty set.
        public init() { (packs, round) = ([], 0) }

        init(packs: [SealedPack], round: UInt64) { (self.packs, self.round) = (packs, round) }
    }

    /// The repository that the session writes to.
    public let repository: Repository
    /// The index that new blobs are compared with.
    public let index: BlobIndex
    /// The current session.
    public private(set) var id: ID128
    /// True if this is a dry run, which stores nothing.
    public let isDryRun: Bool
    /// The packs that the next run may use if this run cannot commit. At first, they are the packs of the run before. A
    /// commit empties the set. If another program makes a commit fail, or if `keepStored` is called, the set gets the
    /// packs that this run has stored and not committed.
    public private(set) var keptPacks: KeptPacks
    private let host: String
    private let program: String
    private var writers: [BlobWriter] = []
    private let sealed: SealedPacks
    private let total = AddedTotal()
    private let presence: PackPresence
    /// True if the session's records may use the reserve of a full store.
    private let fromReserve: Bool
    private let faults: ProtocolFaults
    /// The rounds that `gc/` showed after the last session was registered.
    private var rounds: CollectionState.Rounds
    /// The newest decided round when the run stored its first pack.
    private let firstRound: UInt64
    /// The newest decided round when the run began.
    private let begunRound: UInt64
    /// True if blobs to which the run refers may have been condemned before its session was registered. The run must
    /// verify its content then.
    private var mustVerify = false
    /// The registered sessions that are undecided. The value is true if the session has tried to commit.
    private var open: [ID128: Bool] = [:]
    /// How many sessions in a row collections may end before the run fails.
    private static let restartLimit = 32

    /// Begins a session.
    ///
    /// - Parameters:
    ///   - repository: the repository to write to.
    ///   - host: the machine's name, for the session's record.
    ///   - program: the program and its version, for the session's record.
    ///   - isDryRun: true to store nothing.
    ///   - kept: the packs of a run that a collection ended.
    ///   - onDamage: called for each index segment that cannot be read. The session then stores that segment's blobs
    ///     again. If `onDamage` is nil, the error is thrown.
    /// - Throws: `RepositoryError.pruneUnderWay` if a prune runs and the store does not guard names,
    ///   `RepositoryError.outsideLimits` if no reader would accept the session's record, `CorruptionError` if the index
    ///   is damaged and `onDamage` is nil, and `StoreError`.
    public convenience init(
        _ repository: Repository, host: String, program: String, isDryRun: Bool = false,
        keeping kept: KeptPacks = KeptPacks(), onDamage: ((CorruptionError) -> Void)? = nil
    ) throws {
        try self.init(
            repository, host: host, program: program, isDryRun: isDryRun, keeping: kept,
            onDamage: onDamage, faults: ProtocolFaults())
    }

    init(
        _ repository: Repository, host: String, program: String, isDryRun: Bool = false,
        keeping kept: KeptPacks = KeptPacks(), onDamage: ((CorruptionError) -> Void)? = nil,
        fromReserve: Bool = false, faults: ProtocolFaults
    ) throws {
        self.fromReserve = fromReserve
        self.repository = repository
        self.host = host
        self.program = program
        self.isDryRun = isDryRun
        self.faults = faults
        keptPacks = kept
        presence = PackPresence(repository)
        id = ID128(from: repository.random)
        sealed = SealedPacks(repository.store.makeBatch(of: id))
        if !isDryRun { open[id] = false }
        let milestones = faults.milestones.inside(["\(kept) \(id)"])
        do {
            if !isDryRun, !faults.readBeforeRegister {
                try Self.register(id, repository, host, program, fromReserve)
            }
            milestones.reached("registered")
            index = try BlobIndex(repository, for: .storing(presence), onDamage: onDamage, milestones)
            // The index read this state after the session was registered. A collection that begins later sees the
            // session.
            let state =
                faults.indexBeforeCollections ? try repository.collectionState() : index.trusted.collections
            if !isDryRun { try Self.expectNoPrune(state, repository) }
            if !faults.ignoreCondemned { index.exclude(state.condemned) }
            rounds = state.rounds
            begunRound = state.rounds.decided
            firstRound = kept.packs.isEmpty ? state.rounds.decided : kept.round
            if !isDryRun, faults.readBeforeRegister {
                try Self.register(id, repository, host, program, fromReserve)
            }
            if !kept.packs.isEmpty { try takeOver(kept, state) }
        } catch {
            if !isDryRun { try? repository.store.delete(ObjectNames.session(id)) }
            throw error
        }
        milestones.reached("begun", ["\(rounds) \(firstRound)", index.knowledge])
    }

    private static func register(
        _ id: ID128, _ repository: Repository, _ host: String, _ program: String, _ fromReserve: Bool
    ) throws {
        let record = SessionRecord(id: id, time: repository.time.now(), host: host, program: program)
        let bytes = record.encode(repository.context)
        try RepositoryError.refuseUnreadable("the session record", bytes) { bytes throws(CorruptionError) in
            try SessionRecord(decoding: bytes, object: "", id: id, context: repository.context)
        }
        guard try repository.store.putOwn(ObjectNames.session(id), bytes, fromReserve: fromReserve) else {
            throw RepositoryError.sessionRevoked(id)
        }
        repository.store.begin(id)
    }

    /// Refuses to run beside a prune in a store that does not guard names: there, two programs could store different
    /// objects under one name. The backup puts its session and the prune puts its plan before either looks for the
    /// other, so at least one of them sees the other.
    private static func expectNoPrune(_ state: CollectionState, _ repository: Repository) throws {
        guard repository.store.guardsNames || state.openPlans.isEmpty else {
            throw RepositoryError.pruneUnderWay(location: repository.store.location)
        }
    }

    /// Registers another session, and brings the index up to date if a collection has begun or ended since the last
    /// session was registered.
    private func registerNext(_ milestones: Milestones) throws -> ID128 {
        let next = ID128(from: repository.random)
        open[next] = false
        try Self.register(next, repository, host, program, fromReserve)
        // List the rounds only now: a collection that plans later sees the session.
        let found = try repository.collectionRounds()
        guard found != rounds else { return next }
        mustVerify = true
        let known = milestones.inside(["\(next) \(openKnowledge) \(presence.knowledge)"])
        known.reached("behind")
        let state = try repository.collectionState()
        try Self.expectNoPrune(state, repository)
        rounds = state.rounds
        let excluded = try excludedPacks(state)
        try index.reload(
            excluding: excluded, known.inside(["\(rounds) \(excluded.sorted())"]))
        presence.retain(Set(index.packs.map(\.id)))
        return next
    }

    /// The packs that the run may not rely on: condemned ones, and those deleted since the run stored its first pack.
    private func excludedPacks(_ state: CollectionState) throws -> Set<ID128> {
        if faults.ignoreCondemned { return [] }
        var excluded = state.condemned
        for round in state.rounds.decided.strideBack(to: firstRound) {
            let decision =
                round == state.rounds.decided ? state.decision : try repository.collectionDecision(round)
            excluded.formUnion(decision?.deleted ?? [])
        }
        return excluded
    }

    /// Takes over the packs of an ended run, except those that a collection has condemned or deleted.
    private func takeOver(_ kept: KeptPacks, _ state: CollectionState) throws {
        let excluded = try excludedPacks(state)
        let packs = try kept.packs.filter { kept in
            guard !excluded.contains(kept.pack.id) else { return false }
            do {
                return try UInt64(repository.store.size(of: ObjectNames.pack(kept.pack.id))) == kept.pack.size
            } catch let error as StoreError where error.kind == .notFound { return false }
        }
        for pack in packs { sealed.append(pack) }
        // This segment has only the packs that were taken over, and `index` may write it to the cached index table. It
        // gets a random id, which no session has, so that the segment is never trusted. If it had the session's id, the
        // table would seem to have the session's whole segment as soon as the session has committed.
        let name = ID128(from: repository.random)
        index.publish([IndexSegment(session: name, contents: packs.map { ($0.pack, $0.blobs) })])
    }

    /// Makes a writer that fills packs of its own. The writer lives as long as the session.
    public func makeWriter(_ kind: ObjectKind, compression: CompressionMode) -> BlobWriter {
        let writer = BlobWriter(
            kind: kind, compression: compression, repository, index, isDryRun ? nil : sealed, total)
        writers.append(writer)
        return writer
    }

    /// The totals of all writers since the run began.
    public var added: BlobWriter.Added { total.current }

    /// Packs that the run refers to and that are missing or differ from how they were stored.
    public var damagedPacks: [CorruptionError] { presence.found }

    /// True if so much waits for the next commit that it is due: at least `bytes` bytes in packs, or at least `blobs`
    /// blobs. Until the commit, each blob takes some hundred bytes of memory.
    public func isCommitDue(bytes: Int, blobs: Int = mostUncommittedBlobs) -> Bool {
        let waiting = sealed.waiting
        return waiting.bytes >= bytes || waiting.blobs >= blobs
    }

    /// How many blobs usually wait for a commit at most. This bounds the index segment of a session, because a reader
    /// of the index holds each segment in memory as a whole.
    public static let mostUncommittedBlobs = 1 << 18

    /// Checks that this run may rely on everything to which a manifest refers. If so, the run may commit the manifest,
    /// even if another run wrote it.
    ///
    /// - Throws: `MissingBlobError` if a blob is missing or condemned.
    public func expectAll(of root: BlobReference) throws {
        try SegmentReader(repository, index).expectAll(of: root)
    }

    /// Throws `MissingBlobError` unless the index has everything to which a manifest refers, condemned or not.
    func expectPresent(_ root: BlobReference) throws {
        try SegmentReader(repository, index).expectAll(of: root) { [index] in index.location(of: $0) != nil }
    }

    /// True if `ContentKeeper` does not store condemned content again. Only a test sets this.
    var keepsCondemned: Bool { faults.keepsCondemned }

    /// True if the cause of the error may be that another program removed or moved an object for which this run looked.
    /// In that case, the caller should try again with another run, which looks up the object again.
    ///
    /// - Throws: `StoreError` if the rounds of collections cannot be listed.
    public func isOvertaken(_ error: any Error) throws -> Bool {
        switch error {
        case RepositoryError.sessionRevoked, RepositoryError.keepsChanging: true
        default:
            try RepositoryError.mayHaveMoved(error)
                && repository.collectionRounds().decided != begunRound
        }
    }

    /// Keeps the stored and uncommitted packs for the next run. This run can commit nothing more.
    public func keepStored() {
        guard !isDryRun, let (packs, batch) = try? cut(next: id) else { return }
        // If publishing fails, the next run sees that these packs are missing.
        try? batch.publish()
        keep(packs)
        sealed.fail()
    }

    // MARK: Committing

    /// Makes everything stored so far durable, and commits the current session with the record that `makeRecord`
    /// returns. Goes on with the next session if `continuing` is true.
    ///
    /// The writers must have everything that the record refers to before this call. Other threads may store during the
    /// call; their blobs may belong to the next session.
    ///
    /// - Throws: `RepositoryError.sessionRevoked` if content to which the record refers is gone because of a
    ///   collection, or if collections ended too many sessions in a row; and `unpublishedRemoved` if another program
    ///   removed packs before they were published. A further run need not store `keptPacks` again.
    public func commit(
        continuing: Bool, _ makeRecord: (_ session: ID128, _ hasIndex: Bool) -> CommitRecord
    ) throws -> CommitRecord {
        if isDryRun { return makeRecord(id, false) }
        var isCommitted = false
        defer { if !isCommitted { sealed.fail() } }
        let next = continuing ? try registerNext(Milestones()) : nil
        let (packs, batch) = try cut(next: next ?? id)
        do {
            try batch.publish()
        } catch {
            guard error.kind == .notFound else { throw error }
            // The packs' content is no longer in memory. The next run can use the packs that the store still has.
            keep(packs)
            throw RepositoryError.unpublishedRemoved(id, error)
        }
        let record = try publish(packs, makeRecord)
        isCommitted = true
        keptPacks = KeptPacks()
        if let next { id = next }
        return record
    }

    /// Closes all open packs. Blobs stored from now on belong to the next commit, in a batch of the session `next`.
    /// Returns the packs stored before and the batch that holds them. No thread stages anything in that batch any more.
    private func cut(next: ID128) throws -> (packs: [SealedPack], batch: any StagedBatch) {
        for writer in writers { writer.lock() }
        defer { for writer in writers { writer.unlock() } }
        for writer in writers { try writer.sealOpenPack() }
        guard let (packs, batch) = sealed.take(goingOnIn: repository.store.makeBatch(of: next)) else {
            throw RepositoryError.sessionFailed(id)
        }
        // From here on other threads find these packs, although they are not published yet.
        presence.vouch(for: packs)
        if !packs.isEmpty { index.publishClaims(segment(of: packs)) }
        return (packs, batch)
    }

    private func segment(of packs: [SealedPack]) -> IndexSegment {
        IndexSegment(session: id, contents: packs.map { ($0.pack, $0.blobs) })
    }

    /// Puts the index segment of the packs `stored` and then the commit record. If a collection ends the session, the
    /// run tries again with a new session.
    private func publish(
        _ stored: [SealedPack], _ makeRecord: (_ session: ID128, _ hasIndex: Bool) -> CommitRecord
    ) throws -> CommitRecord {
        var packs = stored
        for attempt in 0..<Self.restartLimit {
            let milestones = faults.milestones.inside(
                ["\(attempt) \(packs) \(makeRecord(id, !packs.isEmpty).root) \(firstRound)"])
            milestones.reached("closed", knowledge)
            if !packs.isEmpty {
                guard
                    try repository.store.putOwn(
                        ObjectNames.indexSegment(id), segment(of: packs).encode(repository.context))
                else { throw RepositoryError.sessionRevoked(id) }
            }
            let record = makeRecord(id, !packs.isEmpty)
            let bytes = record.encode(repository.context)
            try RepositoryError.refuseUnreadable("the commit record", bytes) {
                bytes throws(CorruptionError) in
                try CommitRecord(decoding: bytes, object: "", id: id, context: repository.context)
            }
            let isCertain = try !mustVerify || isWhole(record.root, packs)
            milestones.reached("verified", ["\(isCertain)"] + knowledge)
            try index.expectIntact()
            if try isCertain && putCommit(bytes) { return record }
            // A collection ended the session. Its packs are still there: begin another session that refers to them.
            id = try registerNext(milestones)
            mustVerify = true
            // Leave out packs that are condemned by now. The session that stored these packs has ended, so no
            // collection waits for it. The collection that condemned the packs therefore deletes them, even if the next
            // session's segment names them. The next attempt checks whether the content is whole without these packs.
            if !faults.nameCondemned { packs.removeAll { index.isExcluded($0.pack.id) } }
            if !packs.isEmpty { index.publish([segment(of: packs)]) }
        }
        throw revoked(packs)
    }

    /// The state, besides the content to commit, that decides how a run ends. For `Milestones`.
    private var knowledge: [String] {
        ["\(id) \(rounds) \(begunRound) \(mustVerify) \(openKnowledge)", index.knowledge, presence.knowledge]
    }

    /// The sessions that `close` will end, in words. There may be several: if `isWhole` finds that a collection ended a
    /// session, that session stays in `open`, and the next session is added.
    private var openKnowledge: String {
        open.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined()
    }

    private func putCommit(_ bytes: [UInt8]) throws -> Bool {
        let key = ObjectNames.snapshot(id)
        open[id] = true
        if faults.plainPutCommit { try repository.store.delete(key) }
        let isCommitted = try repository.store.putOwn(key, bytes, fromReserve: fromReserve)
        // The commit record or a tombstone is stored now, so the session is decided.
        open[id] = nil
        if isCommitted, !faults.withoutSpares { repository.putSpare(id, bytes) }
        return isCommitted
    }

    // MARK: Closing

    /// Ends the open sessions, so that no prune waits for them. Every run ends with this call; after the last commit it
    /// does nothing. A prune removes what the run stored and did not commit.
    ///
    /// A session that never tried to commit cannot commit any more, so only its record is removed. If a commit failed,
    /// the commit record may have arrived or may still be on its way. In that case `close` puts a tombstone, which
    /// decides the session. If the store refuses, the session stays open, as after a crash.
    public func close() {
        for (session, hasTried) in open.sorted(by: { $0.key < $1.key }) {
            do {
                if hasTried, !faults.closeWithoutTombstone { try revoke(session) }
                try repository.store.delete(ObjectNames.session(session))
                open[session] = nil
            } catch {
                // The caller reports why the run ended, which matters more.
                continue
            }
        }
        sealed.abandon()
    }

    private func revoke(_ session: ID128) throws {
        let tombstone = Tombstone(session: session).encode(repository.context)
        // The reserve serves a run that ended because the store is full.
        _ = try repository.store.putOwn(ObjectNames.snapshot(session), tombstone, fromReserve: true)
    }

    /// Looks up everything to be committed. Returns false if something cannot be read because a collection ended the
    /// session.
    private func isWhole(_ root: BlobReference, _ packs: [SealedPack]) throws -> Bool {
        do {
            try expectAll(of: root)
            return true
        } catch is MissingBlobError {
            throw revoked(packs)
        } catch let error as CorruptionError {
            guard try repository.sessionOutcomes(asksSpares: false).revoked.contains(id) else { throw error }
            return false
        }
    }

    private func revoked(_ packs: [SealedPack]) -> RepositoryError {
        keep(packs)
        return .sessionRevoked(id)
    }

    private func keep(_ packs: [SealedPack]) {
        keptPacks = KeptPacks(packs: packs + sealed.takePacks(), round: firstRound)
    }
}

extension UInt64 {
    /// The numbers from this one down to the one above `lower`.
    fileprivate func strideBack(to lower: UInt64) -> some Sequence<UInt64> {
        sequence(first: self) { $0 - 1 }.prefix { $0 > lower }
    }
}
