// DamagedSnapshots: which snapshots have lost something, as far as the index, the packs' sizes and the lists of files say.

import BakCore
import BakFormat

extension Repository {
    /// Those of the snapshots whose list of files cannot be read, or names content that is not there. No content is read.
    package func damaged(among snapshots: [CommitRecord]) throws -> Set<ID128> {
        if snapshots.isEmpty { return [] }
        let index = try BlobIndex(self)
        let checker = ManifestChecker(self, index, try missingPacks(index)) { _, _, _ in }
        var damaged: Set<ID128> = []
        for snapshot in snapshots where try !checker.check(snapshot).isClean { damaged.insert(snapshot.id) }
        return damaged
    }

    /// Whether the index names packs that are not there, or not to their end.
    package func lacksPacks() throws -> Bool { try !missingPacks(try BlobIndex(self)).packs.isEmpty }

    /// Throws `CorruptionError` if the index names a pack that is not there, or not to its end.
    package func expectAllPacks() throws {
        guard let pack = try missingPacks(try BlobIndex(self)).packs.min() else { return }
        throw CorruptionError(
            object: Layout.pack(pack).description, offset: 0,
            reason:
                "it is missing or cut short, and the index still names it; before anything of it can be stored again, run: "
                + "bakstore repair packs")
    }

    /// The packs that the index names and that are not there, or not to their end.
    func missingPacks(_ index: BlobIndex) throws -> DamagedBlobs {
        var lost = DamagedBlobs()
        for pack in try PackCensus(store, index, onStray: { _ in }).packs
        where (pack.storedBytes ?? 0) < pack.indexed.size {
            lost.packs.insert(pack.id)
        }
        return lost
    }
}
