// SealedPacks: the packs of a session that wait for its next commit.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// A pack that the store has taken and whose session has not committed.
struct SealedPack: Sendable {
    var pack: IndexedPack
    var blobs: [BlobRecord]
}

/// The packs that wait for the next commit, and the batch in which they are staged. The batch belongs to one session,
/// so a failure does not affect other sessions of the same store.
final class SealedPacks: @unchecked Sendable {
    private let monitor = Monitor()
    private var batch: any StagedBatch
    private var packs: [SealedPack] = []
    private var size = (bytes: 0, blobs: 0)
    private var hasFailed = false

    init(_ batch: any StagedBatch) { self.batch = batch }

    /// The bytes of the packs, and the number of their blobs.
    var waiting: (bytes: Int, blobs: Int) { monitor.locked { size } }

    /// Hands a pack's bytes to the store. The pack's writer holds its lock meanwhile, so `cut` must wait.
    func stage(_ pack: SealedPack, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        try monitor.locked({ batch }).stage(ObjectNames.pack(pack.pack.id), bytes)
        append(pack)
    }

    /// Adds a pack that the store has.
    func append(_ pack: SealedPack) {
        monitor.locked {
            packs.append(pack)
            size = (size.bytes + Int(pack.pack.size), size.blobs + pack.blobs.count)
        }
    }

    /// Records a failure: a blob that other objects may refer to has not been stored.
    func fail() { monitor.locked { hasFailed = true } }

    /// Records a failure and abandons the staged packs.
    func abandon() {
        fail()
        monitor.locked({ batch }).abandon()
    }

    /// Returns all packs since the last call and their batch; nil after a failure. Later packs go to `next`.
    func take(goingOnIn next: any StagedBatch) -> (packs: [SealedPack], batch: any StagedBatch)? {
        monitor.locked {
            if hasFailed { return nil }
            defer { (packs, size, batch) = ([], (0, 0), next) }
            return (packs, batch)
        }
    }

    /// Returns all packs since the last cut, staged or stored; none after a failure.
    func takePacks() -> [SealedPack] {
        monitor.locked {
            if hasFailed { return [] }
            defer { (packs, size) = ([], (0, 0)) }
            return packs
        }
    }
}
