// RemovalLoss: what a removal would leave no snapshot of.

import BakCore
import BakFormat
import BakRepository

/// The last snapshot of something, which a removal would take.
struct RemovalLoss {
    enum Kind {
        /// The group has none after it.
        case last
        /// What stays of the group does not count: it is in doubt, or was not completed.
        case lastThatCounts
        /// No archive of the group stays, and what only that one has is gone from its source.
        case archive
    }

    let last: CommitRecord
    let kind: Kind

    /// What the group of these snapshots, oldest first, would lose without those of `gone`; nil when it keeps one that
    /// counts.
    init?(of snapshots: [CommitRecord], _ gone: Set<ID128>, _ doubts: SnapshotDoubts) {
        // Of what was interrupted, or lacks files, nobody relies on a part where there is a whole.
        let complete = snapshots.filter(\.isComplete)
        let sound = complete.filter { !doubts.standing.contains($0.id) && !doubts.refuted.contains($0.id) }
        let needed = !sound.isEmpty ? sound : !complete.isEmpty ? complete : snapshots
        guard let newest = needed.last, needed.allSatisfy({ gone.contains($0.id) }) else { return nil }
        last = newest
        kind = snapshots.allSatisfy { gone.contains($0.id) } ? .last : .lastThatCounts
    }

    /// The same of the archives among them. Every archive has what those before it have, so that a later one, or
    /// another with gone files, is enough.
    init?(ofArchives snapshots: [CommitRecord], _ gone: Set<ID128>, _ doubts: SnapshotDoubts) {
        let archives = snapshots.filter {
            $0.isArchive && $0.isComplete && !doubts.standing.contains($0.id)
        }
        guard let place = archives.lastIndex(where: { $0.counters.goneFiles > 0 }) else { return nil }
        let isEnough = { (archive: CommitRecord) in !gone.contains(archive.id) }
        guard !archives[place...].contains(where: isEnough),
            !archives[..<place].contains(where: { $0.counters.goneFiles > 0 && isEnough($0) })
        else { return nil }
        (last, kind) = (archives[place], .archive)
    }
}
