// DamagedSnapshots: which snapshots have lost something, as far as the index, the packs' sizes and the lists of files
// say.

import BakCore
import BakFormat

extension Repository {
    /// Those of the snapshots whose list of files cannot be read, or names content that is not there. No content is
    /// read.
    package func damaged(
        among snapshots: [CommitRecord], _ index: BlobIndex, _ missing: Set<ID128>
    ) throws -> Set<ID128> {
        let checker = ManifestChecker(self, index, DamagedBlobs(packs: missing)) { _, _, _ in }
        var damaged: Set<ID128> = []
        for snapshot in snapshots where try !checker.check(snapshot).isClean { damaged.insert(snapshot.id) }
        return damaged
    }

    /// The packs that the index names and that are not there, or not to their end: what is in them may not be had.
    package func missingPacks(_ index: BlobIndex) throws -> Set<ID128> {
        let stored = try listPacks()
        return Set(index.packs.filter { UInt64(stored[$0.id] ?? 0) < $0.size }.map(\.id))
    }

    /// What to do about such a one before anything of it can be stored again.
    package static func packNamedInVain(_ pack: ID128) -> CorruptionError {
        CorruptionError(
            object: ObjectNames.pack(pack).description, offset: 0,
            reason:
                "it is missing or cut short, and the index still names it; before anything of it can be stored again, run: "
                + "bakstore repair packs")
    }
}
