// MediumProbe: guesses the medium of a path's files from the block device's entry in /sys and from the kind of file
// system. The guess decides how fast files and packs are read, never what is read.

import BakStorage
import CLinux
import Glibc

enum MediumProbe {
    /// FUSE: the kind of every file system that a program of this machine provides.
    static let fuse: UInt32 = 0x6573_5546

    /// The `f_type` in statfs(2) of file systems whose files may lie on another machine: NFS, CIFS, SMB 2, SMB, 9P,
    /// FUSE, Ceph, AFS, Coda.
    static let networkTypes: Set<UInt32> = [
        0x6969, 0xff53_4d42, 0xfe53_4d42, 0x517b, 0x0102_1997, fuse, 0x00c3_6400, 0x5346_414f,
        0x7375_7245,
    ]

    /// The kind of file system that holds `path`; nil if the system does not say.
    static func fileSystemType(_ path: [UInt8]) -> UInt32? {
        var system = statfs()
        guard withCPath(path, { statfs($0, &system) }) == 0 else { return nil }
        return UInt32(truncatingIfNeeded: system.f_type)
    }

    /// True if an open folder is on FUSE.
    static func isProgram(_ folder: Int32) -> Bool {
        var system = statfs()
        return fstatfs(folder, &system) == 0 && UInt32(truncatingIfNeeded: system.f_type) == fuse
    }

    /// The kind of file system that an open file is on; nil if the system does not say.
    static func fileSystemType(_ file: Descriptor) -> UInt32? {
        var system = statfs()
        guard fstatfs(file.number, &system) == 0 else { return nil }
        return UInt32(truncatingIfNeeded: system.f_type)
    }

    /// The medium of an existing path.
    static func medium(_ path: [UInt8]) -> SourceMedium {
        if let status = try? withCPath(path, { path throws(Errno) in try linkStatus(at: AT_FDCWD, path) }),
            let medium = medium(ofDevice: "\(gnu_dev_major(status.st_dev)):\(gnu_dev_minor(status.st_dev))")
        {
            return medium
        }
        if fileSystemType(path).map(networkTypes.contains) == true { return .network }
        // Btrfs and overlays have no device number of their own, but they lie on disks.
        return isOnSpinningDisk(Disks().holders(ofPath: path) ?? []) ? .rotational : .solidState
    }

    /// The medium of an open folder.
    static func medium(_ folder: Descriptor) -> SourceMedium {
        // The dot makes `lstat` follow the link to the folder.
        medium(Array("/proc/self/fd/\(folder.number)/.".utf8))
    }

    /// True if one of the holders is a spinning disk.
    static func isOnSpinningDisk(_ holders: Set<DiskHolder>) -> Bool {
        holders.contains { holder in
            guard case .disk(let place) = holder else { return false }
            return medium(ofPlace: place) == .rotational
        }
    }

    /// The medium that a block device is; nil if the system has no such device. `devices` is the folder of all devices.
    static func medium(ofDevice number: String, in devices: String = "/sys/dev/block") -> SourceMedium? {
        Machine.realPath("\(devices)/\(number)").flatMap(medium(ofPlace:))
    }

    /// The medium that a block device is, by its path in `/sys` without links.
    private static func medium(ofPlace place: String) -> SourceMedium? {
        // A virtual disk reports itself as rotational unless the hypervisor was configured otherwise.
        if ["/virtio", "/vbd-"].contains(where: place.contains) { return .solidState }
        // A partition uses the queue of its disk.
        for queue in ["\(place)/queue", "\(place)/../queue"] {
            if let flag = try? SmallFile.read(path: "\(queue)/rotational", limit: 16) {
                return flag.first == UInt8(ascii: "1") ? .rotational : .solidState
            }
        }
        return nil
    }
}

extension String {
    /// True if `part` occurs in it.
    fileprivate func contains(_ part: String) -> Bool {
        utf8.indices.contains { utf8[$0...].starts(with: part.utf8) }
    }
}
