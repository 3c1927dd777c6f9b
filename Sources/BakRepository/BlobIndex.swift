// BlobIndex: which blobs the repository has and where. It is the mapped table, then what the table does not
// hold yet, then what this run has claimed but not published.
//
// An index segment is trusted only if its session committed: `index/<id>` counts when `snapshots/<id>` is
// there. A claim is made once per run and id, by whoever will store the blob.

import BakCore
import BakFormat
import BakStorage

/// The repository's index. May be used from any thread.
public final class BlobIndex: @unchecked Sendable {
    /// The published part, replaced as a whole.
    private final class View: Sendable {
        let table: IndexTable?
        let overlay: IndexOverlay
        init(table: IndexTable?, overlay: IndexOverlay) {
            self.table = table
            self.overlay = overlay
        }
    }

    /// Claims whose ids fall together. Sharded so that workers seldom meet. A class: to read the monitor out of
    /// a struct could read the lengths beside it, which another thread changes.
    private final class Shard: @unchecked Sendable {
        let monitor = Monitor()
        var lengths: [ID128: UInt32] = [:]
    }

    private let repository: Repository
    private let witness: PackWitness?
    private let viewMonitor = Monitor()
    private var currentView: View
    /// Held by whoever replaces the view.
    private let updateMonitor = Monitor()
    /// The table that was last found sound as a whole.
    private var soundTable: IndexTable?
    private let shards: [Shard]
    private static let shardBits: UInt64 = 6
    /// The overlay is merged into the table when it has more entries than this and a sixteenth of the table.
    private static let overlayEntries = 4096
    private static let overlayEntriesLimit = 1 << 20

    /// Opens the index: maps the table and reads the segments that it does not hold.
    ///
    /// - Parameters:
    ///   - repository: the repository.
    ///   - rebuilding: whether to leave the cached table aside and read every segment from the store.
    ///   - onDamage: told of segments that cannot be read, which are then left out; nil to throw.
    public convenience init(
        _ repository: Repository, rebuilding: Bool = false, onDamage: ((CorruptionError) -> Void)? = nil
    ) throws {
        try self.init(repository, rebuilding: rebuilding, witness: nil, onDamage: onDamage)
    }

    /// The same for a backup; `witness` is told of the packs of blobs that need not be stored again.
    init(
        _ repository: Repository, rebuilding: Bool, witness: PackWitness?,
        onDamage: ((CorruptionError) -> Void)?
    ) throws {
        self.repository = repository
        self.witness = witness
        let committed = Set(try repository.store.list(Layout.snapshots).compactMap { Layout.id(in: $0.key) })
        let trusted = Set(try repository.store.list(Layout.index).compactMap { Layout.id(in: $0.key) })
            .intersection(committed)
        var table =
            rebuilding
            ? nil
            : repository.cache.map(IndexTable.cacheName).flatMap {
                IndexTable($0, repository: repository.config.id)
            }
        if let covered = table?.sessions, !covered.isSubset(of: trusted) { table = nil }
        currentView = View(table: table, overlay: IndexOverlay())
        shards = (0..<(1 << Self.shardBits)).map { _ in Shard() }

        try load(trusted.subtracting(table?.sessions ?? []), onDamage: onDamage)
    }

    /// Reads the segments of sessions from the store and publishes them.
    private func load(_ sessions: Set<ID128>, onDamage: ((CorruptionError) -> Void)? = nil) throws {
        var pending: [IndexSegment] = []
        var pendingEntries = 0
        for session in sessions.sorted() {
            do {
                let segment = try repository.indexSegment(session)
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

    /// Sees to it that the table is sound as a whole, or else leaves it and reads its sessions' segments
    /// again. The update lock must be held.
    private func leaveUnsoundTable() throws {
        let old = view
        guard let table = old.table, table !== soundTable else { return }
        if table.isSound() {
            soundTable = table
            return
        }
        let segments = try table.sessions.sorted().map(repository.indexSegment)
        var overlay = old.overlay
        overlay.add(segments)
        replaceView(View(table: nil, overlay: overlay))
    }

    private func replaceView(_ new: View) { viewMonitor.locked { currentView = new } }

    private var view: View { viewMonitor.locked { currentView } }

    /// Finds a published blob; nil when there is none of this id and length.
    public func location(of reference: BlobReference) -> BlobLocation? {
        // A damaged block of the table hides its blobs: look there before a blob is called missing.
        guard let (entry, pack) = find(reference.id) ?? findAfterCheckingTable(reference.id),
            entry.rawLength == reference.length
        else { return nil }
        return BlobLocation(pack: pack.id, offset: entry.offset, storedLength: entry.storedLength)
    }

    /// Whether a blob is published, for who will refer to it instead of storing it.
    public func holds(_ reference: BlobReference) -> Bool {
        guard let (entry, pack) = find(reference.id) ?? findAfterCheckingTable(reference.id),
            entry.rawLength == reference.length
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

    private func findAfterCheckingTable(_ id: ID128) -> (IndexEntry, IndexedPack)? {
        guard (try? updateMonitor.locked({ try leaveUnsoundTable() })) != nil else { return nil }
        // Look again even when the table was sound: another thread may have left the one looked into before.
        return find(id)
    }

    /// A published blob's reference and the kind of pack it is in, by its id alone.
    public func blob(_ id: ID128) -> (BlobReference, ObjectKind)? {
        (find(id) ?? findAfterCheckingTable(id)).map { entry, pack in
            (BlobReference(id: id, length: entry.rawLength), pack.kind)
        }
    }

    /// How many blobs are published; a blob that several sessions stored may count more than once.
    public var count: Int { (view.table?.count ?? 0) + view.overlay.entries.count }

    /// The packs of published blobs.
    public var packs: [IndexedPack] { (view.table?.packs ?? []) + view.overlay.packs }

    /// Hands every published blob and its pack to `body`, sorted by id.
    ///
    /// A damaged table is left aside first; when the store cannot be read then, nothing is handed out and
    /// the error is thrown.
    public func forEach(_ body: (IndexEntry, IndexedPack) throws -> Void) throws {
        try updateMonitor.locked { try leaveUnsoundTable() }
        let view = view
        let packs = (view.table?.packs ?? []) + view.overlay.packs
        try MergedEntries(table: view.table, overlay: view.overlay).forEach {
            try body($0, packs[Int($0.pack)])
        }
    }

    private func find(_ id: ID128) -> (IndexEntry, IndexedPack)? {
        let view = view
        if let table = view.table, let entry = table.find(id) { return (entry, table.packs[Int(entry.pack)]) }
        return view.overlay.find(id).map { ($0, view.overlay.packs[Int($0.pack)]) }
    }

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
            if let (entry, itsPack) = find(reference.id) {
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
    private func publish(_ segments: [IndexSegment]) {
        guard !segments.isEmpty else { return }
        updateMonitor.lock()
        defer { updateMonitor.unlock() }
        var overlay = view.overlay
        overlay.add(segments)
        let table = view.table
        replaceView(View(table: table, overlay: overlay))
        let limit = min(max(Self.overlayEntries, (table?.count ?? 0) / 16), Self.overlayEntriesLimit)
        guard overlay.entries.count > limit || overlay.sessions.count > 64 else { return }
        // A damaged table is never copied, and a cache that cannot be written only costs memory.
        guard (try? leaveUnsoundTable()) != nil,
            let merged = try? IndexTable.write(
                merging: view.table, view.overlay, repository: repository.config.id, to: repository.cache),
            merged.isSound()
        else { return }
        soundTable = merged
        replaceView(View(table: merged, overlay: IndexOverlay()))
    }
}

extension Repository {
    /// Reads the index segment of a session.
    public func indexSegment(_ session: ID128) throws -> IndexSegment {
        let key = Layout.indexSegment(session)
        let bytes = try store.readWhole(key, upTo: FormatLimits.packBytes)
        return try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try IndexSegment(
                decoding: bytes, object: key.description, session: session, context: context)
        }
    }
}
