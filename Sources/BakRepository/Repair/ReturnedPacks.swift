// ReturnedPacks: packs that are there although a decision deletes them. They were put back from a copy of the
// repository, a program that synchronises folders merged them from a copy, or an interrupted prune has not deleted them
// yet.
//
// A prune that still runs may delete them at any time, so no index may name them. The repair copies blobs that
// snapshots need and no other pack holds to new packs, without recompressing them. It leaves the rest to a prune.

import BakCore
import BakFormat
import BakStorage

/// Rescues the needed blobs of these packs. For one thread.
struct ReturnedPacks {
    private let repository: Repository
    private let packs: [(pack: IndexedPack, blobs: [BlobRecord])]
    /// An index of their blobs.
    private let held: SortedIndex
    private let stop: StopSignal

    /// Reads the lists of blobs of the packs `returned`, which come with their sizes.
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

    /// Copies the blobs that snapshots refer to and `staying` lacks to the packs of `filler`, and finishes those packs.
    /// Returns the number of copied blobs for each pack.
    ///
    /// - Parameter strays: segments for further packs that the trusted index does not name.
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

    /// Returns the blobs that only these packs hold and to which a snapshot refers.
    private func wanted(without staying: SortedIndex, _ strays: [IndexSegment]) throws -> Set<ID128> {
        // Snapshots are listed before the index is read: the index then has the segments of all of them.
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
            // The repair reports unreadable parts when it looks for losses.
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

    /// Returns nil if a prune has deleted the pack meanwhile, or if its bytes are damaged.
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
