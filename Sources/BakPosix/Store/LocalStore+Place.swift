// LocalStore+Place: identifies the store's folder on this machine, and gives the paths by which it is reached.
//
// A place is a text that identifies the folder.
//
// Always holds: a place never depends on the store's content. So an attacker who puts an old state into the store
// cannot make this machine believe that it sees a different store. If this machine knows nothing else that identifies
// the folder, its path is the place.

import BakStorage
import CLinux
import Glibc

extension LocalStore {
    /// File systems that keep their inode numbers and report an id of their own, which does not depend on the device:
    /// ext2 to ext4, Btrfs, tmpfs.
    private static let knownTypes: Set<UInt32> = [0xef53, 0x9123_683e, 0x0102_1994]
    /// File systems that keep their inode numbers, but whose reported id is only the number of the device: XFS, F2FS.
    private static let numberedTypes: Set<UInt32> = [0x5846_5342, 0xf2f5_2010]

    /// Identifies the folder by file system and inode, or by medium and inode, if the file system keeps inode numbers;
    /// else by medium and path, or by the path alone if the medium is unknown.
    public var place: String { names.place }
    /// The absolute path as the user gave it, and the path without links.
    public var paths: Set<String> { names.paths }

    /// Place and paths, determined at the first use. They stay the same while the store is open.
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
        // Two sticks may be mounted in turn at the same path and from the same device.
        let medium = Disks().medium(of: root)
        if Self.numberedTypes.contains(type) { return medium.map { "\($0) \(status.st_ino)" } ?? numbers }
        return medium.map { "\($0) \(path)" } ?? path
    }
}

/// The values of `ObjectStore.place` and `ObjectStore.paths`.
struct PlaceNames {
    var place: String
    var paths: Set<String>
}
