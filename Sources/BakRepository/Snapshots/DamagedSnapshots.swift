// DamagedSnapshots: finds snapshots that have lost something. It relies on the index, the packs' sizes and the
// manifests. It does not read chunks, so it does not find damage in them.

import BakCore
import BakFormat

extension Repository {
    /// Returns the snapshots whose manifest cannot be read or names missing content. It reads manifests, but no chunks.
    ///
    /// - Throws: `StoreError` if the store fails.
    package func damaged(
        among snapshots: [CommitRecord], _ index: BlobIndex, _ missing: Set<ID128>
    ) throws -> Set<ID128> {
        let checker = ManifestChecker(self, index, DamagedBlobs(packs: missing)) { _, _, _ in }
        var damaged: Set<ID128> = []
        for snapshot in snapshots where try !checker.check(snapshot).isClean { damaged.insert(snapshot.id) }
        return damaged
    }

    /// Returns the packs that the index names and that are missing or too short. Their blobs may be lost.
    ///
    /// - Throws: `StoreError` if the packs cannot be listed.
    package func missingPacks(_ index: BlobIndex) throws -> Set<ID128> {
        let stored = try listPacks()
        return Set(index.packs.filter { UInt64(stored[$0.id] ?? 0) < $0.size }.map(\.id))
    }

    /// Returns the error for a pack that the index names although the pack is missing or too short. The error says what
    /// to do before the pack's content can be stored again.
    package static func packNamedInVain(_ pack: ID128) -> CorruptionError {
        CorruptionError(
            object: ObjectNames.pack(pack).description, offset: 0,
            reason:
                "it is missing or cut short, but the index still names it. Before its data can be stored again, run: "
                + "bakstore repair packs")
    }
}
