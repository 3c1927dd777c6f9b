// RepairIndex: makes a new index from the packs in the store. Each pack ends with a list of its own blobs. If this list
// is whole, the repair uses it. If not, it uses the old index's entries for the pack, where they can be read, and
// searches the pack for further blobs.
//
// The repair builds the new index in a file, like the local index table, so that the memory does not grow with the
// index.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Repairs the index.
public final class RepairIndex: RepositoryRepair {
    override func attempt() throws -> Bool {
        onEvent(.step("index"))
        var snapshots = try repository.snapshotList()
        let old = try BlobIndex(repository, rebuilding: true) { self.note($0.object, $0.reason) }
        let replacement = try IndexReplacement(repository, old.trusted, request)
        try noteMissingSegments(old.trusted)
        onEvent(.step("packs"))
        let stored = try repository.listPacks()
        let (gathered, partial) = try gather(
            old, stored.filter { !replacement.deletedPacks.contains($0.key) })
        let (new, before) = (gathered.sorted, try old.soundIndex())
        let rescued = PackFiller(repository, isDryRun: request.isDryRun)
        let returned = stored.filter { replacement.deletedPacks.contains($0.key) || partial.contains($0.key) }
        try rescue(returned, before, new, to: rescued)
        if stop.isRequested { return try interrupt() }
        try compare(before, new, rescued)
        if report.wasNeeded, !request.isDryRun {
            guard try replacement.decide(try writeBase(new, rescued, replacement.round)) else { return false }
            if report.lostBlobs > 0 { try replacement.endSessions() }
        } else if try !isUndisturbed() {
            return false
        }
        tellHeld()
        onEvent(.step("manifests"))
        var now = old
        if report.wasNeeded, !request.isDryRun {
            snapshots = try repository.snapshotList()
            now = try BlobIndex(repository)
        }
        // If a dry run found faults, the index still has them and cannot show which files are lost. So it is not
        // searched for losses.
        if !request.isDryRun || !report.wasNeeded {
            try LossFinder(repository: repository, onEvent: onEvent, stop: stop).find(
                snapshots, in: now, DamagedBlobs(), &report)
        }
        return true
    }

    private func note(_ object: String, _ reason: String) {
        report.wasNeeded = true
        hold(.damage(object: object, reason: reason))
    }

    /// Notes the missing segments of committed sessions, and the plans that cannot be read.
    private func noteMissingSegments(_ trusted: TrustedSegments) throws {
        let decision = trusted.collections.decision
        // If a prune's newest decision cannot be read, it is unknown which segments it replaced with new ones. Then no
        // missing segment is reported.
        let isTold = trusted.round == 0 || decision != nil
        let superseded = Set(decision?.superseded ?? [])
        for id in trusted.outcomes.committed.subtracting(superseded).sorted() where isTold {
            guard !trusted.sessions.contains(id), let record = try? repository.snapshot(id), record.hasIndex
            else { continue }
            note(ObjectNames.indexSegment(id).description, "the index segment is missing")
        }
        for number in trusted.collections.rounds.open {
            do { _ = try repository.collectionPlan(number) } catch let error as CorruptionError {
                note(error.object, error.reason)
            }
        }
    }

    // MARK: Contents of packs

    /// Returns an index of the packs, and the partial packs. A partial pack has damaged blobs, and the old index does
    /// not name it. The new index must not name it either, so `rescue` copies needed blobs out of it.
    private func gather(
        _ old: BlobIndex, _ stored: [ID128: Int]
    ) throws -> (index: GatheredIndex, partial: Set<ID128>) {
        let listed = stored.sorted { $0.key < $1.key }
        report.packs = listed.count
        let gathered = GatheredIndex(repository)
        let salvage = PackSalvage(repository)
        // An earlier repair may have removed damaged packs from the index. If the old index is whole, the list in such
        // a pack must not bring the pack back.
        let named = report.wasNeeded ? nil : Set(old.packs.map(\.id))
        var partial: Set<ID128> = []
        var silent: [ID128: (size: Int, entries: [IndexEntry])] = [:]
        for (number, (pack, size)) in listed.enumerated() {
            if stop.isRequested { return (gathered, partial) }
            onEvent(.progress(done: UInt64(number), total: UInt64(listed.count)))
            if let (kind, blobs) = try salvage.footer(of: pack, size: size) {
                let indexed = IndexedPack(id: pack, size: UInt64(size), kind: kind)
                if named?.contains(pack) == false, try !isWhole(indexed, blobs, salvage) {
                    partial.insert(pack)
                } else {
                    try gathered.add(indexed, blobs)
                }
            } else {
                silent[pack] = (size, [])
            }
        }
        guard !silent.isEmpty else { return (gathered, partial) }
        onEvent(.step("damaged packs"))
        let sorted = try old.soundIndex()
        var known: [ID128: IndexedPack] = [:]
        for pack in sorted.packs where silent[pack.id] != nil { known[pack.id] = pack }
        try sorted.forEach { _, entry in silent[sorted.packs[Int(entry.pack)].id]?.entries.append(entry) }
        for (pack, (size, entries)) in silent.sorted(by: { $0.key < $1.key }) where !stop.isRequested {
            hold(
                .damage(
                    object: ObjectNames.pack(pack).description, reason: "its list of blobs cannot be read"))
            report.damagedPacks += 1
            try add(pack, size, entries, known[pack], to: gathered, salvage)
        }
        return (gathered, partial)
    }

    private func isWhole(_ pack: IndexedPack, _ blobs: [BlobRecord], _ salvage: PackSalvage) throws -> Bool {
        for blob in blobs where !stop.isRequested {
            let entry = IndexEntry(
                id: blob.id, pack: 0, offset: blob.offset, rawLength: blob.rawLength,
                storedLength: blob.storedLength)
            if try salvage.blob(entry, blob, of: pack, size: Int(pack.size)) == nil { return false }
        }
        return true
    }

    /// Adds a pack whose own list of blobs cannot be read.
    private func add(
        _ pack: ID128, _ size: Int, _ entries: [IndexEntry], _ known: IndexedPack?,
        to gathered: GatheredIndex,
        _ salvage: PackSalvage
    ) throws {
        // Bytes beyond the size in the index do not belong to this pack. If the index does not know the size, the limit
        // is the size of the largest permitted pack.
        let most = known.map { Int($0.size) } ?? FormatLimits.packBytes
        let size = min(size, most)
        let found = try salvage.search(pack, size: size)
        guard let kind = known?.kind ?? found?.kind else { return }
        var blobs: [ID128: BlobRecord] = [:]
        // The entries of the old index stay, even for damaged blobs. If only a blob's header is damaged, its entry is
        // the last way to find the blob.
        for entry in entries {
            blobs[entry.id] = BlobRecord(
                id: entry.id, offset: entry.offset, rawLength: entry.rawLength,
                storedLength: entry.storedLength, codec: .raw, storedChecksum: 0)
        }
        for blob in (found?.blobs ?? []).reversed()
        where found?.kind == kind && blob.endOffset <= most - PackLayout.tailBytes {
            blobs[blob.id] = blob
        }
        let end = blobs.values.reduce(size) { max($0, $1.endOffset + PackLayout.tailBytes) }
        // If the old index does not know the pack's size, the new index gets the size in the store, or a larger one if
        // the blobs and the pack's tail need it.
        let bytes = known?.size ?? UInt64(end)
        try gathered.add(IndexedPack(id: pack, size: bytes, kind: kind), Array(blobs.values))
    }

    // MARK: Returned packs

    /// Copies needed blobs out of partial packs and out of packs that a decision deletes, if no other pack has them.
    private func rescue(
        _ returned: [ID128: Int], _ old: SortedIndex, _ new: SortedIndex, to filler: PackFiller
    ) throws {
        guard !returned.isEmpty, !stop.isRequested else { return }
        // The search for needed blobs reads manifests. Some of these may lie in packs that the old index does not name.
        // So the search also gets the contents of these packs, as one more index segment.
        var strays: [ID128: [BlobRecord]] = [:]
        let isKnown = Set(old.packs.map(\.id))
        try new.forEach { _, entry in
            let pack = new.packs[Int(entry.pack)].id
            guard !isKnown.contains(pack) else { return }
            strays[pack, default: []].append(
                BlobRecord(
                    id: entry.id, offset: entry.offset, rawLength: entry.rawLength,
                    storedLength: entry.storedLength, codec: .raw, storedChecksum: 0))
        }
        let contents = new.packs.compactMap { pack in strays[pack.id].map { (pack, $0) } }
        let segment = IndexSegment(session: ID128(from: repository.random), contents: contents)
        let copied = try ReturnedPacks(repository, returned, stop: stop).rescue(
            without: new, strays: contents.isEmpty ? [] : [segment], to: filler)
        for (pack, blobs) in copied { hold(.salvaged(pack: pack, blobs: blobs, of: blobs)) }
        report.salvagedBlobs = filler.copies.count
        report.writtenBytes = filler.writtenBytes
    }

    /// Writes the new index: the blobs in the packs, and the copied blobs.
    private func writeBase(
        _ new: SortedIndex, _ rescued: PackFiller, _ round: UInt64
    ) throws -> [ID128] {
        var base = BaseIndex(repository, round: round, packs: new.packs + rescued.packs)
        var rest = rescued.copies[...]
        func appendRescued(before id: ID128?) throws {
            while let copy = rest.first, id.map({ copy.id < $0 }) ?? true {
                rest.removeFirst()
                try base.append(copy.entry(firstPack: new.packs.count))
            }
        }
        try new.forEachBlob { _, copies in
            try appendRescued(before: copies[0].id)
            try base.append(copies)
        }
        try appendRescued(before: nil)
        return try base.finish()
    }

    // MARK: Comparison

    private func compare(_ old: SortedIndex, _ new: SortedIndex, _ rescued: PackFiller) throws {
        let saved = Set(rescued.copies.map(\.id))
        func has(_ index: SortedIndex, _ entry: IndexEntry, in pack: ID128) -> Bool {
            index.copies(of: entry.id).contains { copy in
                index.packs[Int(copy.pack)].id == pack && copy.offset == entry.offset
                    && copy.rawLength == entry.rawLength && copy.storedLength == entry.storedLength
            }
        }
        try new.forEachBlob { _, copies in if old.position(of: copies[0].id) == nil { report.foundBlobs += 1 }
        }
        try old.forEachBlob { _, copies in
            if saved.contains(copies[0].id) { return }
            if new.position(of: copies[0].id) == nil {
                report.lostBlobs += 1
            } else if !copies.contains(where: { has(new, $0, in: old.packs[Int($0.pack)].id) }) {
                // The blob lies elsewhere than the old index says.
                report.foundBlobs += 1
            }
        }
        report.foundBlobs += saved.count
        if report.foundBlobs + report.lostBlobs > 0 { report.wasNeeded = true }
    }
}

/// An index that is built pack by pack.
private final class GatheredIndex {
    private let repository: Repository
    private let cache: RenamedCache
    private var table: IndexTable?
    private var overlay = IndexOverlay()
    private var pending: [IndexSegment] = []
    private var pendingEntries = 0
    /// The number of entries to sort at a time. `overlayEntries` is the number to keep in memory.
    private static let batchEntries = 1 << 16
    private static let overlayEntries = 1 << 20

    init(_ repository: Repository) {
        self.repository = repository
        cache = RenamedCache(repository.cache)
    }

    /// Adds a pack and its blobs.
    func add(_ pack: IndexedPack, _ blobs: [BlobRecord]) throws {
        pending.append(
            IndexSegment(session: ID128(from: repository.random), contents: [(pack, blobs)]))
        pendingEntries += blobs.count
        if pendingEntries >= Self.batchEntries { merge() }
    }

    private func merge() {
        guard !pending.isEmpty else { return }
        overlay.add(pending)
        (pending, pendingEntries) = ([], 0)
        guard overlay.entries.count >= Self.overlayEntries,
            let merged = try? IndexTable.write(
                merging: table, overlay, repository: repository.config.id,
                generation: ID128(from: repository.random), to: cache),
            merged.isSound()
        else { return }
        (table, overlay) = (merged, IndexOverlay())
    }

    deinit { if table != nil { cache.clear() } }

    /// The index of everything that was added.
    var sorted: SortedIndex {
        merge()
        return SortedIndex(table: table, overlay: overlay)
    }
}

/// The cache of a repository, with other file names, so that the new index does not replace the local index table.
private final class RenamedCache: LocalCache {
    private let cache: any LocalCache

    init(_ cache: any LocalCache) { self.cache = cache }

    func map(_ name: String) -> MappedBytes? { cache.map(name + ".rebuilt") }

    func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) throws { try cache.replace(name + ".rebuilt", write) }

    /// Frees the space of the table.
    func clear() { try? replace(IndexTable.cacheName) { _ in } }
}
