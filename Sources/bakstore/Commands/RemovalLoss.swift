// RemovalLoss: finds the groups of snapshots that would lose their last useful snapshot by a removal. A snapshot in
// doubt or a partial snapshot counts as useful only if its group has no better one.

import BakCore
import BakFormat
import BakRepository

/// The last useful snapshot of a group, which a removal would take.
struct RemovalLoss {
    enum Kind {
        /// No snapshot of the group stays.
        case last
        /// Other snapshots of the group stay, but they do not count as useful.
        case lastThatCounts
        /// No archive of the group stays that has these gone files, and the source no longer has them.
        case archive
    }

    let last: CommitRecord
    let kind: Kind

    /// Finds what a group of snapshots, oldest first, loses when the snapshots in `gone` are removed. Nil if the group
    /// keeps a useful snapshot.
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
