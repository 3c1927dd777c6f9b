// BaseIndex: writes the index that holds after a decision. This index is the base, and the decision names its segments.
// For a copied blob it names the new pack; for any other blob, a pack that stays.
//
// The base names several copies of a blob if it is unknown which of them is whole. A segment names a blob only once, so
// these copies go into different layers. A layer is a sequence of segments in the order of ids.

import BakCore
import BakFormat
import BakStorage

/// Writes the segments of a base. For one thread.
struct BaseIndex {
    private let repository: Repository
    private let round: UInt64
    private let packs: [IndexedPack]
    /// The large segments, staged until `finish` publishes them.
    private let batch: any StagedBatch
    private var layers: [Layer] = []

    /// Starts the base of a round. Entries refer to `packs` by index.
    init(_ repository: Repository, round: UInt64, packs: [IndexedPack]) {
        (self.repository, self.round, self.packs) = (repository, round, packs)
        batch = repository.store.makeBatch(of: nil)
    }

    /// Adds the copies of a blob. Ids must increase strictly from call to call.
    mutating func append(_ copies: [IndexEntry]) throws {
        for (layer, copy) in copies.enumerated() { try append(copy, to: layer) }
    }

    /// Adds the only copy of a blob.
    mutating func append(_ copy: IndexEntry) throws { try append(copy, to: 0) }

    private mutating func append(_ copy: IndexEntry, to layer: Int) throws {
        if layer == layers.count { layers.append(Layer(repository, batch, round: round, packs: packs)) }
        try layers[layer].append(copy)
    }

    /// Makes the base durable and visible. Returns its segments' ids.
    mutating func finish() throws -> [ID128] {
        for layer in layers.indices { try layers[layer].finish() }
        let segments = layers.flatMap(\.segments)
        if !segments.isEmpty { try batch.publish() }
        return segments
    }

    /// Writes the base of a collection. A copied blob gets its new place. Of every other blob, the base names the
    /// copies that `choice` keeps outside of `deleted`.
    static func write(
        _ sorted: SortedIndex, live: LiveBlobs, choice: CopyChoice, without deleted: Set<ID128>,
        packs newPacks: [IndexedPack], copies: [CopiedBlob], round: UInt64, _ repository: Repository,
        onProgress: (Int) throws -> Void
    ) throws -> [ID128] {
        var base = BaseIndex(repository, round: round, packs: sorted.packs + newPacks)
        let isDeleted = sorted.packs.map { deleted.contains($0.id) }
        var rest = copies[...]
        var done = 0
        try sorted.forEachBlob { position, entries in
            done += 1
            if done % 65536 == 0 { try onProgress(done) }
            if let copy = rest.first, copy.id == entries[0].id {
                rest.removeFirst()
                var entry = entries[0]
                entry.pack = UInt32(sorted.packs.count + copy.pack)
                (entry.offset, entry.storedLength) = (copy.offset, copy.storedLength)
                return try base.append(entry)
            }
            guard live.contains(position) else {
                if let entry = choice.best(entries.filter { !isDeleted[Int($0.pack)] }) {
                    try base.append(entry)
                }
                return
            }
            let needed = choice.needed(entries)
            // This cannot happen, because a pack is deleted only if its needed blobs were copied. If it did, the error
            // would prevent the decision.
            if needed.contains(where: { isDeleted[Int($0.pack)] }) {
                throw MissingBlobError(id: entries[0].id)
            }
            try base.append(needed)
        }
        return try base.finish()
    }
}

/// Segments in the order of ids. Together they name each blob at most once.
private struct Layer {
    private let repository: Repository
    private let batch: any StagedBatch
    private let round: UInt64
    /// The packs that entries may refer to.
    private let packs: [IndexedPack]
    private var entries: [IndexEntry] = []
    /// The ids of the segments written so far.
    private(set) var segments: [ID128] = []
    /// The largest number of entries in a segment.
    private static let entriesPerSegment = 1 << 20
    /// A segment of at most this many bytes is put immediately and not staged.
    private static let smallBytes = 256 << 10

    init(_ repository: Repository, _ batch: any StagedBatch, round: UInt64, packs: [IndexedPack]) {
        self.repository = repository
        self.batch = batch
        self.round = round
        self.packs = packs
    }

    /// Adds an entry. Ids must increase strictly from call to call.
    mutating func append(_ entry: IndexEntry) throws {
        if entries.count == Self.entriesPerSegment { try writeSegment() }
        entries.append(entry)
    }

    private mutating func writeSegment() throws {
        let used = Set(entries.map(\.pack)).sorted { packs[Int($0)].id < packs[Int($1)].id }
        var numbers: [UInt32: UInt32] = [:]
        for (number, pack) in used.enumerated() { numbers[pack] = UInt32(number) }
        for place in entries.indices { entries[place].pack = numbers[entries[place].pack]! }
        let segment = IndexSegment(
            session: ID128(from: repository.random), packs: used.map { packs[Int($0)] }, entries: entries)
        let key = ObjectNames.baseSegment(round, segment.session)
        let bytes = segment.encode(repository.context)
        if bytes.count <= Self.smallBytes {
            // A full store can use its reserve for a small segment.
            try repository.store.putUnderFreshName(key, bytes, fromReserve: true)
        } else {
            try bytes.withUnsafeBytes { try batch.stage(key, $0) }
        }
        segments.append(segment.session)
        entries.removeAll(keepingCapacity: true)
    }

    /// Writes the last segment of the layer.
    mutating func finish() throws { if !entries.isEmpty { try writeSegment() } }
}
