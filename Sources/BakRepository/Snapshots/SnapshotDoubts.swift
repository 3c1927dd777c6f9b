// SnapshotDoubts: which snapshots may show less than there was, because most files of a path were gone when they were
// made: the disk may not have been connected.
//
// Always holds: a doubt ends in one of two ways. A later snapshot confirms it, as it found the same; or a later
// complete one of the same device and paths found the files again, and refutes it.

import BakCore
import BakFormat

/// What is in doubt among snapshots.
public struct SnapshotDoubts: Sendable {
    /// Those that nothing later has confirmed or refuted.
    public private(set) var standing: Set<ID128> = []
    /// Those after which the files were there again.
    public private(set) var refuted: Set<ID128> = []

    /// Looks for doubts among a repository's snapshots, oldest first.
    public init(among all: [CommitRecord]) {
        guard all.contains(where: { !$0.doubtfulPaths.isEmpty }) else { return }
        let confirmed = Set(all.flatMap(\.confirmed))
        var sound: Set<SnapshotGroup> = []
        for snapshot in all.reversed() where snapshot.isComplete {
            let group = SnapshotGroup(of: snapshot)
            if snapshot.doubtfulPaths.isEmpty || confirmed.contains(snapshot.originalID) {
                sound.insert(group)
            } else if sound.contains(group) {
                refuted.insert(snapshot.id)
            } else {
                standing.insert(snapshot.id)
            }
        }
    }
}
