// SnapshotCopy+Renewal: brings earlier copies up to date with their originals: their tags, and their parent, which
// gives them their place in the order of snapshots.
//
// Always holds: a copy loses no tag, because a user may have added it in the destination. A copy that is up to date
// stays as it is, so that a second run changes nothing.

import BakCore
import BakFormat
import BakRepository

extension SnapshotCopy {
    /// Brings earlier copies up to date. Copies of `chosen` originals get their tags, and every copy gets its place in
    /// the order.
    func renew(_ chosen: Set<ID128>, in order: SnapshotOrder) throws {
        guard !chosen.isEmpty || report.copied > 0 else { return }
        let list = try source.snapshotList()
        let ancestors = list.order
        // A snapshot that this run copied may belong between a copy and the copy's parent, so read the order again.
        let order = report.copied > 0 && !request.isDryRun ? try destination.snapshotList().order : order
        var changes: [(old: CommitRecord, new: CommitRecord)] = []
        for snapshot in list.readable {
            // A dry run leaves out the snapshots that it would copy: a real run gives such a copy its parent when it
            // makes the copy.
            if request.isDryRun, !chosen.contains(snapshot.originalID) { continue }
            guard let copy = copies[snapshot.originalID], isWhole(copy, of: snapshot) else { continue }
            var new = copy
            if chosen.contains(snapshot.originalID) {
                new.tags += snapshot.tags.filter { !copy.tags.contains($0) }
            }
            if let parent = ancestors.succession(of: snapshot, { copies[$0] }).ancestor,
                mayFollow(copy, parent, order)
            {
                // Use the original's id, which stays the same if the copy is replaced.
                new.parent = parent.originalID
            }
            if new != copy { changes.append((copy, new)) }
        }
        guard !request.isDryRun else {
            for change in changes { noteRenewed(change.old, change.new) }
            return
        }
        _ = try destination.recommit(
            changes, host: request.host, program: request.program, stop: stop,
            onDone: noteRenewed)
    }

    /// True if a copy should get another copy, `parent`, as its parent. The originals of both are in that order. The
    /// destination's order must not show this yet, and must not contradict it.
    private func mayFollow(_ copy: CommitRecord, _ parent: CommitRecord, _ order: SnapshotOrder) -> Bool {
        let isKnown = order.firstAncestor(of: copy) { $0 == parent.originalID ? true : nil } ?? false
        guard !isKnown, parent.originalID != copy.originalID else { return false }
        let above = order.ancestors(of: [parent]).union([parent.id, parent.originalID])
        // The copy's present ancestors must not be lost.
        return !above.contains(copy.originalID)
            && (order.firstAncestor(of: copy) { above.contains($0) } ?? (copy.parent == nil))
    }

    private func noteRenewed(_ old: CommitRecord, _ new: CommitRecord) {
        copies[new.originalID] = new
        report.renewed += 1
        onEvent(.renewed(old, as: new))
    }
}
