// WholeMarkers: the forget markers that this machine has found whole. A forgotten snapshot stays forgotten whatever
// happens to its marker, so listing snapshots opens each marker only once. A prune does not trust this file when it
// deletes.
//
//   magic "bakmark\0" 8 | version 4 | zero 4 | repository id 16 | ids, sorted | XXH3-128 of it all 16

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// The markers of this copy of the repository, as a file of the cache.
struct WholeMarkers {
    static let cacheName = "marked"

    private let repository: Repository
    private(set) var ids: Set<ID128> = []

    /// Reads the file. If the file is missing or damaged, the markers are opened again.
    init(_ repository: Repository) {
        self.repository = repository
        ids =
            repository.cache.readRows(name, Self.header(repository.config.id)) { bytes in
                var reader = ByteReader(bytes, object: Self.cacheName)
                var ids: Set<ID128> = []
                while let id = try? reader.id() { ids.insert(id) }
                return ids
            } ?? []
    }

    private var name: String { repository.cacheNameHere(Self.cacheName) }

    /// Replaces the file. A failure only costs time later.
    func replace(with ids: Set<ID128>) {
        guard ids != self.ids else { return }
        repository.cache.writeRows(name, Self.header(repository.config.id)) { writer in
            for id in ids.sorted() { writer.id(id) }
        }
    }

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x006b_7261_6d6b_6162 /* "bakmark" */, version: 1, repository: repository)
    }
}

extension Repository {
    /// Returns the snapshots that have a forget marker, each with the marker's fault; nil if it opened, now or before.
    func forgetMarkers() throws -> [ID128: CorruptionError?] {
        let named = try forgotten()
        guard !named.isEmpty else { return [:] }
        let known = WholeMarkers(self)
        var whole = known.ids.intersection(named)
        var markers: [ID128: CorruptionError?] = [:]
        for id in named {
            do {
                let fault = whole.contains(id) ? nil : try faultOfMarker(id)
                markers.updateValue(fault, forKey: id)
                if fault == nil { whole.insert(id) }
            } catch let error as StoreError where error.kind == .notFound {
                // The marker is just being replaced. Until then its snapshot counts as not forgotten.
            }
        }
        known.replace(with: whole)
        return markers
    }

    /// Makes the next listing open the markers of these snapshots again.
    func distrustMarkers(of snapshots: Set<ID128>) {
        let known = WholeMarkers(self)
        known.replace(with: known.ids.subtracting(snapshots))
    }
}
