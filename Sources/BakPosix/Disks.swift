// Disks: which physical disks a path lies on, as far as this machine knows: partitions, LVM, RAID, encryption and image
// files lie on what is beneath them, and a folder that is mounted elsewhere is where it was.
//
// Always holds: two paths are said to lie on different disks only if the disks of both are known.

import CLinux
import Glibc

/// What two places have in common.
public enum DiskRelation: Sendable, Equatable {
    /// They go together when one disk fails.
    case same
    /// They do not.
    case different
    /// This machine does not know.
    case unknown
}

/// Looks up the disks of paths. For one thread.
public struct Disks {
    private let devices: String
    private let btrfs: String
    private let mounts: String
    private let deviceFiles: String
    /// No chain of devices on devices is longer.
    private static let deepest = 8

    /// Looks at this machine, or at a copy of how its `/sys`, its list of mounts and its `/dev` look.
    public init(
        devices: String = "/sys/dev/block", btrfs: String = "/sys/fs/btrfs",
        mounts: String = "/proc/self/mountinfo", deviceFiles: String = "/dev"
    ) {
        (self.devices, self.btrfs, self.mounts, self.deviceFiles) = (devices, btrfs, mounts, deviceFiles)
    }

    /// Whether two existing paths lie on one disk. Symbolic links are followed.
    public func relation(of one: String, to other: String) -> DiskRelation {
        if Machine.areOnOneDevice(one, other) == true { return .same }
        guard let first = disks(ofPath: one), let second = disks(ofPath: other) else { return .unknown }
        return first.isDisjoint(with: second) ? .different : .same
    }

    /// The disks that a path lies on, by names that mean something only among each other; nil when they are not known.
    func disks(ofPath path: String, depth: Int = 0) -> Set<String>? {
        var status = Glibc.stat()
        guard depth < Self.deepest, stat(path, &status) == 0 else { return nil }
        let device = status.format == S_IFBLK ? status.st_rdev : status.st_dev
        if let disks = disks(ofDevice: Self.number(device), depth: depth) { return disks }
        guard status.format != S_IFBLK, let mount = mount(ofPath: path) else { return nil }
        return disks(of: mount, depth: depth)
    }

    /// The disks beneath a block device such as `8:1`; nil when there is no such one.
    func disks(ofDevice number: String, depth: Int = 0) -> Set<String>? {
        guard depth < Self.deepest, let place = Machine.realPath("\(devices)/\(number)") else { return nil }
        return disks(ofDevicePlace: place, depth: depth)
    }

    private func disks(ofDevicePlace place: String, depth: Int) -> Set<String>? {
        guard depth < Self.deepest else { return nil }
        if Machine.isFolder("\(place)/partition") != nil {
            return Machine.realPath("\(place)/..").flatMap { disks(ofDevicePlace: $0, depth: depth + 1) }
        }
        let beneath = Self.names(in: "\(place)/slaves")
        if !beneath.isEmpty {
            return union(beneath) { name in
                Machine.realPath("\(place)/slaves/\(name)").flatMap {
                    disks(ofDevicePlace: $0, depth: depth + 1)
                }
            }
        }
        if let file = Self.text(of: "\(place)/loop/backing_file") {
            return disks(ofPath: file, depth: depth + 1)
        }
        return [place]
    }

    /// The disks of all of `parts`; nil when those of one are not known.
    private func union<Part>(_ parts: [Part], _ disks: (Part) -> Set<String>?) -> Set<String>? {
        var all: Set<String> = []
        for part in parts {
            guard let found = disks(part) else { return nil }
            all.formUnion(found)
        }
        return all
    }

    // MARK: Media that come and go

    /// What tells the medium that an open folder lies on from others that are mounted in the same place in turns: the
    /// file system's UUID, or what was mounted. Nil where this machine knows neither. It is what this machine says of the
    /// medium; a server has no part in it.
    func medium(of folder: Descriptor) -> String? {
        guard let status = try? folder.status() else { return nil }
        if gnu_dev_major(status.st_dev) != 0 { return uuid(ofDevice: status.st_dev) }
        guard let mount = mount(of: folder) else { return nil }
        var source = Glibc.stat()
        if stat(mount.source, &source) == 0, source.format == S_IFBLK {
            return uuid(ofDevice: source.st_rdev)
        }
        return "from \(mount.source)"
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

    /// A line of the list of mounts.
    private struct Mount {
        var device: String
        var type: String
        var source: String
        var options: [String]
    }

    private func disks(of mount: Mount, depth: Int) -> Set<String>? {
        switch mount.type {
        case "tmpfs", "ramfs", "devtmpfs": return ["memory"]
        case "zfs": return [mount.type + ":" + (mount.source.split(separator: "/").first ?? "")]
        case "overlay":
            let upper = mount.options.first { $0.hasPrefix("upperdir=") }
            return upper.flatMap { disks(ofPath: String($0.dropFirst(9)), depth: depth + 1) }
        case "btrfs": return btrfsDisks(mount, depth: depth)
        case _ where Self.elsewhere.contains(mount.type): return [mount.type + ":" + mount.source]
        default:
            // A program that shows a folder or an image file in another place names it.
            return disks(ofPath: mount.source, depth: depth + 1)
        }
    }

    /// What another machine or a phone holds.
    private static let elsewhere: Set<String> = [
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "virtiofs", "fuse.sshfs", "fuse.rclone",
        "fuse.gvfsd-fuse", "fuse.jmtpfs", "fuse.simple-mtpfs", "fuse.go-mtpfs", "fuse.aft-mtp-mount",
        "fuse.mtpfs", "fuse.ifuse", "fuse.curlftpfs", "fuse.davfs2", "davfs", "fuse.s3fs",
        "fuse.gcsfuse", "fuse.kio-fuse", "fuse.adbfs", "fuse.smbnetfs", "fuse.glusterfs",
    ]

    /// All disks of the btrfs file system of which a mount names one.
    private func btrfsDisks(_ mount: Mount, depth: Int) -> Set<String>? {
        guard let named = disks(ofPath: mount.source, depth: depth + 1) else { return nil }
        let device = mount.source.split(separator: "/").last.map { String($0) } ?? ""
        for system in Self.names(in: btrfs) {
            let parts = Self.names(in: "\(btrfs)/\(system)/devices")
            guard parts.contains(device) else { continue }
            return union(parts) { disks(ofPath: "\(deviceFiles)/\($0)", depth: depth + 1) }
        }
        return named
    }

    /// The mount that a path lies in.
    private func mount(ofPath path: String) -> Mount? {
        guard let file = try? Descriptor.open(path, linux_O_PATH.flag) else { return nil }
        return mount(of: file)
    }

    private func mount(of file: Descriptor) -> Mount? {
        let known = Self.text(of: "/proc/self/fdinfo/\(file.number)") ?? ""
        let field = known.split(separator: "\n").first { $0.hasPrefix("mnt_id:") }
        guard let number = field?.dropFirst(7).split(whereSeparator: \.isWhitespace).first else { return nil }
        return mount(numbered: String(number))
    }

    /// The mount of that number: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
    private func mount(numbered number: String) -> Mount? {
        for line in (Self.text(of: mounts) ?? "").split(separator: "\n") {
            let fields = line.split(separator: " ").map { String($0) }
            guard fields.first == number, let dash = fields.firstIndex(of: "-"), fields.count > dash + 2,
                dash > 2
            else { continue }
            let options = fields.count > dash + 3 ? fields[dash + 3].split(separator: ",") : []
            return Mount(
                device: fields[2], type: fields[dash + 1], source: Self.unescaped(fields[dash + 2]),
                options: options.map { Self.unescaped(String($0)) })
        }
        return nil
    }

    /// A field of the list, in which `\040` stands for a space.
    private static func unescaped(_ field: String) -> String {
        var (bytes, rest) = ([UInt8](), Array(field.utf8)[...])
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func number(_ device: dev_t) -> String {
        "\(gnu_dev_major(device)):\(gnu_dev_minor(device))"
    }

    /// A small file's text without the newline at its end; nil when it cannot be read.
    private static func text(of path: String) -> String? {
        guard var bytes = try? SmallFile.read(path: path, limit: 16 << 20) else { return nil }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The names in a folder; none when it cannot be listed.
    private static func names(in folder: String) -> [String] {
        guard let open = try? Descriptor.open(folder, O_RDONLY | O_DIRECTORY),
            let listing = try? FolderListing(open.number)
        else { return [] }
        return (0..<listing.count).map { String(decoding: listing.name($0), as: UTF8.self) }
    }
}
