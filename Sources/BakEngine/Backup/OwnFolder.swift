// OwnFolder: the repository's own folder, which no backup into it may store, as a walk may meet it: under its path, or
// under another where a folder or a disk is mounted twice.
//
// Always holds: a folder that only looks like it is stored. Where numbers can be had twice, the folder must hold what
// this run has just put into the repository, or bear its name and hold its configuration.

import BakFormat
import BakCore
import BakRepository
import BakStorage

/// Where the repository's folder is, and what it is.
public struct OwnFolder: Sendable {
    /// Its path, absolute without the leading slash.
    public var path: [UInt8]
    /// What the system shows of it; nil when it cannot be asked.
    public var stat: FileStat?
    /// Reads its configuration; empty when that cannot be had. Most walks meet nothing that asks for it.
    private let readConfig: @Sendable () -> [UInt8]

    /// Describes a repository's folder.
    public init(
        path: [UInt8], stat: FileStat?, readConfig: @escaping @Sendable () -> [UInt8] = { [] }
    ) {
        (self.path, self.stat, self.readConfig) = (path, stat, readConfig)
    }

    /// The same where nothing has just been put into the repository: by its path and its numbers.
    func isSeen(at path: [UInt8], _ found: FileStat, in tree: any SourceTree) -> Bool {
        isSeen(at: path, found, in: tree, mark: ObjectNames.config, isUnique: false)
    }

    /// True if a folder that the walk has met is this one. `mark` is an object of this repository; `isUnique` says that
    /// no copy of it has it.
    func isSeen(
        at path: [UInt8], _ found: FileStat, in tree: any SourceTree, mark: ObjectKey, isUnique: Bool
    ) -> Bool {
        if path == self.path { return true }
        guard let stat, found.type == .directory else { return false }
        let isSameNumber = found.inode == stat.inode
        let isNumbered = tree.evidence(path, found).hasIdentity
        // Either may be the other seen through a file system in user space, which has numbers of its own.
        if isNumbered, tree.evidence(self.path, stat).hasIdentity {
            return isSameNumber && found.device == stat.device
        }
        // Another way to it may show other numbers, but hardly another time. Where a look costs little, that is not
        // relied on.
        if isSameNumber || found.mtime.seconds == stat.mtime.seconds || isNumbered && isUnique,
            let file = try? tree.open(PathOrder.join(path, Array(mark.description.utf8)))
        {
            file.close()
            return true
        }
        // What shows an earlier listing shows neither the time nor the mark. A copy of the repository is no loss.
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
