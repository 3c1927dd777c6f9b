// BlobIndex: which blobs the repository has, and where they lie. A look-up searches the mapped table, then the overlay,
// which holds the segments that the table does not hold yet. Only trusted segments count (`TrustedSegments`).
//
// A claim reserves the id of a blob that this run will store and has not published yet. Only one thread of a run gets
// the claim on an id, and that thread must store the blob. So the run stores each blob once.
//
// A backup never relies on a condemned pack, because a collection may delete the pack at any time. A reader may use a
// condemned pack: if the pack is deleted, the reader loads the index again.

import BakCore
import BakFormat
import BakStorage

/// The repository's index. May be used from any thread.
public final class BlobIndex: @unchecked Sendable {
    /// The published blobs. A new view replaces the old view as a whole.
    private final class View: Sendable {
        let sorted: SortedIndex
        /// Packs that a backup must not rely on.
        let excluded: Set<ID128>
        var table: IndexTable? { sorted.table }
        var overlay: IndexOverlay { sorted.overlay }

        init(table: IndexTable?, overlay: IndexOverlay, excluded: Set<ID128>) {
            sorted = SortedIndex(table: table, overlay: overlay)
            self.excluded = excluded
        }
    }

    /// The claims of one range of ids. There are many shards, so that threads seldom wait for each other. A shard is a
    /// class: if it were a struct, a thread that reads only `monitor` could copy the whole struct, and so read
    /// `lengths` while another thread changes it.
    private final class Shard: @unchecked Sendable {
        let monitor = Monitor()
        var lengths: [ID128: UInt32] = [:]
    }

    /// The purpose that an index is opened for.
    enum Purpose {
        /// Reading blobs. The reader verifies them.
        case reading
        /// Storing blobs, and relying on blobs that are published.
        case storing(PackPresence)
        /// Deciding which packs and blobs stay.
        case collecting

        var isReading: Bool { if case .reading = self { true } else { false } }
        var isStoring: Bool { if case .storing = self { true } else { false } }
    }

    private let repository: Repository
    private let purpose: Purpose
    /// Checks the packs that a backup relies on; nil for other purposes.
    private let presence: PackPresence?
    private let viewMonitor = Monitor()
    private var currentView: View
    /// Held while `refreshIfCollected` loads the index again. Until the load ends, the view holds only a part of the
    /// index. A reader that misses a blob in this view also calls `refreshIfCollected`, and so waits for the whole
    /// index.
    private let refreshMonitor = Monitor()
    /// Held while the view is replaced.
    private let updateMonitor = Monitor()
    /// The last table that was found sound as a whole.
    private var soundTable: IndexTable?
    /// True if a table changed after look-ups used it. Guarded by `updateMonitor`.
    private var hasUsedChangedTable = false
    /// The segments that the view was loaded from. Guarded by `viewMonitor`.
    private var loaded: TrustedSegments
    private let shards: [Shard]
    private static let shardBits: UInt64 = 6
    /// The overlay is merged into the table when the overlay has too many segments or entries. The limit for entries is
    /// a sixteenth of the number in the table, but at least `overlayEntries` and at most `overlayEntriesLimit`.
    private static let overlayEntries = 4096
    private static let overlayEntriesLimit = 1 << 20
    /// How often a collection may interfere with a load before the load fails.
    private static let loadAttempts = 100

    /// Opens the index: maps the table and reads the segments that the table does not hold.
    ///
    /// - Parameters:
    ///   - repository: the repository.
    ///   - rebuilding: true to ignore the cached table and read every segment from the store.
    ///   - onDamage: called for each segment that cannot be read, which the index then leaves out. If it is nil, such a
    ///     segment is an error.
    /// - Throws: `StoreError`; without `onDamage` also `CorruptionError` if a segment is damaged or missing.
    public convenience init(
        _ repository: Repository, rebuilding: Bool = false, onDamage: ((CorruptionError) -> Void)? = nil
    ) throws {
        try self.init(repository, for: .reading, rebuilding: rebuilding, onDamage: onDamage)
    }

    /// Opens the index for any purpose.
    init(
        _ repository: Repository, for purpose: Purpose, rebuilding: Bool = false,
        onDamage: ((CorruptionError) -> Void)? = nil, _ milestones: Milestones = Milestones()
    ) throws {
        self.repository = repository
        self.purpose = purpose
        if case .storing(let presence) = purpose { self.presence = presence } else { presence = nil }
        currentView = View(table: nil, overlay: IndexOverlay(), excluded: [])
        shards = (0..<(1 << Self.shardBits)).map { _ in Shard() }
        loaded = TrustedSegments(
            collections: CollectionState(rounds: .init(), decision: nil, openPlans: []))
        try load(rebuilding: rebuilding, excluding: [], onDamage: onDamage, milestones)
    }

    // MARK: Loading

    /// Loads the index again from the segments that are trusted now. Claims stay. The index loses the blobs that an
    /// uncommitted session has passed to `publishClaims`, so the session must publish them again.
    func reload(
        excluding packs: Set<ID128>, onDamage: ((CorruptionError) -> Void)? = nil,
        _ milestones: Milestones = Milestones()
    ) throws {
        try load(rebuilding: false, excluding: packs, onDamage: onDamage, milestones)
    }

    /// Excludes these packs from the results of `holds` and `claim`.
    func exclude(_ packs: Set<ID128>) {
        updateMonitor.locked {
            let old = view
            guard old.excluded != packs else { return }
            replaceView(View(table: old.table, overlay: old.overlay, excluded: packs))
        }
    }

    /// True if a backup must not rely on the pack.
    func isExcluded(_ pack: ID128) -> Bool { view.excluded.contains(pack) }

    /// Loads the index again if a collection was decided since the last load, or if the table's file has changed. A
    /// blob that was missing may then be found in another pack. Does so only if the purpose of the index is reading.
    /// Returns true if the index was loaded again.
    ///
    /// - Throws: `CorruptionError` if a segment is damaged or missing, and `StoreError`.
    public func refreshIfCollected() throws -> Bool {
        guard purpose.isReading else { return false }
        return try refreshMonitor.locked {
            let known = viewMonitor.locked { loaded.round }
            guard try !isIntact || repository.collectionRounds().decided != known else { return false }
            try load(rebuilding: false, excluding: [], onDamage: nil, Milestones())
            return true
        }
    }

    /// True if the snapshot existed when the index was loaded. If false, the index may lack blobs of the snapshot.
    public func isSince(_ snapshot: CommitRecord) -> Bool {
        let outcomes = trusted.outcomes
        return outcomes.committed.contains(snapshot.id) || outcomes.damaged.contains(snapshot.id)
    }

    /// The segments that the index was loaded from.
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
                // If a newer decision superseded and removed the segment, try again. Otherwise the segment is lost.
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
            // A decision or plan cannot be read, so it is unknown which segments count. A reader may use all of them,
            // because it verifies every blob. Backups and collections must not rely on any.
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

    /// Makes sure that the table is sound as a whole. If it is not, drops it, reads its segments again from the store,
    /// and writes a new table or an empty file. The caller holds `updateMonitor`.
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
            // Empties the cache file, so that the next command does not have to find the damage again.
            try? repository.cache.replace(IndexTable.cacheName) { _ in }
        }
    }

    private var isIntact: Bool { view.table?.isIntact ?? true }

    /// Throws if an earlier answer of this index may be wrong because its table changed. Call it before publishing
    /// anything that relies on the index.
    func expectIntact() throws(RepositoryError) {
        guard updateMonitor.locked({ isIntact && !hasUsedChangedTable }) else { throw .cacheChanged }
    }

    private func replaceView(_ new: View) { viewMonitor.locked { currentView = new } }

    private var view: View { viewMonitor.locked { currentView } }

    /// The whole content of the index except claims, for `Milestones`.
    var knowledge: String {
        let view = view
        var lines = ["\(view.excluded.sorted()) \(view.sorted.packs)"]
        try? view.sorted.forEachBlob { _, copies in lines.append("\(copies)") }
        return lines.joined(separator: "; ")
    }

    // MARK: Looking up

    /// Returns the location of a published blob; nil if there is none of this id and length.
    public func location(of reference: BlobReference) -> BlobLocation? {
        // A damaged block of the table hides its blobs, so check the table before calling a blob missing.
        guard let (entry, pack) = find(reference) ?? findAfterCheckingTable(reference) else { return nil }
        return BlobLocation(pack: pack.id, offset: entry.offset, storedLength: entry.storedLength)
    }

    /// Returns all locations of a published blob: several runs may have stored it at once.
    public func locations(of reference: BlobReference) -> [BlobLocation] {
        let view = view
        return view.sorted.copies(of: reference.id).compactMap { entry in
            let pack = view.sorted.packs[Int(entry.pack)].id
            guard entry.rawLength == reference.length else { return nil }
            return BlobLocation(pack: pack, offset: entry.offset, storedLength: entry.storedLength)
        }
    }

    /// True if the blob is published in a pack that is not excluded. Then the caller may refer to it instead of storing
    /// it.
    public func holds(_ reference: BlobReference) -> Bool {
        guard
            let (_, pack) = find(reference, counting: true)
                ?? findAfterCheckingTable(reference, counting: true)
        else { return false }
        presence?.note(pack)
        return true
    }

    /// True if the blob is published, or claimed by this run.
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
        // Look again even if the table is sound now: another thread may have replaced a damaged table since the first
        // look.
        checkTable() ? find(reference, counting: counting) : nil
    }

    private func checkTable() -> Bool { (try? updateMonitor.locked({ try leaveUnsoundTable() })) != nil }

    /// Returns the reference of the published blob with this id, and the kind of its pack.
    public func blob(_ id: ID128) -> (BlobReference, ObjectKind)? {
        (find(id) ?? (checkTable() ? find(id) : nil)).map { entry, pack in
            (BlobReference(id: id, length: entry.rawLength), pack.kind)
        }
    }

    /// The number of published blobs. A blob that several sessions stored may count more than once.
    public var count: Int { view.sorted.count }

    /// The packs of published blobs.
    public var packs: [IndexedPack] { view.sorted.packs }

    /// Passes every published blob and its pack to `body`, sorted by id.
    ///
    /// A damaged table is replaced first. If the store cannot be read then, the call throws before it passes any blob.
    ///
    /// - Throws: what `body` throws, `RepositoryError.cacheChanged` if the table changes meanwhile, and
    ///   `CorruptionError` or `StoreError` if a segment cannot be read.
    public func forEach(_ body: (IndexEntry, IndexedPack) throws -> Void) throws {
        let sorted = try soundIndex()
        var last: ID128?
        try sorted.forEach { _, entry in
            if entry.id != last { try body(entry, sorted.packs[Int(entry.pack)]) }
            last = entry.id
        }
    }

    /// The current published entries, all verified.
    func soundIndex() throws -> SortedIndex {
        try updateMonitor.locked { try leaveUnsoundTable() }
        return view.sorted
    }

    /// Finds a blob. If `counting` is true, finds only a copy in a pack that is not excluded.
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

    /// Claims a blob for storing. Returns true if the blob is new; the caller must then store it or fail the run.
    /// Returns false if the blob is published or another claim of this run will store it.
    ///
    /// Throws `CorruptionError` if a blob of this id but another length is known: only one of two contents with one id
    /// could be kept.
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
        if let pack { presence?.note(pack) }
        guard known == reference.length else {
            throw CorruptionError(
                object: "chunk \(reference.id)", offset: 0,
                reason: "two contents of \(known) and \(reference.length) bytes have this id")
        }
        return false
    }

    /// Publishes all claimed blobs, which `segment` names. No thread may claim a blob meanwhile.
    func publishClaims(_ segment: IndexSegment) {
        publish([segment])
        for shard in shards { shard.monitor.locked { shard.lengths.removeAll(keepingCapacity: true) } }
    }

    /// Adds segments to the overlay, and merges the overlay into the table if it has grown large.
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
        // Replace a damaged table first, so that its damage is never copied.
        guard (try? leaveUnsoundTable()) != nil, !view.overlay.entries.isEmpty else { return }
        mergeOverlay()
    }

    /// Merges the overlay into the table, which is sound. If the cache cannot be written, the overlay stays in memory.
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
    /// Reads the index segment of a session.
    ///
    /// - Throws: `CorruptionError` if the segment is damaged, and `StoreError`, which is `.notFound` if there is none.
    public func indexSegment(_ session: ID128) throws -> IndexSegment {
        try indexSegment(session, at: ObjectNames.indexSegment(session))
    }

    /// Reads the index segment under `key`.
    func indexSegment(_ id: ID128, at key: ObjectKey) throws -> IndexSegment {
        let bytes = try store.readWhole(key, upTo: FormatLimits.indexBytes)
        return try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try IndexSegment(decoding: bytes, object: key.description, session: id, context: context)
        }
    }
}
