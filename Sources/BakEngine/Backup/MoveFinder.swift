// MoveFinder: where entries of a parent snapshot have been moved to. A folder that was renamed or moved keeps its
// inode, and what lies in it keeps its own, with all of its times: so the folder is looked up among the parent's
// folders by its inode, and beneath it the parent's manifest is read from the old path on, in step with the walk.
//
// A file that was moved by itself has a new ctime, which could hide a change of its content, and is read.
//
// Always holds: nothing is claimed here. The caller compares the old entry with what is there, by stricter rules than
// for an entry that was not moved. Where ctime may be a copy of mtime it says nothing: an entry is handed over only if
// its own ctime or that of the folder that was moved is another time than its mtime. Memory is taken only once
// something seems to have been moved, and is bounded.

import BakCore
import BakFormat
import BakRepository

/// Follows entries to their old places. For one thread, in the order of the walk.
final class MoveFinder {
    /// Decides whether an old entry stands for what is there now, and gives it as a whole.
    typealias Judge = (ManifestSegmentDecoder, ParentCursor) -> ManifestEntry?

    /// A folder around the walk's place that is not where a parent has it.
    private final class Folder {
        /// How much of the way its path is.
        let pathBytes: Int
        let key: InodeKey
        /// Whether ctime is seen to be a time of its own, as a move makes it.
        let hasCtime: Bool
        /// Where parents have it; nil until somebody asks.
        var origins: [Origin]?

        init(_ pathBytes: Int, _ stat: FileStat) {
            self.pathBytes = pathBytes
            key = InodeKey(stat)
            hasCtime = stat.ctime != stat.mtime
        }
    }

    /// A parent's path of a folder, and the cursor that goes through what is beneath it.
    private struct Origin {
        var path: [UInt8]
        var cursor: ParentCursor
    }

    /// In which of a parent's segments the entry of each inode is.
    private struct Parent {
        var segments: [InodeKey: Int] = [:]
        /// Goes through the entries of single files.
        var cursor: ParentCursor?
    }

    private let snapshots: [CommitRecord]
    private let repository: Repository
    private let index: BlobIndex
    /// What came into being later than any parent cannot be in one.
    private let latest: Timestamp?
    /// Nil until it is needed.
    private var parents: [Parent]?
    /// From the outermost to the innermost.
    private var folders: [Folder] = []
    /// The path of the innermost, on which the others are.
    private var way: [UInt8] = []

    /// Beneath so many folders, the innermost, entries are looked for: each has a place in the parents open, and what
    /// was moved is found beneath the folder that was.
    private static let mostFolders = 16
    /// More inodes than this are not remembered.
    private static let mostInodes = 1 << 20

    /// Prepares to look into `snapshots`.
    init(_ snapshots: [CommitRecord], repository: Repository, index: BlobIndex) {
        self.snapshots = snapshots
        self.repository = repository
        self.index = index
        latest = snapshots.map(\.endTime).max()
    }

    /// Notes a folder that no parent has where it is now.
    func enter(_ path: [UInt8], _ stat: FileStat) {
        leave(for: path)
        folders.append(Folder(path.count, stat))
        way = path
        if folders.count > Self.mostFolders { folders[folders.count - Self.mostFolders - 1].origins = [] }
    }

    /// The old entry that stands for what is now at `path` and was not changed after `time`.
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

    /// Notes where the parents have which inodes. A manifest that cannot be read any further ends there: whoever
    /// compares with it says so.
    private func readParents() {
        guard parents == nil else { return }
        parents = snapshots.map { snapshot in
            var parent = Parent()
            let reader = try? ManifestReader(snapshot, repository: repository, index: index)
            while let kind = try? reader?.advance(), parent.segments.count < Self.mostInodes {
                // Of what is gone only the content is worth something: its inode may be another file's.
                guard kind == .entry, let reader, let fields = reader.segment?.fields,
                    fields.goneSince == nil,
                    fields.stat.type == .directory
                else { continue }
                parent.segments[InodeKey(fields.stat)] = reader.segmentNumber
            }
            return parent
        }
    }

    /// A cursor that stands at the entry of an inode in a parent. What is moved together mostly was together, so the
    /// last cursor is tried first.
    private func cursor(at key: InodeKey, in number: Int) -> ParentCursor? {
        guard let segment = parents?[number].segments[key] else { return nil }
        if let cursor = parents?[number].cursor, cursor.moves(to: key, through: segment) { return cursor }
        let cursor = try? ParentCursor(
            snapshots[number], repository: repository, index: index, fromSegment: segment)
        parents?[number].cursor = cursor
        return cursor.flatMap { $0.moves(to: key, through: segment) ? $0 : nil }
    }
}
