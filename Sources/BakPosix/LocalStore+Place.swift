// LocalStore+Place: what tells the store's folder from others, and the paths by which it is reached.

import BakStorage
import CLinux
import Glibc

extension LocalStore {
    /// File systems whose inode numbers stay as they are: ext2 to ext4, XFS, Btrfs, F2FS, tmpfs.
    private static let steadyTypes: Set<UInt32> = [
        0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994,
    ]

    public var place: String {
        var system = statfs()
        if fstatfs(root.number, &system) == 0, let status = try? root.status(),
            Self.steadyTypes.contains(UInt32(truncatingIfNeeded: system.f_type))
        {
            return "\(system.f_fsid.__val.0) \(system.f_fsid.__val.1) \(status.st_ino)"
        }
        return Machine.realPath(location) ?? location
    }

    public var paths: Set<String> {
        Set([Machine.absolutePath(location), Machine.realPath(location)].compactMap(\.self))
    }
}
