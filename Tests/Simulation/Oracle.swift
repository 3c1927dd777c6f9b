// Oracle: checks what must hold of a store at every moment, with the code that a restore uses. Every committed snapshot
// that is not forgotten has its files. They are found through the trusted index, which the check reads again. That
// index names no missing pack.

import BakCodec
import BakCore
import BakFormat
import BakRepository
import BakStorage
import TestSupport

/// Checks stores at any moment.
enum Oracle {
    /// Returns a description of what a store has lost; nil if it has lost nothing.
    static func fault(_ image: StoreImage, _ universe: Universe) -> String? {
        do {
            let repository = try open(ActorStore.alone(image, universe))
            let (readable, unreadable) = try repository.snapshots()
            // A repair can bring back a snapshot with a lost record from the record's spare. Such a snapshot must have
            // its files, too.
            if let first = unreadable.first(where: { $0.spare == nil }) {
                return "snapshot \(first.id.short): \(first.error)"
            }
            let index = try BlobIndex(repository, rebuilding: true)
            for snapshot in readable + unreadable.compactMap(\.spare) {
                do {
                    if let fault = try Contents.fault(in: snapshot, repository, index) {
                        return "snapshot \(snapshot.id.short): \(fault)"
                    }
                } catch { return "snapshot \(snapshot.id.short): \(error)" }
            }
            // A prune or a reader may use any copy of a blob, so every pack that the index names must exist.
            for pack in index.packs where !image.contains(universe.key(ObjectNames.pack(pack.id))) {
                return "the repository: its index names pack \(pack.id.short), which is gone"
            }
            return nil
        } catch { return "the repository: \(error)" }
    }

    /// Opens a repository in a store, with an empty cache.
    static func open(_ store: any ObjectStore) throws -> Repository {
        try Repository.open(
            store, cache: MemoryCache(), time: SimulatedTime(), random: SeededRandom(seed: 1))
    }
}

extension StoreImage {
    /// Returns the store after `body` has run on `image`. Ids come from `seed`, and all packs lie in one folder.
    static func after(
        _ image: StoreImage, _ universe: Universe, seed: UInt64,
        _ body: (Surroundings) throws -> Void
    ) rethrows -> StoreImage {
        var image = image
        let store = ActorStore(universe) { image.apply($0, universe) }
        try body(
            Surroundings(
                store: store, cache: MemoryCache(), time: SimulatedTime(),
                random: OneFolderRandom(seed: seed)))
        return image
    }
}
