// The parents' entries whose path another item has taken. An archive carries these over under other names:
// - items of another type than the item that is there now;
// - files with other content that were gone already, or that a vouch calls safe to delete;
// - files of another branch of the archive with other content, if the source has nothing at the path.
//
// Any other file with other content has simply changed, and its old state is not carried over.

import BakCore
import BakFormat

extension ParentComparer {
    /// Counts an item of the walk, and displaces the parents' entries of another type at its path.
    func note(_ path: [UInt8], _ stat: FileStat) {
        let root = tally.count(path, stat)
        if stat.type == .directory {
            for track in tracks { track.noteFolder(path, stat, beneath: root) }
        } else {
            for track in tracks { track.noteContent(path, stat) }
        }
        for track in tracks where track.standing == .found {
            let isThere = track.cursor.segment?.fields.stat.type == stat.type
            track.countFile(beneath: root, isThere ? nil : .gone, vouched)
            guard let old = track.cursor.segment?.fields, old.stat.type != stat.type,
                track.uses.contains(.following)
            else { continue }
            guard carrying != nil else {
                if old.stat.type == .regular, old.goneSince == nil { noteGone(path) }
                continue
            }
            displace(track, path, old.stat.type)
        }
    }

    /// Carries over a parent's entries at and beneath a path under another name.
    func displace(_ track: ParentTrack, _ path: [UInt8], _ type: FileType) {
        guard let carrying else { return }
        carrying.guarding {
            let entries = try carrying.displaced(track.snapshot, at: path, type)
            // Several parents may have different items at this path, so the name may be taken already.
            while isTaken(entries.path) { entries.takeNextName() }
            displaced.append(entries)
            track.passedBy = path
        }
    }

    /// Keeps an archive's earlier files at the path of a file that the walk has met.
    ///
    /// - Parameters:
    ///   - content: the file's content; nil if it is not known yet.
    ///   - job: the job that reads the file, if its content is not known yet.
    ///   - isLink: true if the job reads another name of the file.
    func keepFormers(
        at path: [UInt8], _ stat: FileStat, content: FileContent? = nil, job: FileJob? = nil,
        isLink: Bool = false
    ) {
        guard carrying != nil, stat.type == .regular else { return }
        let successor = job.map {
            FormerFile.Successor(job: $0, stat: stat.withoutAllocation, isLink: isLink)
        }
        // If the walk's file cannot be read, the file of the first parent is carried over at this path.
        var isFirst = true
        for track in tracks where track.standing == .found && track.uses.contains(.following) {
            guard let segment = track.cursor.segment, segment.fields.stat.type == .regular else { continue }
            if !isSame(segment.fields.stat, stat) {
                keepFormer(track, segment, path, content, successor, isFirst: isFirst)
            }
            isFirst = false
        }
    }

    /// Keeps a parent's file as a former file, because another file, of the source or of another parent, now has its
    /// path. If the source has nothing at the path and the parent is another branch of the archive, nothing tells which
    /// branch has the later content. So the files of both branches are kept.
    func keepFormer(
        _ track: ParentTrack, _ segment: ManifestSegmentDecoder, _ path: [UInt8], _ content: FileContent?,
        _ successor: FormerFile.Successor?, isFirst: Bool, isMet: Bool = true
    ) {
        guard let carrying else { return }
        carrying.guarding {
            let isGone = segment.fields.goneSince != nil
            var former = FormerFile(
                path, at: carrying.time,
                .failure(.init(reason: "the list of files has only a part of its content")),
                isNewlyGone: !isGone, isFirst: isFirst, successor: successor)
            let old = segment.isComplete ? try? segment.entry() : track.cursor.whole(segment)
            if let old, let oldContent = old.content {
                if oldContent.fingerprint == content?.fingerprint { return }
                let isOlder = isMet || !track.uses.contains(.branching)
                if !isGone, isOlder, try !vouched.contains(oldContent) { return }
                former.entry = carrying.carried(old)
            } else if !isGone {
                return
            }
            if formers.contains(where: { $0.isSame(as: former) }) { return }
            while isTaken(former.path) { former.takeNextName() }
            formers.append(former)
        }
    }

    /// True if another carried-over entry already has this new path.
    private func isTaken(_ path: [UInt8]?) -> Bool {
        path != nil && (formers.contains { $0.path == path } || displaced.contains { $0.path == path })
    }

    /// Gives carried-over entries another name if an entry of the walk or of a parent has their new path.
    func avoid(_ path: [UInt8]) {
        for place in formers.indices where formers[place].path == path { formers[place].takeNextName() }
        for entries in displaced where entries.path == path { entries.takeNextName() }
    }

    /// Takes the next entry that is carried over under another name, if its new path is before `path` and within the
    /// limit.
    func takeDisplaced(_ limit: Limit, before path: [UInt8]?) -> Missed? {
        guard !displaced.isEmpty || !formers.isEmpty else { return nil }
        displaced.removeAll { entries in
            guard entries.path == nil else { return false }
            if let failure = entries.failure { carrying?.guarding { throw failure } }
            return true
        }
        func isDue(_ new: [UInt8]) -> Bool {
            if let path, !PathOrder.precedes(new, path) { return false }
            switch limit {
            case .before(let end): return PathOrder.precedes(new, end)
            case .through(let end, _):
                return PathOrder.precedes(new, end) || PathOrder.isAtOrBeneath(new, end)
            case .end: return true
            }
        }
        let tree = displaced.min { PathOrder.precedes($0.path ?? [], $1.path ?? []) }
        let file = formers.indices.min { PathOrder.precedes(formers[$0].path, formers[$1].path) }
        if let file, !(tree?.path.map { PathOrder.precedes($0, formers[file].path) } ?? false) {
            guard isDue(formers[file].path) else { return nil }
            place = nil
            return .former(formers.remove(at: file))
        }
        guard let tree, let new = tree.path, isDue(new) else { return nil }
        return take(tree)
    }

    private func take(_ entries: DisplacedEntries) -> Missed {
        place = nil
        guard let carrying, let path = entries.path, let (segment, cursor) = entries.entry else {
            return .dropped
        }
        defer { entries.advance() }
        if segment.fields.goneSince == nil, segment.fields.stat.type == .regular { noteGone(path) }
        switch carrying.entry(segment, of: cursor) {
        case .failure(let loss): return .lost(path: path, reason: loss.reason)
        case .success(var entry):
            entry.path = path
            entry.goneSince = entry.goneSince ?? carrying.time
            return .carried(entry)
        }
    }
}

extension FormerFile {
    /// True if both have the same old path and the same content, because two parents have the same file.
    fileprivate func isSame(as other: FormerFile) -> Bool {
        guard oldPath == other.oldPath, case .success(let one) = entry, case .success(let two) = other.entry
        else { return false }
        return one.content?.fingerprint == two.content?.fingerprint
    }
}
