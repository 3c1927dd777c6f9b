// ReturnedPacks: packs that a decision deleted and that are there: put back from a copy of the repository, merged from
// one by a program that synchronises folders, or not yet deleted by a prune that was interrupted.
//
// A prune that is still at work may delete them at any time, so that no index may name them. What a snapshot needs and
// no other pack holds is copied out of them, as it is compressed, to new packs. The rest is left to a prune.

import BakCore
import BakFormat
import BakStorage

/// Rescues what snapshots need. For one thread.
struct ReturnedPacks {
    private let repository: Repository
    private let packs: [(pack: IndexedPack, blobs: [BlobRecord])]
    /// What they hold.
    private let held: SortedIndex
    private let stop: StopSignal

    /// Reads what the packs `returned`, with their sizes, say they hold.
    init(
        _ repository: Repository, _ returned: [ID128: Int], stop: StopSignal
    ) throws {
        self.repository = repository
        self.stop = stop
        let salvage = PackSalvage(repository)
        var packs: [(pack: IndexedPack, blobs: [BlobRecord])] = []
        for (id, size) in returned.sorted(by: { $0.key < $1.key }) where !stop.isRequested {
            guard
                let found = try Self.unlessGone({
                    try salvage.footer(of: id, size: size) ?? salvage.search(id, size: size)
                })
            else { continue }
            packs.append((IndexedPack(id: id, size: UInt64(size), kind: found.kind), found.blobs))
        }
        self.packs = packs
        var overlay = IndexOverlay()
        if !packs.isEmpty { overlay.add([Self.segment(of: packs, repository)]) }
        held = SortedIndex(table: nil, overlay: overlay)
    }

    private static func segment(
        of packs: [(pack: IndexedPack, blobs: [BlobRecord])], _ repository: Repository
    ) -> IndexSegment {
        IndexSegment(session: ID128(from: repository.random), contents: packs.map { ($0.pack, $0.blobs) })
    }

    /// Copies what snapshots refer to and `staying` does not have to the packs of `filler`, which finishes them.
    /// Returns how many blobs of each pack were copied.
    ///
    /// - Parameter strays: further packs that the trusted index does not name, with what they hold.
    func rescue(
        without staying: SortedIndex, strays: [IndexSegment], to filler: PackFiller
    ) throws -> [(pack: ID128, blobs: Int)] {
        guard held.count > 0 else { return [] }
        var entries: [UInt32: [IndexEntry]] = [:]
        for id in try wanted(without: staying, strays) {
            for entry in held.copies(of: id) { entries[entry.pack, default: []].append(entry) }
        }
        let salvage = PackSalvage(repository)
        var (saved, copied): (Set<ID128>, [(pack: ID128, blobs: Int)]) = ([], [])
        for (place, found) in entries.sorted(by: { $0.key < $1.key }) where !stop.isRequested {
            let pack = held.packs[Int(place)]
            var count = 0
            for entry in found.sorted(by: { $0.offset < $1.offset }) where !saved.contains(entry.id) {
                let form = try Self.unlessGone {
                    try salvage.blob(entry, nil, of: pack, size: Int(pack.size))
                }
                guard let form else { continue }
                try filler.append(form, of: entry, kind: pack.kind)
                saved.insert(entry.id)
                count += 1
            }
            if count > 0 { copied.append((pack.id, count)) }
        }
        try filler.finish()
        return copied
    }

    /// The blobs that only these packs hold and some snapshot refers to.
    private func wanted(without staying: SortedIndex, _ strays: [IndexSegment]) throws -> Set<ID128> {
        // In this order: what is committed when snapshots are listed is in an index that is read later.
        let snapshots = try repository.snapshots().readable
        let view = try BlobIndex(repository, rebuilding: true) { _ in }
        view.publish([Self.segment(of: packs, repository)] + strays)
        let reader = SegmentReader(repository, view)
        var catalog = SegmentCatalog()
        var wanted: Set<ID128> = []
        func note(_ id: ID128) {
            if staying.position(of: id) == nil, held.position(of: id) != nil { wanted.insert(id) }
        }
        for (place, snapshot) in snapshots.enumerated() where !stop.isRequested {
            note(snapshot.root.id)
            // What cannot be read is named when the repair looks for losses.
            guard let root = try Self.unlessDamaged({ try reader.root(snapshot.root) }) else { continue }
            for segment in catalog.note(root, of: place) {
                note(segment.reference.blob.id)
                _ = try Self.unlessDamaged {
                    try reader.forEachChunk(of: segment.reference) { note($0.id) }
                }
            }
        }
        return wanted
    }

    /// Nil where a prune has deleted the pack meanwhile.
    private static func unlessGone<Value>(_ body: () throws -> Value?) throws -> Value? {
        do {
            return try body()
        } catch let error as StoreError where error.kind == .notFound {
            return nil
        } catch let error as CorruptionError where !error.isWhole {
            return nil
        }
    }

    private static func unlessDamaged<Value>(_ body: () throws -> Value) throws -> Value? {
        do {
            return try body()
        } catch  where error is MissingBlobError || (error as? CorruptionError)?.isRefused == false {
            return nil
        } catch let error as StoreError where error.kind == .notFound {
            return nil
        }
    }
}
