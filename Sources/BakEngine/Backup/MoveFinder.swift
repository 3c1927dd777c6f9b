// MoveFinder: finds a parent snapshot's entries for items that have been moved since. A folder that was renamed or
// moved keeps its inode, and the items in it keep their inodes and times. So the finder looks up the folder by inode
// among the parent's folders. For the items in the folder, it reads the parent's manifest from the folder's old path
// on, in step with the walk.
//
// A file that was moved by itself has a new ctime, which could hide a change of its content. Such a file is read.
//
// Always holds: the finder only proposes entries. The caller compares each entry with the item in the source, by
// stricter rules than for an item that was not moved. Some file systems store no ctime and show a copy of mtime
// instead. So a ctime that equals mtime proves nothing. An entry is proposed only if ctime and mtime differ, in the
// entry or in the moved folder. Memory is bounded, and none is taken until something seems to have moved.

import BakCore
import BakFormat
import BakRepository

/// Finds the old entries of moved items. For one thread, in the order of the walk.
final class MoveFinder {
    /// Returns the complete entry if an old entry can be reused for the item that the walk has met; otherwise nil.
    typealias Judge = (ManifestSegmentDecoder, ParentCursor) -> ManifestEntry?

    /// A folder above the walk's current item that no parent has at its present path.
    private final class Folder {
        /// The length of its path, which is a prefix of `way`.
        let pathBytes: Int
        let key: InodeKey
        /// True if the folder's ctime differs from its mtime, so that the ctime is not a copy of mtime.
        let hasCtime: Bool
        /// The folder's places in the parents; nil until they are needed.
        var origins: [Origin]?

        init(_ pathBytes: Int, _ stat: FileStat) {
            self.pathBytes = pathBytes
            key = InodeKey(stat)
            hasCtime = stat.ctime != stat.mtime
        }
    }

    /// A folder's old path in a parent, and a cursor for the entries beneath it.
    private struct Origin {
        var path: [UInt8]
        var cursor: ParentCursor
    }

    /// For the inode of each folder of a parent, the segment that has the folder's entry.
    private struct Parent {
        var segments: [InodeKey: Int] = [:]
        /// Looks up single folders by inode.
        var cursor: ParentCursor?
    }

    private let snapshots: [CommitRecord]
    private let repository: Repository
    private let index: BlobIndex
    /// The latest end time of all parents. No parent has an item whose ctime is later.
    private let latest: Timestamp?
    /// What is known of each parent's folders; nil until a folder is looked up.
    private var parents: [Parent]?
    /// The folders above the walk's current item that no parent has, outermost first.
    private var folders: [Folder] = []
    /// The path of the innermost folder. The paths of the other folders are prefixes of this path.
    private var way: [UInt8] = []

    /// Only this many of the innermost folders are searched, because each has an open cursor for every parent. The
    /// depth of a moved tree does not count: a folder whose old entry is found through the moved folder above it is not
    /// noted.
    private static let mostFolders = 16
    /// The maximum number of inodes to remember for each parent.
    private static let mostInodes = 1 << 20

    /// Prepares to look into `snapshots`.
    init(_ snapshots: [CommitRecord], repository: Repository, index: BlobIndex) {
        self.snapshots = snapshots
        self.repository = repository
        self.index = index
        latest = snapshots.map(\.endTime).max()
    }

    /// Notes a folder that no parent has at its present path.
    func enter(_ path: [UInt8], _ stat: FileStat) {
        leave(for: path)
        folders.append(Folder(path.count, stat))
        way = path
        if folders.count > Self.mostFolders { folders[folders.count - Self.mostFolders - 1].origins = [] }
    }

    /// Returns the old entry to reuse for the item at `path`; nil if there is none. `time` is the item's ctime.
    func entry(
        for path: [UInt8], unchangedSince time: Timestamp, judge: Judge
    ) -> ManifestEntry? {
        leave(for: path)
        guard let latest, time <= latest else { return nil }
        guard var entry = entryInMovedFolder(path, judge) else { return nil }
        entry.path = path
        return entry
    }

    /// Forgets the folders that `path` is not in.
    private func leave(for path: [UInt8]) {
        let shared = PathOrder.sharedBytes(way, path)
        while let end = folders.last?.pathBytes,
            path.count <= end || path[end] != UInt8(ascii: "/") || end > shared
        {
            folders.removeLast()
        }
        let end = folders.last?.pathBytes ?? 0
        if end < way.count { way.removeSubrange(end...) }
    }

    private func entryInMovedFolder(_ path: [UInt8], _ judge: Judge) -> ManifestEntry? {
        for folder in folders.suffix(Self.mostFolders).reversed() {
            for origin in origins(of: folder) {
                let old = origin.path + path[folder.pathBytes...]
                guard let segment = origin.cursor.entry(at: old),
                    folder.hasCtime || segment.fields.stat.ctime != segment.fields.stat.mtime,
                    let entry = judge(segment, origin.cursor)
                else { continue }
                return entry
            }
        }
        return nil
    }

    private func origins(of folder: Folder) -> [Origin] {
        if let origins = folder.origins { return origins }
        readParents()
        let origins = snapshots.indices.compactMap { number -> Origin? in
            guard let path = cursor(at: folder.key, in: number)?.segment?.path,
                let cursor = try? ParentCursor(
                    snapshots[number], repository: repository, index: index, from: path)
            else { return nil }
            return Origin(path: path, cursor: cursor)
        }
        folder.origins = origins
        return origins
    }

    /// Notes, for each folder of each parent, which segment has its entry. If a manifest cannot be read further, its
    /// remaining folders are not found; the comparison with that parent reports the damage.
    private func readParents() {
        guard parents == nil else { return }
        parents = snapshots.map { snapshot in
            var parent = Parent()
            let reader = try? ManifestReader(snapshot, repository: repository, index: index)
            while let kind = try? reader?.advance(), parent.segments.count < Self.mostInodes {
                // A gone entry's inode may belong to another file by now.
                guard kind == .entry, let reader, let fields = reader.segment?.fields,
                    fields.goneSince == nil,
                    fields.stat.type == .directory
                else { continue }
                parent.segments[InodeKey(fields.stat)] = reader.segmentNumber
            }
            return parent
        }
    }

    /// Returns a cursor at the entry of an inode in a parent. Folders that are moved together were mostly together
    /// before, so the last cursor is tried first.
    private func cursor(at key: InodeKey, in number: Int) -> ParentCursor? {
        guard let segment = parents?[number].segments[key] else { return nil }
        if let cursor = parents?[number].cursor, cursor.moves(to: key, through: segment) { return cursor }
        let cursor = try? ParentCursor(
            snapshots[number], repository: repository, index: index, fromSegment: segment)
        parents?[number].cursor = cursor
        return cursor.flatMap { $0.moves(to: key, through: segment) ? $0 : nil }
    }
}
