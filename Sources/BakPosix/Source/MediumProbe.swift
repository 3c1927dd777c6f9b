// MediumProbe: what a path's files lie on, from the block device's entry in /sys and from the kind of file system.
// A guess: it decides how fast a backup reads, never what it reads.

import BakStorage
import CLinux
import Glibc

enum MediumProbe {
    /// The kind of every file system that a program of this machine provides.
    static let fuse: UInt32 = 0x6573_5546

    /// File systems whose files another machine holds, by the `f_type` of statfs(2): NFS, CIFS, SMB 2, SMB, 9P,
    /// FUSE, Ceph, AFS, Coda.
    static let networkTypes: Set<UInt32> = [
        0x6969, 0xff53_4d42, 0xfe53_4d42, 0x517b, 0x0102_1997, fuse, 0x00c3_6400, 0x5346_414f,
        0x7375_7245,
    ]

    /// The kind of file system that holds `path`; nil when it cannot be asked.
    static func fileSystemType(_ path: [UInt8]) -> UInt32? {
        var system = statfs()
        guard withCPath(path, { statfs($0, &system) }) == 0 else { return nil }
        return UInt32(truncatingIfNeeded: system.f_type)
    }

    /// True if a program is the file system (FUSE) that holds an open folder.
    static func isProgram(_ folder: Int32) -> Bool {
        var system = statfs()
        return fstatfs(folder, &system) == 0 && UInt32(truncatingIfNeeded: system.f_type) == fuse
    }

    /// The kind of file system that an open file is on; nil when it cannot be asked.
    static func fileSystemType(_ file: Descriptor) -> UInt32? {
        var system = statfs()
        guard fstatfs(file.number, &system) == 0 else { return nil }
        return UInt32(truncatingIfNeeded: system.f_type)
    }

    /// What `path`, which exists, lies on.
    static func medium(_ path: [UInt8]) -> SourceMedium {
        if let status = try? withCPath(path, { path throws(Errno) in try linkStatus(at: AT_FDCWD, path) }),
            let medium = medium(ofDevice: "\(gnu_dev_major(status.st_dev)):\(gnu_dev_minor(status.st_dev))")
        {
            return medium
        }
        return fileSystemType(path).map(networkTypes.contains) == true ? .network : .solidState
    }

    /// What a block device is; nil when the system has no such one. `devices` is the folder of all devices.
    static func medium(ofDevice number: String, in devices: String = "/sys/dev/block") -> SourceMedium? {
        let device = "\(devices)/\(number)"
        guard let place = Machine.realPath(device) else { return nil }
        // A hypervisor's disk calls itself rotational unless someone has told it otherwise.
        if ["/virtio", "/vbd-"].contains(where: place.contains) { return .solidState }
        // A partition's queue is that of its disk.
        for queue in ["\(place)/queue", "\(place)/../queue"] {
            if let flag = try? SmallFile.read(path: "\(queue)/rotational", limit: 16) {
                return flag.first == UInt8(ascii: "1") ? .rotational : .solidState
            }
        }
        return nil
    }
}

extension String {
    /// Whether `part` occurs in it.
    fileprivate func contains(_ part: String) -> Bool {
        utf8.indices.contains { utf8[$0...].starts(with: part.utf8) }
    }
}
