// BackupSession: what one run stores, from `sessions/<id>` to `snapshots/<id>`.
//
// The order is the protocol's, and nothing is visible before what it refers to is durable: session record;
// then the listing of collections, then the index; packs; index segment; commit record. A session commits
// once; a checkpoint commits one session, and the next is registered before it, so that a run always has one
// that collections see. After a failure nothing is committed any more: blobs that were taken for stored may
// not be.
//
// A run that finds a tombstone in place of its commit record, or that saw a collection begin or end while it
// ran, looks up everything that it refers to in the newest index before it commits, under a session that is
// registered already: then no collection can take it away without seeing the commit.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// A running backup's writing side. `makeWriter` and `commit` belong to one thread; the writers that it
/// makes may each be used from another.
public final class BackupSession {
    /// Packs of a run that could not commit, for the run after it.
    public struct KeptPacks: Sendable {
        var packs: [SealedPack]
        /// The newest round that was decided before any of them was stored.
        var round: UInt64

        /// Nothing.
        public init() { (packs, round) = ([], 0) }

        init(packs: [SealedPack], round: UInt64) { (self.packs, self.round) = (packs, round) }
    }

    /// The repository written to.
    public let repository: Repository
    /// The index that new blobs are compared with.
    public let index: BlobIndex
    /// The current session.
    public private(set) var id: ID128
    /// Whether everything is worked out and nothing is stored.
    public let isDryRun: Bool
    /// What a run that was ended by a collection leaves for the next: what it took over itself, until it has more to
    /// say.
    public private(set) var keptPacks: KeptPacks
    private let host: String
    private let program: String
    private var writers: [BlobWriter] = []
    private let sealed: SealedPacks
    private let total = AddedTotal()
    private let witness: PackWitness
    /// Whether its records are worth the reserve of a full store.
    private let fromReserve: Bool
    private let faults: ProtocolFaults
    /// What `gc/` showed after the last session was registered.
    private var rounds: CollectionState.Rounds
    /// The newest decided round when the run's first pack was stored.
    private let firstRound: UInt64
    /// The newest decided round when this run began.
    private let begunRound: UInt64
    /// Whether what the run refers to may have been condemned before its session was registered.
    private var mustVerify = false
    /// The sessions that are registered and not decided, and whether a commit of each was tried.
    private var open: [ID128: Bool] = [:]
    /// How often in a row a collection may end a session.
    private static let restartLimit = 32

    /// Begins a session. Throws `RepositoryError.pruneUnderWay` if a prune runs and the store does not guard names.
    /// Throws `RepositoryError.outsideLimits` if no reader would accept the session's record, `CorruptionError` if the
    /// index is damaged and `onDamage` is nil, and `StoreError`.
    ///
    /// - Parameters:
    ///   - repository: the repository to write to.
    ///   - host: the machine's name, for the session's record.
    ///   - program: the program and its version, for the session's record.
    ///   - isDryRun: whether to store nothing at all.
    ///   - kept: packs of a run that a collection ended.
    ///   - onDamage: told of index segments that cannot be read, what they name being stored anew; nil to throw.
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
        witness = PackWitness(repository)
        id = ID128(from: repository.random)
        sealed = SealedPacks(repository.store.makeBatch(of: id))
        if !isDryRun { open[id] = false }
        let milestones = faults.milestones.inside(["\(kept) \(id)"])
        do {
            if !isDryRun, !faults.readBeforeRegister {
                try Self.register(id, repository, host, program, fromReserve)
            }
            milestones.reached("registered")
            index = try BlobIndex(repository, for: .storing(witness), onDamage: onDamage, milestones)
            // What the index was loaded with was read after the session was registered.
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

    /// In a store that does not guard names no backup may run beside a prune. Each puts what the other looks for before
    /// it looks, a session or a plan, so that one of them at least sees the other.
    private static func expectNoPrune(_ state: CollectionState, _ repository: Repository) throws {
        guard repository.store.guardsNames || state.openPlans.isEmpty else {
            throw RepositoryError.pruneUnderWay(location: repository.store.location)
        }
    }

    /// Registers a further session and brings the index up to date if a collection has begun or ended since.
    private func registerNext(_ milestones: Milestones) throws -> ID128 {
        let next = ID128(from: repository.random)
        open[next] = false
        try Self.register(next, repository, host, program, fromReserve)
        // Only now: a collection that plans later sees the session.
        let found = try repository.collectionRounds()
        guard found != rounds else { return next }
        mustVerify = true
        let known = milestones.inside(["\(next) \(openKnowledge) \(witness.knowledge)"])
        known.reached("behind")
        let state = try repository.collectionState()
        try Self.expectNoPrune(state, repository)
        rounds = state.rounds
        let excluded = try excludedPacks(state)
        try index.reload(
            excluding: excluded, known.inside(["\(rounds) \(excluded.sorted())"]))
        witness.retain(Set(index.packs.map(\.id)))
        return next
    }

    /// What the run may not count on: what is condemned, and what was deleted since it stored its first pack.
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

    /// Counts on packs that an ended run stored, as far as no collection has taken them.
    private func takeOver(_ kept: KeptPacks, _ state: CollectionState) throws {
        let excluded = try excludedPacks(state)
        let packs = try kept.packs.filter { kept in
            guard !excluded.contains(kept.pack.id) else { return false }
            do {
                return try UInt64(repository.store.size(of: ObjectNames.pack(kept.pack.id))) == kept.pack.size
            } catch let error as StoreError where error.kind == .notFound { return false }
        }
        for pack in packs { sealed.append(pack) }
        // Under a name that never is trusted: a cached table that has a part of a session's segment would be
        // taken for whole once that session has committed.
        let name = ID128(from: repository.random)
        index.publish([IndexSegment(session: name, contents: packs.map { ($0.pack, $0.blobs) })])
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

    /// Sees to it that a manifest which this run did not write may be referred to by its commit: that the
    /// repository has all of it. Throws `MissingBlobError` otherwise.
    public func expectAll(of root: BlobReference) throws {
        try SegmentReader(repository, index).expectAll(of: root)
    }

    /// Throws `MissingBlobError` unless everything that a manifest refers to is there, condemned or not.
    func expectPresent(_ root: BlobReference) throws {
        try SegmentReader(repository, index).expectAll(of: root) { [index] in index.location(of: $0) != nil }
    }

    /// Whether what is condemned counts as kept, in a test.
    var keepsCondemned: Bool { faults.keepsCondemned }

    /// Whether an error may say no more than that others have removed or moved what this run looked for: it is to be
    /// looked up again by a further run. Throws `StoreError` if the rounds of collections cannot be listed.
    public func isOvertaken(_ error: any Error) throws -> Bool {
        switch error {
        case RepositoryError.sessionRevoked, RepositoryError.keepsChanging: true
        default:
            try RepositoryError.mayHaveMoved(error)
                && repository.collectionRounds().decided != begunRound
        }
    }

    /// Keeps what was stored and is not committed for the run after this one, which can commit no more.
    public func keepStored() {
        guard !isDryRun, let (packs, batch) = try? cut(next: id) else { return }
        // What cannot be published is not there, as the next run will see.
        try? batch.publish()
        keep(packs)
        sealed.fail()
    }

    // MARK: Committing

    /// Makes everything stored so far durable and commits the current session with the record that
    /// `makeRecord` returns for it; then goes on with the next one when `continuing`.
    ///
    /// Everything that the record refers to must have been handed to writers before. Other threads may go
    /// on storing meanwhile; what they store after the call begins may count for the next session.
    ///
    /// Throws `RepositoryError.sessionRevoked` when a collection ended the session and something that it refers to is
    /// gone, and `unpublishedRemoved` when something else removed what was stored; `keptPacks` is then what a further
    /// run need not store again.
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
            // Their content has left memory. What is there of them a further run need not store again.
            keep(packs)
            throw RepositoryError.unpublishedRemoved(id, error)
        }
        let record = try publish(packs, makeRecord)
        isCommitted = true
        keptPacks = KeptPacks()
        if let next { id = next }
        return record
    }

    /// Closes all open packs: what is stored from now on belongs to the next commit, in a batch of the session `next`.
    /// Returns what was stored before and the batch that it waits in, which no thread stages anything in any more.
    private func cut(next: ID128) throws -> (packs: [SealedPack], batch: any StagedBatch) {
        for writer in writers { writer.lock() }
        defer { for writer in writers { writer.unlock() } }
        for writer in writers { try writer.sealOpenPack() }
        guard let (packs, batch) = sealed.take(goingOnIn: repository.store.makeBatch(of: next)) else {
            throw RepositoryError.sessionFailed(id)
        }
        // From here on other threads find these packs, which are not published yet.
        witness.vouch(for: packs)
        if !packs.isEmpty { index.publishClaims(segment(of: packs)) }
        return (packs, batch)
    }

    private func segment(of packs: [SealedPack]) -> IndexSegment {
        IndexSegment(session: id, contents: packs.map { ($0.pack, $0.blobs) })
    }

    /// Commits what `packs` and the index hold, if need be under a session after the current one.
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
            // A collection ended the session. What it stored is there; begin another that refers to it.
            id = try registerNext(milestones)
            mustVerify = true
            // Those that are condemned by now belong to no session that collections wait for. They are deleted even
            // where a segment names them, although the run may be whole without them.
            if !faults.nameCondemned { packs.removeAll { index.isExcluded($0.pack.id) } }
            if !packs.isEmpty { index.publish([segment(of: packs)]) }
        }
        throw revoked(packs)
    }

    /// What a run that ends depends on besides what it is to commit, for `Milestones`.
    private var knowledge: [String] {
        ["\(id) \(rounds) \(begunRound) \(mustVerify) \(openKnowledge)", index.knowledge, witness.knowledge]
    }

    /// What `close` will do: a session that a collection has ended stays open beside the one after it where what it
    /// refers to could not be read.
    private var openKnowledge: String {
        open.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined()
    }

    private func putCommit(_ bytes: [UInt8]) throws -> Bool {
        let key = ObjectNames.snapshot(id)
        open[id] = true
        if faults.plainPutCommit { try repository.store.delete(key) }
        let isCommitted = try repository.store.putOwn(key, bytes, fromReserve: fromReserve)
        // Either the record or a tombstone is there.
        open[id] = nil
        if isCommitted, !faults.withoutSpares { repository.putSpare(id, bytes) }
        return isCommitted
    }

    // MARK: Closing

    /// Ends what is not decided, so that no prune waits for it. For every end of a run; after the last commit there
    /// is nothing left to do. What the run stored and did not commit is left to a prune.
    ///
    /// A session that never tried to commit cannot do so any more: its record alone is removed. Where a commit was
    /// tried and failed the record may have arrived, or be on its way: a tombstone decides. If the store takes neither,
    /// the session stays open, as after a crash.
    public func close() {
        for (session, hasTried) in open.sorted(by: { $0.key < $1.key }) {
            do {
                if hasTried, !faults.closeWithoutTombstone { try revoke(session) }
                try repository.store.delete(ObjectNames.session(session))
                open[session] = nil
            } catch {
                // Why the run ended matters more, and is told by whoever closes it.
                continue
            }
        }
        sealed.abandon()
    }

    private func revoke(_ session: ID128) throws {
        let tombstone = Tombstone(session: session).encode(repository.context)
        // Where the run ended because the store is full, there is a reserve for this.
        _ = try repository.store.putOwn(ObjectNames.snapshot(session), tombstone, fromReserve: true)
    }

    /// Looks up everything that is to be committed; false when it cannot be read because the session was ended.
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

/// A pack that has been handed to the store, until its session commits.
struct SealedPack: Sendable {
    var pack: IndexedPack
    var blobs: [BlobRecord]
}

/// The packs that wait for the next commit, and the batch that they are staged in. A session's own: what fails in it,
/// or in another session of the same store, concerns that one only.
final class SealedPacks: @unchecked Sendable {
    private let monitor = Monitor()
    private var batch: any StagedBatch
    private var packs: [SealedPack] = []
    private var bytes = 0
    private var hasFailed = false

    /// A blob counts for so many bytes at least: a session's index segment keeps to its limit however small blobs are,
    /// since no more than 2 GiB wait for a commit.
    private static let leastBlobBytes = 512

    init(_ batch: any StagedBatch) { self.batch = batch }

    var byteCount: Int { monitor.locked { bytes } }

    /// Hands a pack's bytes to the store. Its writer's lock is held, so that no cut comes in between.
    func stage(_ pack: SealedPack, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        try monitor.locked({ batch }).stage(ObjectNames.pack(pack.pack.id), bytes)
        append(pack)
    }

    /// Adds a pack that the store has.
    func append(_ pack: SealedPack) {
        monitor.locked {
            packs.append(pack)
            bytes += max(Int(pack.pack.size), pack.blobs.count * Self.leastBlobBytes)
        }
    }

    /// Says that something which others may refer to has not been stored.
    func fail() { monitor.locked { hasFailed = true } }

    /// Says so, and gives up what is staged.
    func abandon() {
        fail()
        monitor.locked({ batch }).abandon()
    }

    /// All packs since the last call and what they are staged in; nil after a failure. What comes now goes to `next`.
    func take(goingOnIn next: any StagedBatch) -> (packs: [SealedPack], batch: any StagedBatch)? {
        monitor.locked {
            if hasFailed { return nil }
            defer { (packs, bytes, batch) = ([], 0, next) }
            return (packs, batch)
        }
    }

    /// All packs since the last cut, wherever they are; none after a failure.
    func takePacks() -> [SealedPack] {
        monitor.locked {
            if hasFailed { return [] }
            defer { (packs, bytes) = ([], 0) }
            return packs
        }
    }
}
