// The parents' entries that a walk does not meet. An archive carries them over. An entry that the source no longer has
// is marked gone. An entry that could not be read, or that a rule leaves out, stays as it was, because its state is
// unknown.
//
// A parent is followed if its track's uses include following: the backup looks for its entries that the source no
// longer has.
//
// Always holds: each entry that a followed parent has at or beneath a path of the backup is either met by the walk or
// taken here, in the order of the walk. No entry is marked gone before the walk has gone past it.

import BakCore
import BakFormat

extension ParentComparer {
    /// Why the walk has not met an entry.
    enum Absence {
        /// The source no longer has it.
        case gone
        /// It could not be read.
        case unread
        /// A rule leaves it out.
        case leftOut
    }

    /// How far missed entries are taken.
    enum Limit {
        /// Before a path that the walk has met.
        case before([UInt8])
        /// Through a path and everything beneath it. The walk does not meet these items, for the reason given.
        case through([UInt8], Absence)
        /// All remaining entries.
        case end
    }

    /// What becomes of a missed entry.
    enum Missed {
        /// It is not carried over.
        case dropped
        /// It has been added to the run as it is stored.
        case inRun(FileStat, isGone: Bool)
        /// It is carried over as this entry.
        case carried(ManifestEntry)
        /// A former file. It is carried over unless the file now at its path has the same content.
        case former(FormerFile)
        /// It should be carried over, but its content cannot be read.
        case lost(path: [UInt8], reason: String)
    }

    /// Moves the parents to a path that the walk has met. Returns true if there may be entries to take before that
    /// path: entries that the walk has missed, or entries that are carried over under another name. The caller then
    /// takes them with `takeMissed` before it compares the path.
    func seek(_ path: [UInt8]) -> Bool {
        var hasMissed = false
        for track in tracks {
            track.seek(path)
            if track.standing == .missed { hasMissed = true }
        }
        return hasMissed || !displaced.isEmpty || !formers.isEmpty
    }

    /// Moves the parents to a path and takes their entries before it, for a comparison that carries nothing over.
    package func pass(to path: [UInt8]) {
        var run = EntryRun()
        if seek(path) { while takeMissed(.before(path), &run) != nil {} }
    }

    /// Moves the parents through a path that the walk will not meet, or to their end.
    func seek(through limit: Limit) {
        switch limit {
        case .through(let path, .unread): tally.noteUnread(path)
        case .through(let path, .leftOut): tally.noteLeftOut(path)
        default: break
        }
        for track in tracks { seek(track, limit) }
    }

    /// Takes the next missed entry; nil if none is left within the limit that was sought.
    func takeMissed(_ limit: Limit, _ run: inout EntryRun) -> Missed? {
        var first: (track: ParentTrack, path: [UInt8])?
        for track in tracks where track.standing == .missed {
            guard let path = track.cursor.segment?.path else { continue }
            guard let lowest = first else {
                first = (track, path)
                continue
            }
            // If several parents have the path, the first one that is followed decides.
            let isFollowed = track.uses.contains(.following) && !lowest.track.uses.contains(.following)
            if PathOrder.precedes(path, lowest.path) || path == lowest.path && isFollowed {
                first = (track, path)
            }
        }
        if let first { avoid(first.path) }
        if case .before(let met) = limit { avoid(met) }
        if let other = takeDisplaced(limit, before: first?.path) { return other }
        guard let (track, path) = first else { return nil }
        let absence = absence(of: path, limit)
        let root = tally.root(of: path)
        let chosen = track.cursor.segment
        for same in tracks where same.standing == .missed && same.cursor.segment?.path == path {
            if let root { same.countFile(beneath: root, absence, vouched) }
            if same === track { continue }
            // Another parent may have a different item at this path. An archive keeps that item, too.
            if carrying != nil, root != nil, same.uses.contains(.following), let chosen,
                let segment = same.cursor.segment
            {
                if segment.fields.stat.type != chosen.fields.stat.type {
                    displace(same, path, segment.fields.stat.type)
                } else if segment.fields.stat.type == .regular {
                    let content = chosen.isComplete ? (try? chosen.entry())?.content : nil
                    keepFormer(same, segment, path, content, nil, isFirst: false, isMet: false)
                }
            }
            leave(same, limit)
        }
        let missed = take(track, path, absence, hasRoot: root != nil, &run)
        leave(track, limit)
        return missed
    }

    private func seek(_ track: ParentTrack, _ limit: Limit) {
        switch limit {
        case .before(let path): track.seek(path)
        case .through(let path, _): track.seek(through: path)
        case .end: track.seek(through: nil)
        }
    }

    private func leave(_ track: ParentTrack, _ limit: Limit) {
        track.take()
        seek(track, limit)
    }

    private func absence(of path: [UInt8], _ limit: Limit) -> Absence {
        if case .through(let end, let absence) = limit, PathOrder.isAtOrBeneath(path, end) { return absence }
        return .gone
    }

    private func take(
        _ track: ParentTrack, _ path: [UInt8], _ absence: Absence, hasRoot: Bool, _ run: inout EntryRun
    ) -> Missed {
        if let passedBy = track.passedBy, PathOrder.isAtOrBeneath(path, passedBy) { return .dropped }
        guard track.uses.contains(.following), hasRoot || tally.isAboveRoot(path),
            let segment = track.cursor.segment
        else { return .dropped }
        let fields = segment.fields
        let isNewlyGone = absence == .gone && fields.goneSince == nil
        if isNewlyGone, fields.stat.type == .regular { noteGone(path) }
        guard let carrying else { return .dropped }
        let before = place
        let found = track.cursor.place
        place = nil
        // A record with several links names its file by inode, and another file may have that inode by now. Such an
        // entry is stored anew, with a link count of 1.
        let hasOneName = fields.stat.linkCount == 1 || fields.stat.type == .directory
        if let before, found.follows(before), !isNewlyGone, hasOneName, canJoinRun(segment, path),
            hasContent(segment)
        {
            place = found
            (runBytes, runPathBytes) = (runBytes + segment.storedRecord.count, runPathBytes + path.count)
            run.append(segment)
            return .inRun(fields.stat, isGone: fields.goneSince != nil)
        }
        switch carrying.entry(segment, of: track.cursor) {
        case .failure(let loss): return .lost(path: path, reason: loss.reason)
        case .success(var entry):
            if isNewlyGone { entry.goneSince = carrying.time }
            place = found
            (runBytes, runPathBytes) = (0, 0)
            return .carried(entry)
        }
    }

    func noteGone(_ path: [UInt8]) {
        tally.newlyGoneFiles += 1
        onEvent(.gone(path: path))
    }
}
