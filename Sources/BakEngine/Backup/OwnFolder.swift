// OwnFolder: recognises the repository's own folder, which no backup into that repository may store. A walk may meet
// the folder under its path, or under another path if a folder or disk is mounted twice.
//
// Always holds: a folder that merely looks like the repository is stored. If device and inode numbers are unique, they
// decide. Otherwise the folder is left out only if it holds an object that this run has just put into the repository,
// or has the repository's name and configuration. A run that stores nothing looks for `config` instead of such an
// object.

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
    /// Reads the configuration; returns an empty array if that fails. Most walks never call this.
    private let readConfig: @Sendable () -> [UInt8]

    /// Describes a repository's folder.
    public init(
        path: [UInt8], stat: FileStat?, readConfig: @escaping @Sendable () -> [UInt8] = { [] }
    ) {
        (self.path, self.stat, self.readConfig) = (path, stat, readConfig)
    }

    /// Throws `OnlyOwnFolderError` if each of the paths is this folder or lies in it.
    func expectMore(than paths: [[UInt8]]) throws(OnlyOwnFolderError) {
        let isOwn = paths.allSatisfy { $0 == path || $0.starts(with: path + [UInt8(ascii: "/")]) }
        if isOwn, let first = paths.first { throw OnlyOwnFolderError(path: first) }
    }

    /// True if a folder of the walk is this one, for a run that has put nothing into the repository. The mark is then
    /// `config`, which copies of the repository have, too.
    func isSeen(at path: [UInt8], _ found: FileStat, in tree: any SourceTree) -> Bool {
        isSeen(at: path, found, in: tree, mark: ObjectNames.config, isUnique: false)
    }

    /// True if a folder of the walk is this one. `mark` is an object of this repository. `isUnique` is true if no copy
    /// of the repository has the mark.
    func isSeen(
        at path: [UInt8], _ found: FileStat, in tree: any SourceTree, mark: ObjectKey, isUnique: Bool
    ) -> Bool {
        if path == self.path { return true }
        guard let stat, found.type == .directory else { return false }
        let isSameNumber = found.inode == stat.inode
        let isNumbered = tree.evidence(path, found).hasIdentity
        // Numbers decide only if both are genuine: a file system in user space may show a folder under invented
        // numbers.
        if isNumbered, tree.evidence(self.path, stat).hasIdentity {
            return isSameNumber && found.device == stat.device
        }
        // Under another path the folder may have other numbers, but rarely another time. So a folder with the same
        // number or time is searched for the mark. On a medium with genuine numbers a search is cheap, so every folder
        // is searched there if the mark is unique.
        if isSameNumber || found.mtime.seconds == stat.mtime.seconds || isNumbered && isUnique,
            let file = try? tree.open(PathOrder.join(path, Array(mark.description.utf8)))
        {
            file.close()
            return true
        }
        // A file system with a stale listing shows neither the present time nor the mark. There the name and the
        // configuration decide. They may fit a copy of the repository, too, but leaving out a copy does no harm.
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

/// A backup was asked to store nothing but its own repository.
public struct OnlyOwnFolderError: Error, CustomStringConvertible {
    /// The first of the paths that were asked for, absolute without the leading slash.
    public let path: [UInt8]

    /// Says which path it is, and what to name instead.
    public var description: String {
        "/\(String(decoding: path, as: UTF8.self)) belongs to the repository, which a backup never stores. "
            + "Name the folders of your files"
    }
}
