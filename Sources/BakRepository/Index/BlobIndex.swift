// BlobIndex: which blobs the repository has and where. It is the mapped table, then what the table does not
// hold yet, then what this run has claimed but not published.
//
// Only trusted segments count (TrustedSegments). A claim is made once per run and id, by whoever will store the
// blob. A backup counts on no condemned pack, which a collection may delete at any time; to read one while it is
// there does no harm.

import BakCore
import BakFormat
import BakStorage

/// The repository's index. May be used from any thread.
public final class BlobIndex: @unchecked Sendable {
    /// The published part, replaced as a whole.
    private final class View: Sendable {
        let sorted: SortedIndex
        /// Packs that may not be counted on.
        let excluded: Set<ID128>
        var table: IndexTable? { sorted.table }
        var overlay: IndexOverlay { sorted.overlay }

        init(table: IndexTable?, overlay: IndexOverlay, excluded: Set<ID128>) {
            sorted = SortedIndex(table: table, overlay: overlay)
            self.excluded = excluded
        }
    }

    /// Claims whose ids fall together. Sharded so that workers seldom meet. A class: to read the monitor out of
    /// a struct could read the lengths beside it, which another thread changes.
    private final class Shard: @unchecked Sendable {
        let monitor = Monitor()
        var lengths: [ID128: UInt32] = [:]
    }

    /// What an index is opened for.
    enum Purpose {
        /// To read what there is; what is read is verified.
        case reading
        /// To count on what there is, and to add to it.
        case storing(PackWitness)
        /// To say what there is from now on.
        case collecting

        var isReading: Bool { if case .reading = self { true } else { false } }
        var isStoring: Bool { if case .storing = self { true } else { false } }
    }

    private let repository: Repository
    private let purpose: Purpose
    /// Told of what a backup counts on.
    private let witness: PackWitness?
    private let viewMonitor = Monitor()
    private var currentView: View
    /// Held while the index is read anew, when the view has only a part of it. Whoever misses something waits for the
    /// rest.
    private let refreshMonitor = Monitor()
    /// Held by whoever replaces the view.
    private let updateMonitor = Monitor()
    /// The table that was last found sound as a whole.
    private var soundTable: IndexTable?
    /// Whether a table that look-ups have used was changed since. Guarded by `updateMonitor`.
    private var hasUsedChangedTable = false
    /// What the view was loaded from. Guarded by `viewMonitor`.
    private var loaded: TrustedSegments
    private let shards: [Shard]
    private static let shardBits: UInt64 = 6
    /// The overlay is merged into the table when it has more entries than this and a sixteenth of the table.
    private static let overlayEntries = 4096
    private static let overlayEntriesLimit = 1 << 20
    /// How often a collection may get in the way of a load.
    private static let loadAttempts = 100

    /// Opens the index: maps the table and reads the segments that it does not hold. Throws `CorruptionError` if a
    /// segment is damaged or missing and `onDamage` is nil, and `StoreError`.
    ///
    /// - Parameters:
    ///   - repository: the repository.
    ///   - rebuilding: whether to leave the cached table aside and read every segment from the store.
    ///   - onDamage: told of segments that cannot be read, which are then left out; nil to throw.
    public convenience init(
        _ repository: Repository, rebuilding: Bool = false, onDamage: ((CorruptionError) -> Void)? = nil
    ) throws {
        try self.init(repository, for: .reading, rebuilding: rebuilding, onDamage: onDamage)
    }

    /// The same for any purpose.
    init(
        _ repository: Repository, for purpose: Purpose, rebuilding: Bool = false,
        onDamage: ((CorruptionError) -> Void)? = nil, _ milestones: Milestones = Milestones()
    ) throws {
        self.repository = repository
        self.purpose = purpose
        if case .storing(let witness) = purpose { self.witness = witness } else { witness = nil }
        currentView = View(table: nil, overlay: IndexOverlay(), excluded: [])
        shards = (0..<(1 << Self.shardBits)).map { _ in Shard() }
        loaded = TrustedSegments(
            collections: CollectionState(rounds: .init(), decision: nil, openPlans: []))
        try load(rebuilding: rebuilding, excluding: [], onDamage: onDamage, milestones)
    }

    // MARK: Loading

    /// Reads the index anew from what is trusted now. Claims stay; published claims of a session that has not
    /// committed must be published again.
    func reload(
        excluding packs: Set<ID128>, onDamage: ((CorruptionError) -> Void)? = nil,
        _ milestones: Milestones = Milestones()
    ) throws {
        try load(rebuilding: false, excluding: packs, onDamage: onDamage, milestones)
    }

    /// Leaves these packs out of what `holds` and `claim` find.
    func exclude(_ packs: Set<ID128>) {
        updateMonitor.locked {
            let old = view
            guard old.excluded != packs else { return }
            replaceView(View(table: old.table, overlay: old.overlay, excluded: packs))
        }
    }

    /// Whether a pack is left out of what is counted on.
    func isExcluded(_ pack: ID128) -> Bool { view.excluded.contains(pack) }

    /// Reads the index anew if a collection has decided something since, or the table was changed: what is missing may
    /// lie elsewhere. False when there is nothing newer. Only an index that was opened for reading changes so. Throws
    /// `CorruptionError` if a segment is damaged or missing, and `StoreError`.
    public func refreshIfCollected() throws -> Bool {
        guard purpose.isReading else { return false }
        return try refreshMonitor.locked {
            let known = viewMonitor.locked { loaded.round }
            guard try !isIntact || repository.collectionRounds().decided != known else { return false }
            try load(rebuilding: false, excluding: [], onDamage: nil, Milestones())
            return true
        }
    }

    /// Whether a snapshot was there when the index was read. What later ones refer to it need not have.
    public func isSince(_ snapshot: CommitRecord) -> Bool {
        let outcomes = trusted.outcomes
        return outcomes.committed.contains(snapshot.id) || outcomes.damaged.contains(snapshot.id)
    }

    /// What the index was loaded from.
    var trusted: TrustedSegments { viewMonitor.locked { loaded } }

    private func load(
        rebuilding: Bool, excluding packs: Set<ID128>, onDamage: ((CorruptionError) -> Void)?,
        _ milestones: Milestones
    ) throws {
        for attempt in 1... {
            let milestones = milestones.inside(["\(attempt)"])
            let trusted = try listTrusted(onDamage, milestones)
            do {
                return try load(
                    trusted, rebuilding: rebuilding, excluding: packs, onDamage,
                    milestones.inside([trusted.knowledge]))
            } catch let error as StoreError where error.kind == .notFound {
                // Superseded and removed meanwhile: look again. Otherwise it is lost.
                guard attempt < Self.loadAttempts,
                    try repository.collectionRounds().decided != trusted.round
                else { throw error }
            }
        }
    }

    private func listTrusted(
        _ onDamage: ((CorruptionError) -> Void)?, _ milestones: Milestones
    ) throws -> TrustedSegments {
        let trusted: TrustedSegments
        do {
            trusted = try TrustedSegments.list(repository, isStoring: purpose.isStoring, milestones)
        } catch let error as CorruptionError {
            guard let onDamage else { throw error }
            onDamage(error)
            // A reader verifies what it reads. A backup must not count on what nobody vouches for.
            var trusted = try TrustedSegments.everything(repository)
            if !purpose.isReading { (trusted.keys, trusted.sessions) = ([:], []) }
            return trusted
        }
        for key in trusted.missing {
            let error = CorruptionError(
                object: key.description, offset: 0, reason: "the index segment is missing")
            guard let onDamage else { throw error }
            onDamage(error)
        }
        return trusted
    }

    private func load(
        _ trusted: TrustedSegments, rebuilding: Bool, excluding packs: Set<ID128>,
        _ onDamage: ((CorruptionError) -> Void)?, _ milestones: Milestones
    ) throws {
        var table =
            rebuilding
            ? nil
            : repository.cache.map(IndexTable.cacheName).flatMap {
                IndexTable($0, repository: repository.config.id)
            }
        if let covered = table?.sessions, !covered.isSubset(of: trusted.ids) { table = nil }
        updateMonitor.locked {
            replaceView(View(table: table, overlay: IndexOverlay(), excluded: packs))
        }
        viewMonitor.locked { loaded = trusted }
        var pending: [IndexSegment] = []
        var pendingEntries = 0
        for id in trusted.ids.subtracting(table?.sessions ?? []).sorted() {
            milestones.reached("segment", ["\(id) \(pending)", knowledge])
            do {
                let segment = try repository.indexSegment(id, at: trusted.keys[id]!)
                pending.append(segment)
                pendingEntries += segment.entries.count
            } catch let error as CorruptionError {
                guard let onDamage else { throw error }
                onDamage(error)
            }
            if pendingEntries >= Self.overlayEntriesLimit {
                publish(pending)
                (pending, pendingEntries) = ([], 0)
            }
        }
        publish(pending)
    }

    /// Sees to it that the table is sound as a whole, or else leaves it, reads its sessions' segments again and
    /// makes the table anew. The update lock must be held.
    private func leaveUnsoundTable() throws {
        let old = view
        guard let table = old.table else { return }
        if table === soundTable ? table.isIntact : table.isSound() {
            soundTable = table
            return
        }
        if !table.isIntact { hasUsedChangedTable = true }
        let keys = trusted.keys
        let segments = try table.sessions.sorted().map {
            try repository.indexSegment($0, at: keys[$0] ?? ObjectNames.indexSegment($0))
        }
        var overlay = old.overlay
        overlay.add(segments)
        replaceView(View(table: nil, overlay: overlay, excluded: old.excluded))
        if overlay.entries.count > Self.overlayEntries {
            mergeOverlay()
        } else {
            // The next command finds none instead of finding out again.
            try? repository.cache.replace(IndexTable.cacheName) { _ in }
        }
    }

    private var isIntact: Bool { view.table?.isIntact ?? true }

    /// Throws if something that this index has said since it was opened may be wrong, because its table was changed
    /// meanwhile. Ask before anything is published that relies on what was found.
    func expectIntact() throws(RepositoryError) {
        guard updateMonitor.locked({ isIntact && !hasUsedChangedTable }) else { throw .cacheChanged }
    }

    private func replaceView(_ new: View) { viewMonitor.locked { currentView = new } }

    private var view: View { viewMonitor.locked { currentView } }

    /// All that it says, claims apart, for `Milestones`.
    var knowledge: String {
        let view = view
        var lines = ["\(view.excluded.sorted()) \(view.sorted.packs)"]
        try? view.sorted.forEachBlob { _, copies in lines.append("\(copies)") }
        return lines.joined(separator: "; ")
    }

    // MARK: Looking up

    /// Finds a published blob; nil when there is none of this id and length.
    public func location(of reference: BlobReference) -> BlobLocation? {
        // A damaged block of the table hides its blobs: look there before a blob is called missing.
        guard let (entry, pack) = find(reference) ?? findAfterCheckingTable(reference) else { return nil }
        return BlobLocation(pack: pack.id, offset: entry.offset, storedLength: entry.storedLength)
    }

    /// Every place where a published blob lies: several runs may have stored it at once.
    public func locations(of reference: BlobReference) -> [BlobLocation] {
        let view = view
        return view.sorted.copies(of: reference.id).compactMap { entry in
            let pack = view.sorted.packs[Int(entry.pack)].id
            guard entry.rawLength == reference.length else { return nil }
            return BlobLocation(pack: pack, offset: entry.offset, storedLength: entry.storedLength)
        }
    }

    /// Whether a blob is published, for who will refer to it instead of storing it.
    public func holds(_ reference: BlobReference) -> Bool {
        guard
            let (_, pack) = find(reference, counting: true)
                ?? findAfterCheckingTable(reference, counting: true)
        else { return false }
        witness?.note(pack)
        return true
    }

    /// Whether a blob is published, or claimed by this run.
    public func isKnown(_ reference: BlobReference) -> Bool {
        let shard = shards[Int(reference.id.low >> (64 - Self.shardBits))]
        if shard.monitor.locked({ shard.lengths[reference.id] }) == reference.length { return true }
        return holds(reference)
    }

    private func find(_ reference: BlobReference, counting: Bool = false) -> (IndexEntry, IndexedPack)? {
        guard let found = find(reference.id, counting: counting), found.0.rawLength == reference.length
        else { return nil }
        return found
    }

    private func findAfterCheckingTable(
        _ reference: BlobReference, counting: Bool = false
    ) -> (IndexEntry, IndexedPack)? {
        // Look again even when the table was sound: another thread may have left the one looked into before.
        checkTable() ? find(reference, counting: counting) : nil
    }

    private func checkTable() -> Bool { (try? updateMonitor.locked({ try leaveUnsoundTable() })) != nil }

    /// A published blob's reference and the kind of pack it is in, by its id alone.
    public func blob(_ id: ID128) -> (BlobReference, ObjectKind)? {
        (find(id) ?? (checkTable() ? find(id) : nil)).map { entry, pack in
            (BlobReference(id: id, length: entry.rawLength), pack.kind)
        }
    }

    /// How many blobs are published; a blob that several sessions stored may count more than once.
    public var count: Int { view.sorted.count }

    /// The packs of published blobs.
    public var packs: [IndexedPack] { view.sorted.packs }

    /// Hands every published blob and its pack to `body`, sorted by id.
    ///
    /// A damaged table is left aside first; when the store cannot be read then, nothing is handed out and
    /// the error is thrown. Throws what `body` throws, `RepositoryError.cacheChanged` if the table changes meanwhile,
    /// and `CorruptionError` or `StoreError` if a segment cannot be read.
    public func forEach(_ body: (IndexEntry, IndexedPack) throws -> Void) throws {
        let sorted = try soundIndex()
        var last: ID128?
        try sorted.forEach { _, entry in
            if entry.id != last { try body(entry, sorted.packs[Int(entry.pack)]) }
            last = entry.id
        }
    }

    /// The published entries as they are now, all verified.
    func soundIndex() throws -> SortedIndex {
        try updateMonitor.locked { try leaveUnsoundTable() }
        return view.sorted
    }

    /// Finds a blob; one to be counted on in a pack that stays.
    private func find(_ id: ID128, counting: Bool = false) -> (IndexEntry, IndexedPack)? {
        let view = view
        var found: (IndexEntry, IndexedPack)?
        if let table = view.table, let entry = table.find(id) {
            found = (entry, table.packs[Int(entry.pack)])
        } else if let entry = view.overlay.find(id) {
            found = (entry, view.overlay.packs[Int(entry.pack)])
        }
        guard counting, let found, view.excluded.contains(found.1.id) else { return found }
        for entry in view.sorted.copies(of: id) {
            let pack = view.sorted.packs[Int(entry.pack)]
            if !view.excluded.contains(pack.id) { return (entry, pack) }
        }
        return nil
    }

    // MARK: Claims

    /// Claims a blob for storing. True: it is new, and the caller must store it or fail the run. False: it
    /// is published, or another claim of this run will store it.
    ///
    /// Throws `CorruptionError` when a blob of this id but another length is known: two contents with one
    /// id, of which only one could be kept.
    func claim(_ reference: BlobReference) throws(CorruptionError) -> Bool {
        let shard = shards[Int(reference.id.low >> (64 - Self.shardBits))]
        var pack: IndexedPack?
        let known: UInt32? = shard.monitor.locked {
            if let length = shard.lengths[reference.id] { return length }
            if let (entry, itsPack) = find(reference.id, counting: true) {
                pack = itsPack
                return entry.rawLength
            }
            shard.lengths[reference.id] = reference.length
            return nil
        }
        guard let known else { return true }
        if let pack { witness?.note(pack) }
        guard known == reference.length else {
            throw CorruptionError(
                object: "chunk \(reference.id)", offset: 0,
                reason: "two contents of \(known) and \(reference.length) bytes have this id")
        }
        return false
    }

    /// Makes claimed blobs published ones. No claim may be made meanwhile.
    func publishClaims(_ segment: IndexSegment) {
        publish([segment])
        for shard in shards { shard.monitor.locked { shard.lengths.removeAll(keepingCapacity: true) } }
    }

    /// Adds segments to the overlay, and the overlay to the table when it has grown large.
    func publish(_ segments: [IndexSegment]) {
        guard !segments.isEmpty else { return }
        updateMonitor.lock()
        defer { updateMonitor.unlock() }
        let old = view
        var overlay = old.overlay
        overlay.add(segments)
        replaceView(View(table: old.table, overlay: overlay, excluded: old.excluded))
        let limit = min(max(Self.overlayEntries, (old.table?.count ?? 0) / 16), Self.overlayEntriesLimit)
        guard overlay.entries.count > limit || overlay.sessions.count > 64 else { return }
        // A damaged table is never copied.
        guard (try? leaveUnsoundTable()) != nil, !view.overlay.entries.isEmpty else { return }
        mergeOverlay()
    }

    /// Adds the overlay to the table, which is sound. A cache that cannot be written only costs memory.
    private func mergeOverlay() {
        let old = view
        guard
            let merged = try? IndexTable.write(
                merging: old.table, old.overlay, repository: repository.config.id,
                generation: ID128(from: repository.random), to: repository.cache),
            merged.isSound()
        else { return }
        soundTable = merged
        replaceView(View(table: merged, overlay: IndexOverlay(), excluded: old.excluded))
    }
}

extension Repository {
    /// Reads the index segment of a session. Throws `CorruptionError` if it is damaged, and `StoreError`: `.notFound`
    /// if there is none.
    public func indexSegment(_ session: ID128) throws -> IndexSegment {
        try indexSegment(session, at: ObjectNames.indexSegment(session))
    }

    /// Reads an index segment that lies under `key`.
    func indexSegment(_ id: ID128, at key: ObjectKey) throws -> IndexSegment {
        let bytes = try store.readWhole(key, upTo: FormatLimits.indexBytes)
        return try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try IndexSegment(decoding: bytes, object: key.description, session: id, context: context)
        }
    }
}
