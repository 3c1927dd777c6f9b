// Walker: one pass over the roots of a FileTree, without recursion.
//
// A level is a folder that the walk has entered and not left.
//
// Always holds: the deepest level's folder is open. Of the levels above, only the nearest ones have an open folder, so
// a tree of any depth needs a bounded number of descriptors. When the walk returns to a level whose folder was closed,
// it opens the folder again and checks that it is the same inode. Every call is relative to a folder's descriptor and
// follows no symbolic link.

import BakCore
import BakStorage
import CLinux
import Glibc

struct Walker {
    /// How many levels keep their folder open.
    private static let openLevels = OpenFileBudget.share(64)

    /// A folder being walked. It is a class because a struct in an array was copied for each entry.
    private final class Level {
        /// The open folder; nil while the level is far above.
        var folder: Descriptor? { didSet { unseen = nil } }
        /// The object that `visit` gets with each `.unseen` entry of this folder, to look up the entry later. It is
        /// made for the first such entry. An entry is unseen if it is not a folder and its stat has not been read yet.
        var unseen: FolderOfUnseen?
        /// The length of the folder's path.
        let pathBytes: Int
        let device: UInt64
        let inode: UInt64
        /// The entries to visit: all entries of the folder, or, if the folder lies above the roots, those that lead to
        /// a root.
        let names: FolderListing
        var next = 0
        /// The roots beneath this folder; nil at and beneath a root.
        let roots: ArraySlice<[UInt8]>?

        init(
            folder: Descriptor, pathBytes: Int, device: UInt64, inode: UInt64, names: FolderListing,
            roots: ArraySlice<[UInt8]>?
        ) {
            self.folder = folder
            self.pathBytes = pathBytes
            self.device = device
            self.inode = inode
            self.names = names
            self.roots = roots
        }

        /// The path of an entry in this folder, made with one allocation. `way` leads to this folder or through it.
        func path(of index: Int, _ way: [UInt8]) -> [UInt8] {
            let name = names.name(index)
            var result: [UInt8] = []
            result.reserveCapacity(pathBytes + 1 + name.count)
            if pathBytes > 0 {
                result.append(contentsOf: way[..<pathBytes])
                result.append(UInt8(ascii: "/"))
            }
            result.append(contentsOf: name)
            return result
        }
    }

    private let tree: FileTree
    /// True if `visit` may get `.unseen` entries.
    private let isAhead: Bool
    private let visit: (WalkEvent) throws -> WalkDecision
    private var levels: [Level] = []
    /// The path of the deepest level's folder. It begins with the path of each level above.
    private var way: [UInt8] = []

    init(
        _ tree: FileTree, isAhead: Bool, _ visit: @escaping (WalkEvent) throws -> WalkDecision
    ) {
        self.tree = tree
        self.isAhead = isAhead && OpenFileBudget.isAmple
        self.visit = visit
    }

    /// Walks to the end, or until `visit` says stop.
    mutating func run() throws {
        guard !tree.roots.isEmpty else { return }
        let isEverything = tree.roots[0].isEmpty
        let names: FolderListing
        do throws(Errno) {
            names =
                isEverything
                ? try list(tree.top.descriptor, ".") : namesLeading(to: tree.roots[...], below: [])
        } catch {
            _ = try report(error, "list", [])
            return
        }
        levels = [
            Level(
                folder: tree.top.descriptor, pathBytes: 0, device: 0, inode: 0, names: names,
                roots: isEverything ? nil : tree.roots[...])
        ]
        while let level = levels.last {
            let index = level.next
            if index < level.names.count {
                level.next += 1
                guard try step(level, index) else { return }
            } else {
                guard try leave() else { return }
            }
        }
    }

    /// Visits one entry of the deepest level and enters it if it is a folder. Returns false to stop.
    private mutating func step(_ level: Level, _ index: Int) throws -> Bool {
        let folder = level.folder!
        let path = level.path(of: index, way)
        if isAhead, level.names.isNoFolder(index) {
            if level.unseen == nil { level.unseen = FolderOfUnseen(folder) }
            let unseen = level.unseen!
            return try visit(.unseen(path: path, in: unseen)) != .stop
        }
        let stat: FileStat
        do throws(Errno) {
            let status = try level.names.withName(index) { name throws(Errno) in
                try linkStatus(at: folder.number, name)
            }
            guard let known = FileStat(status) else { throw Errno(code: EINVAL) }
            stat = known
        } catch {
            return try report(error, "look up", path)
        }
        switch try visit(.entry(path: path, stat: stat)) {
        case .stop: return false
        case .skipChildren: return true
        case .proceed: break
        }
        guard stat.type == .directory else { return true }
        do throws(Errno) {
            try enter(level, index, path, stat)
        } catch {
            return try report(error, "list", path)
        }
        return true
    }

    /// Reports an entry that cannot be read. Returns false to stop.
    private func report(_ error: Errno, _ operation: String, _ path: [UInt8]) throws -> Bool {
        let failure = SourceError(error, operation)
        // Every further entry would fail for the same reason.
        if failure.endsRun { throw failure }
        return try visit(.failure(path: path, failure)) != .stop
    }

    /// Enters the folder `index` of the deepest level.
    private mutating func enter(_ level: Level, _ index: Int, _ path: [UInt8], _ stat: FileStat) throws(Errno)
    {
        let parent = level.folder!
        var roots: ArraySlice<[UInt8]>?
        if let above = level.roots {
            let beneath = above.filter { PathOrder.isAtOrBeneath($0, path) }
            if beneath.first != path { roots = beneath[...] }
        }
        let folder: Descriptor
        let names: FolderListing
        if let roots {
            // A folder above a root need not be readable; the right to search it is enough.
            folder = try level.names.withName(index) { name throws(Errno) in
                try Descriptor.open(at: parent.number, name, linux_O_PATH.flag | O_DIRECTORY | O_NOFOLLOW)
            }
            names = namesLeading(to: roots, below: path)
        } else {
            (folder, names) = try level.names.withName(index) { name throws(Errno) in
                let folder = try withoutAccessTime { flags throws(Errno) in
                    try Descriptor.open(at: parent.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | flags)
                }
                return (folder, try Self.sorted(folder))
            }
        }
        levels.append(
            Level(
                folder: folder, pathBytes: path.count, device: stat.device, inode: stat.inode, names: names,
                roots: roots))
        way = path
        let far = levels.count - 1 - Self.openLevels
        if far > 0 { levels[far].folder = nil }
    }

    /// Leaves the deepest level. If the folder of the level above is closed, opens it again; if that fails or no entry
    /// is left, leaves that level too, and so on. Returns false to stop.
    private mutating func leave() throws -> Bool {
        var child = levels.removeLast().folder
        defer { way.removeSubrange((levels.last?.pathBytes ?? 0)...) }
        while let depth = levels.indices.last, levels[depth].folder == nil {
            if levels[depth].next < levels[depth].names.count {
                do throws(Errno) {
                    levels[depth].folder = try reopen(levels[depth], from: child)
                    return true
                } catch {
                    // The remaining entries of this level cannot be reached, so report that.
                    guard try report(error, "return to the folder", Array(way[..<levels[depth].pathBytes]))
                    else { return false }
                }
            }
            levels.removeLast()
            child = nil
        }
        return true
    }

    /// Opens a level's folder again: from the folder beneath it if that is open, else by its path.
    private func reopen(_ level: Level, from child: Descriptor?) throws(Errno) -> Descriptor {
        let flags = linux_O_PATH.flag | O_DIRECTORY
        if let child, let folder = try? Descriptor.open(at: child.number, "..", flags),
            isSame(folder, level)
        {
            return folder
        }
        let folder = try tree.top.open(way[..<level.pathBytes], flags)
        guard isSame(folder, level) else { throw Errno(code: ESTALE) }
        return folder
    }

    private func isSame(_ folder: Descriptor, _ level: Level) -> Bool {
        guard let status = try? folder.status() else { return false }
        return UInt64(status.st_dev) == level.device && UInt64(status.st_ino) == level.inode
    }

    // MARK: - Names

    private func list(_ folder: Descriptor, _ name: String) throws(Errno) -> FolderListing {
        try Self.sorted(try Descriptor.open(at: folder.number, name, O_RDONLY | O_DIRECTORY))
    }

    private static func sorted(_ folder: Descriptor) throws(Errno) -> FolderListing {
        var names = try FolderListing(folder.number)
        names.sort()
        return names
    }

    /// The entries of the folder at `path` that lead to `roots`. The roots lie beneath it and are in PathOrder.
    private func namesLeading(to roots: ArraySlice<[UInt8]>, below path: [UInt8]) -> FolderListing {
        var names = FolderListing()
        for root in roots {
            let rest = path.isEmpty ? root[...] : root[(path.count + 1)...]
            let name = rest.prefix { $0 != UInt8(ascii: "/") }
            if names.count == 0 || !names.name(names.count - 1).elementsEqual(name) { names.append(name) }
        }
        return names
    }
}

/// A folder of the walk that stays open until the last of its `.unseen` entries has been looked at.
private final class FolderOfUnseen: OpenFolder {
    private let folder: Descriptor

    init(_ folder: Descriptor) { self.folder = folder }

    func stat(ofEntryAt path: [UInt8]) throws(SourceError) -> FileStat {
        let start = (path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1
        let stat: FileStat
        do throws(Errno) {
            let status = try withCPath(path[start...]) { name throws(Errno) in
                try linkStatus(at: folder.number, name)
            }
            guard let known = FileStat(status) else { throw Errno(code: EINVAL) }
            stat = known
        } catch {
            throw SourceError(error, "look up")
        }
        guard stat.type != .directory else {
            throw SourceError(operation: "look up", message: "it became a folder while its folder was read")
        }
        return stat
    }
}
