// RemovalLoss: finds the groups that a removal would leave without a snapshot that counts.

import BakCore
import BakFormat
import BakRepository

/// The last snapshot of a group, which a removal would take.
struct RemovalLoss {
    enum Kind {
        /// No snapshot of the group stays.
        case last
        /// The snapshots of the group that stay do not count: they are in doubt or partial.
        case lastThatCounts
        /// No archive of the group stays, and the source no longer has the files that only this archive has.
        case archive
    }

    let last: CommitRecord
    let kind: Kind

    /// Finds what a group of snapshots, oldest first, loses when the snapshots in `gone` are removed. Nil if the group
    /// keeps a snapshot that counts.
    init?(of snapshots: [CommitRecord], _ gone: Set<ID128>, _ doubts: SnapshotDoubts) {
        // A complete snapshot in doubt counts only if the group has no complete snapshot without doubt. A partial
        // snapshot counts only if the group has no complete snapshot.
        let complete = snapshots.filter(\.isComplete)
        let sound = complete.filter { !doubts.standing.contains($0.id) && !doubts.refuted.contains($0.id) }
        let needed = !sound.isEmpty ? sound : !complete.isEmpty ? complete : snapshots
        guard let newest = needed.last, needed.allSatisfy({ gone.contains($0.id) }) else { return nil }
        last = newest
        kind = snapshots.allSatisfy { gone.contains($0.id) } ? .last : .lastThatCounts
    }

    /// Finds the newest archive of the group with gone files, if its removal loses them. Nil if a later archive stays,
    /// because each archive has everything that earlier ones have. Also nil if another archive with gone files stays.
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
