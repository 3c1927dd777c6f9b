// ParentComparer: says which entries are as a parent snapshot has them. An entry stands for what is there
// only as a whole: with all its extents, each of which the repository still has.

import BakCore
import BakFormat
import BakRepository

/// Compares a walk with parent snapshots. For one thread, in the order of the walk.
final class ParentComparer {
    private let parents: [ParentCursor]
    private let request: BackupRequest
    private let index: BlobIndex

    init(_ parents: [ParentCursor], request: BackupRequest, index: BlobIndex) {
        self.parents = parents
        self.request = request
        self.index = index
    }

    /// How an entry compares, and a parent's entry when it may stand for it.
    func compare(_ path: [UInt8], _ stat: FileStat) -> (BackupEvent.Change, ManifestEntry?) {
        var change = BackupEvent.Change.new
        var match: ManifestEntry?
        for parent in parents {
            guard let entry = parent.entry(at: path) else { continue }
            change = .changed
            guard match == nil, isSame(entry, stat), let whole = parent.whole(entry), hasContent(whole) else {
                continue
            }
            match = whole
        }
        guard var match else { return (change, nil) }
        match.stat = stat
        return (.unmodified, match)
    }

    private func isSame(_ entry: ManifestEntry, _ stat: FileStat) -> Bool {
        let old = entry.stat
        return !entry.changedWhileRead && !entry.isUnsettled && old.type == stat.type && old.size == stat.size
            && old.mtime == stat.mtime && (request.ignoresCtime || old.ctime == stat.ctime)
            && (request.ignoresInode || old.inode == stat.inode) && old.mode == stat.mode
            && old.uid == stat.uid && old.gid == stat.gid && old.linkCount == stat.linkCount
            && old.representedDevice == stat.representedDevice
    }

    /// Whether the repository still has what the entry refers to; if not, reading the file heals it.
    private func hasContent(_ entry: ManifestEntry) -> Bool {
        guard case .extents(let extents) = entry.content else { return true }
        return extents.allSatisfy { extent in
            if case .chunk(let reference) = extent { return index.location(of: reference) != nil }
            return true
        }
    }
}
