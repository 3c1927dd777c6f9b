// OwnFolder: recognises the repository's own folder, which no backup into it may store. A walk may meet the folder
// under its path, or under another path if a folder or disk is mounted twice.
//
// Always holds: a folder that only looks like the repository is stored. If device and inode numbers are not unique, the
// folder must hold an object that this run has just put into the repository, or have the repository's name and
// configuration.

import BakFormat
import BakCore
import BakRepository
import BakStorage

/// The path and identity of the repository's folder.
public struct OwnFolder: Sendable {
    /// Its path, absolute without the leading slash.
    public var path: [UInt8]
    /// The folder's stat; nil if it cannot be read.
    public var stat: FileStat?
    /// Reads the configuration; returns nothing if that fails. Most walks never need it.
    private let readConfig: @Sendable () -> [UInt8]

    /// Describes a repository's folder.
    public init(
        path: [UInt8], stat: FileStat?, readConfig: @escaping @Sendable () -> [UInt8] = { [] }
    ) {
        (self.path, self.stat, self.readConfig) = (path, stat, readConfig)
    }

    /// The same, by path and numbers only, for a run that has put nothing into the repository.
    func isSeen(at path: [UInt8], _ found: FileStat, in tree: any SourceTree) -> Bool {
        isSeen(at: path, found, in: tree, mark: ObjectNames.config, isUnique: false)
    }

    /// True if a folder of the walk is this one. `mark` is an object of this repository. `isUnique` says that no copy
    /// of the repository has the mark.
    func isSeen(
        at path: [UInt8], _ found: FileStat, in tree: any SourceTree, mark: ObjectKey, isUnique: Bool
    ) -> Bool {
        if path == self.path { return true }
        guard let stat, found.type == .directory else { return false }
        let isSameNumber = found.inode == stat.inode
        let isNumbered = tree.evidence(path, found).hasIdentity
        // A file system in user space may show either folder under numbers of its own.
        if isNumbered, tree.evidence(self.path, stat).hasIdentity {
            return isSameNumber && found.device == stat.device
        }
        // Another path to the folder may show other numbers, but rarely another time. Where a look is cheap, each
        // folder is searched for the mark, whatever its time.
        if isSameNumber || found.mtime.seconds == stat.mtime.seconds || isNumbered && isUnique,
            let file = try? tree.open(PathOrder.join(path, Array(mark.description.utf8)))
        {
            file.close()
            return true
        }
        // A file system that shows a stale listing shows neither the time nor the mark. Leaving out a copy of the
        // repository does no harm.
        return !isNumbered && Self.name(path) == Self.name(self.path) && holdsConfig(path, tree)
    }

    private func holdsConfig(_ path: [UInt8], _ tree: any SourceTree) -> Bool {
        let config = readConfig()
        guard !config.isEmpty,
            let file = try? tree.open(PathOrder.join(path, Array(ObjectNames.config.description.utf8)))
        else { return false }
        defer { file.close() }
        let bytes = try? [UInt8](unsafeUninitializedCapacity: config.count + 1) { buffer, filled in
            filled = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
        }
        return bytes == config
    }

    private static func name(_ path: [UInt8]) -> ArraySlice<UInt8> {
        path[(path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0)...]
    }
}
