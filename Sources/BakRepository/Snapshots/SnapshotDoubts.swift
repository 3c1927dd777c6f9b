// SnapshotDoubts: finds snapshots in doubt. Such a snapshot may lack files: most files of a path were missing when it
// was made, perhaps because a disk was not connected.
//
// Always holds: a doubt ends in one of two ways. A later snapshot that also misses the files confirms it, or a later
// complete snapshot of the same device and paths that has the files again refutes it.

import BakCore
import BakFormat

/// The doubts among some snapshots.
public struct SnapshotDoubts: Sendable {
    /// The snapshots in doubt that no later one has confirmed or refuted.
    public private(set) var standing: Set<ID128> = []
    /// The snapshots that a later one refuted.
    public private(set) var refuted: Set<ID128> = []

    /// Finds the doubts among a repository's snapshots, which are oldest first.
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
