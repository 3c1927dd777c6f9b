// Disks: finds the physical disks that a path lies on, as far as this machine knows. It looks through partitions, LVM,
// RAID, encryption, image files and bind mounts. A holder (`DiskHolder`) of a path is a disk that its content lies on,
// or a stand-in for disks that this machine cannot see, such as another machine.
//
// Always holds: two paths count as on different disks only if the holders of both are known and no holder of one can
// fail together with a holder of the other (`DiskHolder.isApart`). Paths are bytes.

import BakCore
import CLinux
import Glibc

/// Whether two places share a disk.
public enum DiskRelation: Sendable, Equatable {
    /// The failure of one disk loses both.
    case same
    /// The failure of one disk loses only one of them.
    case different
    /// This machine does not know.
    case unknown
}

/// Looks up the disks of paths. Only one thread may use it at a time.
public struct Disks {
    private let devices: String
    private let btrfs: String
    private let mounts: String
    private let deviceFiles: String
    /// The longest chain of devices on devices that is followed.
    private static let deepest = 8

    /// Looks at this machine, or, in tests, at a copy of its `/sys`, its list of mounts and its `/dev`.
    public init(
        devices: String = "/sys/dev/block", btrfs: String = "/sys/fs/btrfs",
        mounts: String = "/proc/self/mountinfo", deviceFiles: String = "/dev"
    ) {
        (self.devices, self.btrfs, self.mounts, self.deviceFiles) = (devices, btrfs, mounts, deviceFiles)
    }

    /// Tells whether two existing paths lie on one disk. Symbolic links are followed.
    public func relation(of one: [UInt8], to other: [UInt8]) -> DiskRelation {
        if Machine.areOnOneDevice(one, other) == true { return .same }
        guard let first = holders(ofPath: one), let second = holders(ofPath: other) else { return .unknown }
        if !first.isDisjoint(with: second) { return .same }
        return first.allSatisfy { one in second.allSatisfy(one.isApart) } ? .different : .unknown
    }

    /// True if the path lies in memory, so that its content is lost when this machine is switched off. Symbolic links
    /// are followed.
    public func isInMemory(_ path: [UInt8]) -> Bool { holders(ofPath: path)?.contains(.memory) == true }

    /// The holders of a path; nil if they are not known.
    func holders(ofPath path: [UInt8], depth: Int = 0) -> Set<DiskHolder>? {
        guard depth < Self.deepest, let status = Self.status(path) else { return nil }
        let device = status.format == S_IFBLK ? status.st_rdev : status.st_dev
        if let holders = holders(ofDevice: Self.number(device), depth: depth) { return holders }
        guard status.format != S_IFBLK, let mount = mount(ofPath: path) else { return nil }
        return holders(of: mount, path, depth: depth)
    }

    /// The holders beneath a block device such as `8:1`; nil if there is no such device or they are not known.
    func holders(ofDevice number: String, depth: Int = 0) -> Set<DiskHolder>? {
        guard depth < Self.deepest, let place = Machine.realPath("\(devices)/\(number)") else { return nil }
        return holders(ofDevicePlace: place, depth: depth)
    }

    private func holders(ofDevicePlace place: String, depth: Int) -> Set<DiskHolder>? {
        guard depth < Self.deepest else { return nil }
        if Machine.isFolder("\(place)/partition") != nil {
            return Machine.realPath("\(place)/..").flatMap { holders(ofDevicePlace: $0, depth: depth + 1) }
        }
        let beneath = Self.names(in: "\(place)/slaves")
        if !beneath.isEmpty {
            return union(beneath) { name in
                Machine.realPath("\(place)/slaves/\(name)").flatMap {
                    holders(ofDevicePlace: $0, depth: depth + 1)
                }
            }
        }
        if let file = Self.bytes(of: "\(place)/loop/backing_file") {
            return holders(ofPath: file, depth: depth + 1)
        }
        return [.disk(place)]
    }

    /// The holders of all `parts`; nil if those of one part are not known.
    private func union<Part>(_ parts: [Part], _ holders: (Part) -> Set<DiskHolder>?) -> Set<DiskHolder>? {
        var all: Set<DiskHolder> = []
        for part in parts {
            guard let found = holders(part) else { return nil }
            all.formUnion(found)
        }
        return all
    }

    // MARK: Media that come and go

    /// Returns a text that identifies the medium of an open folder: the file system's UUID or the source of the mount.
    /// It tells media apart that are mounted at the same place in turn. Nil if this machine knows neither. The answer
    /// comes from this machine alone; a server of the medium cannot influence it.
    func medium(of folder: Descriptor) -> String? {
        guard let status = try? folder.status() else { return nil }
        if gnu_dev_major(status.st_dev) != 0 { return uuid(ofDevice: status.st_dev) }
        guard let mount = mount(of: folder) else { return nil }
        if let source = Self.status(mount.source), source.format == S_IFBLK {
            return uuid(ofDevice: source.st_rdev)
        }
        return "from \(String(decoding: mount.source, as: UTF8.self))"
    }

    private func uuid(ofDevice device: dev_t) -> String? {
        let folder = "\(deviceFiles)/disk/by-uuid"
        let uuid = Self.names(in: folder).first { name in
            var status = Glibc.stat()
            return stat("\(folder)/\(name)", &status) == 0 && status.format == S_IFBLK
                && status.st_rdev == device
        }
        return uuid.map { "uuid \($0)" }
    }

    // MARK: File systems without a block device of their own

    private func holders(of mount: Mount, _ path: [UInt8], depth: Int) -> Set<DiskHolder>? {
        switch mount.type {
        case "tmpfs", "ramfs", "devtmpfs": return [.memory]
        case "zfs": return [.pool(Array(mount.source.prefix { $0 != UInt8(ascii: "/") }))]
        case "overlay":
            // A file may lie in any layer.
            guard let layers = mount.layers else { return nil }
            return union(layers) { holders(ofPath: $0, depth: depth + 1) }
        case "btrfs": return btrfsDisks(mount, depth: depth)
        case "9p", "virtiofs": return [.host(mount.source)]
        case "fuse.gvfsd-fuse", "fuse.kio-fuse": return mount.shownByDesktop(path).map { [$0] }
        case _ where Self.gadgets.contains(mount.type): return [.gadget]
        case _ where Self.remote.contains(mount.type):
            return MachineAddress(mount.source).map { [.machine($0)] }
        default:
            // If a program mounts a folder or an image file, the source of the mount is the path of that folder or
            // file.
            guard mount.source.first == UInt8(ascii: "/") else { return nil }
            return holders(ofPath: mount.source, depth: depth + 1)
        }
    }

    /// File systems of phones and cameras.
    private static let gadgets: Set<String> = [
        "fuse.jmtpfs", "fuse.simple-mtpfs", "fuse.go-mtpfs", "fuse.aft-mtp-mount", "fuse.mtpfs", "fuse.ifuse",
        "fuse.adbfs", "fuse.gphotofs",
    ]

    /// File systems of other machines. `rclone` is not among them, because its remote may be a folder of this machine.
    private static let remote: Set<String> = [
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.sshfs", "fuse.curlftpfs", "fuse.davfs2",
        "davfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.smbnetfs", "fuse.glusterfs",
    ]

    /// All disks of a Btrfs file system; a mount names only one of them.
    private func btrfsDisks(_ mount: Mount, depth: Int) -> Set<DiskHolder>? {
        guard let named = holders(ofPath: mount.source, depth: depth + 1) else { return nil }
        let device = mount.source.split(separator: UInt8(ascii: "/")).last.map { Array($0) } ?? []
        for system in Self.names(in: btrfs) {
            let parts = Self.names(in: "\(btrfs)/\(system)/devices")
            guard parts.contains(where: { $0.utf8.elementsEqual(device) }) else { continue }
            return union(parts) { holders(ofPath: Array("\(deviceFiles)/\($0)".utf8), depth: depth + 1) }
        }
        return named
    }

    /// The mount that a path lies in.
    private func mount(ofPath path: [UInt8]) -> Mount? {
        let opened = withCPath(path) { try? Descriptor.open(at: AT_FDCWD, $0, linux_O_PATH.flag) }
        return opened.flatMap { mount(of: $0) }
    }

    private func mount(of file: Descriptor) -> Mount? {
        let known = Self.bytes(of: "/proc/self/fdinfo/\(file.number)") ?? []
        let field = known.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: "mnt_id:".utf8) }
        let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        guard let number = field?.dropFirst(7).drop(while: { !isDigit($0) }).prefix(while: isDigit) else {
            return nil
        }
        return Mount(numbered: Array(number), in: Self.bytes(of: mounts) ?? [])
    }

    private static func number(_ device: dev_t) -> String {
        "\(gnu_dev_major(device)):\(gnu_dev_minor(device))"
    }

    private static func status(_ path: [UInt8]) -> stat? {
        guard !path.contains(0) else { return nil }
        var status = Glibc.stat()
        return withCPath(path) { stat($0, &status) } == 0 ? status : nil
    }

    /// A small file's content without the newline at its end; nil if it cannot be read.
    private static func bytes(of path: String) -> [UInt8]? {
        guard var bytes = try? SmallFile.read(path: path, limit: 16 << 20) else { return nil }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        return bytes
    }

    /// The names in a folder of the system; none if it cannot be listed.
    private static func names(in folder: String) -> [String] {
        (Machine.names(inFolder: folder) ?? []).compactMap { String(validating: $0, as: UTF8.self) }
    }
}
