// ReturnedPacks: packs that are in the store although a decision of a prune deletes them. They were put back from a
// copy of the repository, a program that synchronises folders merged them from a copy, or an interrupted prune has not
// deleted them yet.
//
// A prune that still runs may delete them at any time, so no index may name them. If a snapshot needs a blob that no
// other pack holds, the repair copies the blob to a new pack, compressed as it is. A prune deletes the returned packs
// later.

import BakCore
import BakFormat
import BakStorage

/// Rescues the needed blobs of returned packs. For one thread.
struct ReturnedPacks {
    private let repository: Repository
    private let packs: [(pack: IndexedPack, blobs: [BlobRecord])]
    /// An index of the blobs in `packs`.
    private let held: SortedIndex
    private let stop: StopSignal

    /// Reads the lists of blobs in the packs `returned`, which gives each pack's size.
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

    /// Copies to the packs of `filler` every blob to which a snapshot refers and which `staying` lacks. Finishes the
    /// filler. Returns the number of copied blobs for each pack.
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

    /// Returns the blobs to which a snapshot refers and which only returned packs hold.
    private func wanted(without staying: SortedIndex, _ strays: [IndexSegment]) throws -> Set<ID128> {
        // Snapshots are listed before the index is read, so that the index has the segments of all listed snapshots.
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
            // Unreadable parts are skipped here. The repair reports them later, when it looks for losses.
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
