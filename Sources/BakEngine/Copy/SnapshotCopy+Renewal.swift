// SnapshotCopy+Renewal: what earlier copies get that their originals have by now: tags, and a place in the order.
//
// Always holds: a copy loses no tag, as somebody may have given it there; and one that is as it shall be is left alone,
// so that a second run changes nothing.

import BakCore
import BakFormat
import BakRepository

extension SnapshotCopy {
    /// Brings earlier copies up to date: those of `chosen` originals get their tags, and every one its place in the
    /// order.
    func renew(_ chosen: Set<ID128>, in order: SnapshotOrder) throws {
        guard !chosen.isEmpty || report.copied > 0 else { return }
        let list = try source.snapshotList()
        let ancestors = list.order
        // What this run has copied may come between a copy and what it was made after.
        let order = report.copied > 0 && !request.isDryRun ? try destination.snapshotList().order : order
        var changes: [(old: CommitRecord, new: CommitRecord)] = []
        for snapshot in list.readable {
            // What a dry run would copy is in its place from the beginning.
            if request.isDryRun, !chosen.contains(snapshot.originalID) { continue }
            guard let copy = copies[snapshot.originalID], isWhole(copy, of: snapshot) else { continue }
            var new = copy
            if chosen.contains(snapshot.originalID) {
                new.tags += snapshot.tags.filter { !copy.tags.contains($0) }
            }
            if let parent = ancestors.succession(of: snapshot, { copies[$0] }).ancestor,
                mayFollow(copy, parent, order)
            {
                // By the id that stays, whatever becomes of the copy.
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

    /// Whether a copy is to be put behind another, as it is known only that its original was, and nothing contradicts
    /// it.
    private func mayFollow(_ copy: CommitRecord, _ parent: CommitRecord, _ order: SnapshotOrder) -> Bool {
        let isKnown = order.firstAncestor(of: copy) { $0 == parent.originalID ? true : nil } ?? false
        guard !isKnown, parent.originalID != copy.originalID else { return false }
        let above = order.ancestors(of: [parent]).union([parent.id, parent.originalID])
        // What it comes behind now must not be lost.
        return !above.contains(copy.originalID)
            && (order.firstAncestor(of: copy) { above.contains($0) } ?? (copy.parent == nil))
    }

    private func noteRenewed(_ old: CommitRecord, _ new: CommitRecord) {
        copies[new.originalID] = new
        report.renewed += 1
        onEvent(.renewed(old, as: new))
    }
}
