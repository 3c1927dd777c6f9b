// LocalStore+Place: what tells the store's folder from others, and the paths by which it is reached.
//
// Always holds: what is in the store has no part in it, so that whoever has the store cannot pass off another state of
// it as another place; and a place that only its path tells from others is named by that path alone.

import BakStorage
import CLinux
import Glibc

extension LocalStore {
    /// File systems that say themselves which they are, in whatever device, and whose inode numbers stay as they are:
    /// ext2 to ext4, Btrfs, tmpfs.
    private static let knownTypes: Set<UInt32> = [0xef53, 0x9123_683e, 0x0102_1994]
    /// File systems whose inode numbers stay, and which only say in which device they are: XFS, F2FS.
    private static let numberedTypes: Set<UInt32> = [0x5846_5342, 0xf2f5_2010]

    /// The file system and the folder's inode where these stay as they are, else the path.
    public var place: String { names.place }
    /// The path as it was given, absolute, and the one without links.
    public var paths: Set<String> { names.paths }

    /// Both, found out when the first is asked for: what this store is open in stays what it is.
    private var names: PlaceNames {
        if let known = monitor.locked({ knownNames }) { return known }
        let real = Machine.realPath(path)
        let names = PlaceNames(
            place: findPlace(path: real ?? path),
            paths: Set([Machine.absolutePath(path), real].compactMap(\.self)))
        monitor.locked { knownNames = names }
        return names
    }

    private func findPlace(path: String) -> String {
        var system = statfs()
        guard fstatfs(root.number, &system) == 0, let status = try? root.status() else { return path }
        let type = UInt32(truncatingIfNeeded: system.f_type)
        let numbers = "\(system.f_fsid.__val.0) \(system.f_fsid.__val.1) \(status.st_ino)"
        if Self.knownTypes.contains(type) { return numbers }
        // Two sticks are mounted at one path in turns, and in one device.
        let medium = Disks().medium(of: root)
        if Self.numberedTypes.contains(type) { return medium.map { "\($0) \(status.st_ino)" } ?? numbers }
        return medium.map { "\($0) \(path)" } ?? path
    }
}

/// What a store's folder is told by: `ObjectStore.place` and `ObjectStore.paths`.
struct PlaceNames {
    var place: String
    var paths: Set<String>
}
