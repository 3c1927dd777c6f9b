// The disks on which paths lie. The tests use copies of /sys and of the list of mounts, and this machine.

import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct DisksTests {
        let scratch = Scratch()

        /// Makes the folders and files of a device, and the link from its number, as in /sys.
        private func device(
            _ number: String, _ place: String, isPartition: Bool = false, on slaves: [String] = [],
            image: String? = nil
        ) {
            func make(_ path: String) {
                var folder = ""
                for component in path.split(separator: "/") {
                    folder += (folder.isEmpty ? "" : "/") + component
                    mkdir(scratch[folder], 0o755)
                }
            }
            make(place)
            make("numbers")
            symlink("../\(place)", scratch["numbers/\(number)"])
            if isPartition { scratch.write("\(place)/partition", "1\n") }
            for slave in slaves {
                make("\(place)/slaves")
                let name = slave.split(separator: "/").last!
                symlink(scratch[slave], scratch["\(place)/slaves/\(name)"])
            }
            if let image {
                make("\(place)/loop")
                scratch.write("\(place)/loop/backing_file", image + "\n")
            }
        }

        private func disks(_ number: String) -> Set<DiskHolder>? {
            Disks(devices: scratch["numbers"], btrfs: scratch["btrfs"], mounts: "/dev/null").holders(
                ofDevice: number)
        }

        @Test func devicesAreTheDisksBeneathThem() {
            device("8:0", "d/sda")
            device("8:1", "d/sda/sda1", isPartition: true)
            device("8:2", "d/sda/sda2", isPartition: true)
            device("8:16", "d/sdb")
            device("8:17", "d/sdb/sdb1", isPartition: true)
            // An encrypted partition with a volume on it, and a mirror of both disks.
            device("252:0", "d/dm-0", on: ["d/sda/sda2"])
            device("252:1", "d/dm-1", on: ["d/dm-0"])
            device("9:0", "d/md0", on: ["d/sda/sda1", "d/sdb/sdb1"])
            let sda = Set([DiskHolder.disk(Machine.realPath(scratch["d/sda"])!)])
            let sdb = Set([DiskHolder.disk(Machine.realPath(scratch["d/sdb"])!)])
            for number in ["8:0", "8:1", "8:2", "252:0", "252:1"] {
                #expect(disks(number) == sda, "\(number)")
            }
            #expect(disks("8:17") == sdb && disks("9:0") == sda.union(sdb))
            #expect(disks("11:0") == nil)
        }

        @Test func anImageFileIsWhereTheFileIs() throws {
            scratch.write("image")
            device("7:0", "d/loop0", image: scratch["image"])
            device("7:1", "d/loop1", image: scratch["gone"])
            let own = Disks(devices: scratch["numbers"]).holders(ofPath: Array(scratch.path.utf8))
            #expect(disks("7:0") == own)
            #expect(disks("7:1") == nil)
        }

        @Test func devicesThatLieOnEachOtherHaveAnEnd() {
            device("252:0", "d/dm-0")
            device("252:1", "d/dm-1", on: ["d/dm-0"])
            mkdir(scratch["d/dm-0/slaves"], 0o755)
            symlink(scratch["d/dm-1"], scratch["d/dm-0/slaves/dm-1"])
            #expect(disks("252:1") == nil)
        }

        private func relation(_ one: String, _ other: String) -> DiskRelation {
            Disks().relation(of: Array(one.utf8), to: Array(other.utf8))
        }

        @Test func onePathLiesOnItsOwnDisk() {
            scratch.write("a")
            scratch.folder("b")
            #expect(relation(scratch["a"], scratch["b"]) == .same)
            #expect(relation(scratch["a"], scratch["not there"]) == .unknown)
            // The kernel's own file systems lie on no disk.
            #expect(relation("/proc", scratch["b"]) != .same)
        }

        /// A path may have bytes that are not text.
        @Test func aPathIsBytes() {
            scratch.write("a")
            let odd = Array(scratch["B"].utf8) + [0xfc] + Array("rger".utf8)
            #expect(withCPath(odd) { mkdir($0, 0o755) } == 0)
            #expect(Disks().relation(of: odd, to: Array(scratch["a"].utf8)) == .same)
        }

        /// Only paths that certainly lie on different disks count as apart.
        @Test func whatIsNotKnownIsNoOtherDisk() throws {
            func machine(_ source: String) throws -> DiskHolder {
                .machine(try #require(MachineAddress(Array(source.utf8))))
            }
            let (nas, other) = (try machine("nas:/photos"), try machine("other:/photos"))
            let (sda, sdb) = (DiskHolder.disk("sda"), DiskHolder.disk("sdb"))
            let (tank, host) = (DiskHolder.pool([1]), DiskHolder.host([1]))
            let apart: [(DiskHolder, DiskHolder)] = [
                (sda, sdb), (sda, nas), (sda, .gadget), (sda, .memory), (tank, nas), (tank, .gadget),
                (tank, .memory), (nas, .gadget), (nas, .memory), (host, .gadget), (host, .memory),
                (.gadget, .memory),
            ]
            let unknown: [(DiskHolder, DiskHolder)] = [
                (sda, tank), (sda, host), (tank, .pool([2])), (tank, host), (host, .host([2])), (host, nas),
                // One machine may have several names.
                (nas, other),
            ]
            for (one, other) in apart { #expect(one.isApart(from: other) && other.isApart(from: one)) }
            for (one, other) in unknown { #expect(!one.isApart(from: other) && !other.isApart(from: one)) }
        }

        /// A machine counts as one place, whatever it shares and however that is mounted.
        @Test func aMachineIsOnePlace() {
            func address(_ source: String) -> MachineAddress? { MachineAddress(Array(source.utf8)) }
            let nas = address("nas:/photos")
            for source in [
                "nas:/backup", "nas:", "me@nas:photos/x:y@z", "//nas/photos", "//me@NAS/backup",
                "https://me:word@nas:8443/dav", "curlftpfs#ftp://nas/", "nas.:/x", "nas:6789,other:6789:/",
            ] {
                #expect(address(source) == nas && nas != nil, "\(source)")
            }
            #expect(address("[fe80::1]:/x") == address("me@[fe80::1]:y") && address("[fe80::1]:/x") != nas)
            #expect(address("gnas:/photos") != nas && address("bucket") != nil)
            for source in ["localhost:/x", "127.0.0.1:/x", "[::1]:/x", "//\(Machine.hostName)/x", ":/x", ""] {
                #expect(address(source) == nil, "\(source)")
            }
        }

        private func text(of path: String) -> String? {
            (try? SmallFile.read(path: path, limit: 1 << 16)).map { String(decoding: $0, as: UTF8.self) }
        }

        /// Returns the number of the mount in which a path lies.
        private func mount(of path: String) throws -> String {
            let file = open(path, O_RDONLY)
            defer { close(file) }
            let known = try #require(text(of: "/proc/self/fdinfo/\(file)"))
            let line = try #require(known.split(separator: "\n").first { $0.hasPrefix("mnt_id:") })
            return String(try #require(line.split(separator: "\t").last))
        }

        /// Returns the holders of a path on a machine without block devices. The list of mounts says that the path has
        /// this type and source.
        private func disks(
            ofMount type: String, _ source: String, options: String = "rw", also: [String] = [],
            beneath path: String = ""
        ) throws -> Set<DiskHolder>? {
            let own =
                "\(try mount(of: scratch.path)) 20 0:99 / \(scratch.path) rw shared:1 master:2 - \(type) \(source) \(options)"
            scratch.write("mounts", (["15 1 0:5 / /dev rw"] + also + [own, ""]).joined(separator: "\n"))
            mkdir(scratch["none"], 0o755)
            return Disks(devices: scratch["none"], btrfs: scratch["btrfs"], mounts: scratch["mounts"])
                .holders(ofPath: Array((path.isEmpty ? scratch.path : scratch[path]).utf8))
        }

        /// Everything on another machine counts as one place.
        @Test(arguments: ["nfs4", "cifs", "fuse.sshfs", "davfs"])
        func anotherMachineIsOnePlace(_ type: String) throws {
            let server = DiskHolder.machine(try #require(MachineAddress(Array("server:/".utf8))))
            #expect(try disks(ofMount: type, "server:/photos\\040and\\011films") == [server])
            #expect(try disks(ofMount: type, "server:/other") == [server])
            #expect(try disks(ofMount: type, "localhost:/other") == nil)
        }

        @Test func whatAHostSharesMayBeItsOwnDisk() throws {
            #expect(try disks(ofMount: "9p", "share\\040one") == [.host(Array("share one".utf8))])
            #expect(try disks(ofMount: "virtiofs", "photos") == [.host(Array("photos".utf8))])
            for type in ["fuse.jmtpfs", "fuse.ifuse"] {
                #expect(try disks(ofMount: type, "phone") == [.gadget])
            }
        }

        /// A desktop shows phones and other machines in one mount.
        @Test func aDesktopShowsWhatItSays() throws {
            for folder in ["mtp:host=Phone", "smb-share:server=nas,share=photos", "sftp:host=localhost", "x"]
            {
                scratch.folder(folder)
            }
            func shown(_ path: String) throws -> Set<DiskHolder>? {
                try disks(ofMount: "fuse.gvfsd-fuse", "gvfsd-fuse", beneath: path)
            }
            #expect(try shown("mtp:host=Phone") == [.gadget])
            let nas = try #require(MachineAddress(Array("nas:/".utf8)))
            #expect(try shown("smb-share:server=nas,share=photos") == [.machine(nas)])
            #expect(try shown("sftp:host=localhost") == nil && shown("x") == nil)
        }

        @Test func poolsAreOnePlace() throws {
            #expect(try disks(ofMount: "zfs", "tank/home/me") == disks(ofMount: "zfs", "tank"))
            #expect(try disks(ofMount: "zfs", "tank") != disks(ofMount: "zfs", "other"))
            #expect(try disks(ofMount: "ramfs", "none") == [.memory])
        }

        /// A file system that a program shows, or that is layered over folders, lies where these folders lie. If that
        /// is unknown, the result is nil.
        @Test func whatLiesOnFoldersLiesWhereTheyDo() throws {
            let shared = Scratch(inMemory: true)
            shared.write("image")
            let memory = try "\(mount(of: shared.path)) 21 0:98 / /dev/shm rw - tmpfs tmpfs rw"
            func disks(_ type: String, _ source: String, _ options: String = "rw") throws -> Set<DiskHolder>?
            {
                try self.disks(ofMount: type, source, options: options, also: [memory])
            }
            #expect(try disks("fuse.bindfs", shared.path) == [.memory])
            #expect(try disks("fuse.rclone", shared.path) == [.memory])
            #expect(try disks("fuse.rclone", "drive:photos") == nil)
            #expect(try disks("fuseblk", shared["image"]) == [.memory])
            #expect(try disks("btrfs", shared["image"]) == [.memory])
            // A file of an overlay may lie in any of its layers.
            let upper = "rw,upperdir=\(shared.path),workdir=/b"
            #expect(try disks("overlay", "overlay", "\(upper),lowerdir=\(shared.path)") == [.memory])
            #expect(try disks("overlay", "overlay", "ro,lowerdir=\(shared.path):\(shared.path)") == [.memory])
            #expect(try disks("overlay", "overlay", "\(upper),lowerdir=\(shared.path):/dev") == nil)
            #expect(try disks("overlay", "overlay", "\(upper),lowerdir+=/not-there") == nil)
            #expect(try disks("overlay", "overlay", "ro,lowerdir=/not-there") == nil)
            #expect(try disks("overlay", "overlay", "rw") == nil)
            #expect(try disks("fuse.unheard-of", "program") == nil)
            #expect(try disks("fuse.bindfs", shared["gone"]) == nil)
            // A name is not a path.
            #expect(try disks("fuse.encfs", ".") == nil)
            // A mount that claims to lie on itself.
            #expect(try disks("fuse.loop", scratch.path) == nil)
        }

        /// If media are mounted in turns from one device, their UUIDs distinguish them. If there is no device, the
        /// source of the mount distinguishes them.
        @Test func aMediumIsTheSameWhereverItIsMounted() throws {
            let shared = try Descriptor.open("/dev/shm", O_RDONLY | O_DIRECTORY)
            #expect(Disks().medium(of: shared)?.hasPrefix("from ") == true)
            let folder = try Descriptor.open("/", O_RDONLY | O_DIRECTORY)
            let device = try folder.status().st_dev
            // Numbers of file systems without a device have the major number 0.
            guard device >> 8 & 0xfff != 0 else { try Test.cancel("the root folder has no device") }
            func known() -> String? {
                Disks(deviceFiles: scratch.path).medium(of: folder)
            }
            #expect(known() == nil)
            mkdir(scratch["disk"], 0o755)
            mkdir(scratch["disk/by-uuid"], 0o755)
            symlink("../../none", scratch["disk/by-uuid/0000-0000"])
            symlink("/dev/null", scratch["disk/by-uuid/1111-1111"])
            #expect(known() == nil)
            guard mknod(scratch["device"], S_IFBLK | 0o600, device) == 0 else {
                try Test.cancel("no device can be made here (errno \(errno))")
            }
            symlink("../../device", scratch["disk/by-uuid/ABCD-0123"])
            #expect(known() == "uuid ABCD-0123")
        }

        /// All disks of a btrfs file system count, whichever disk the list of mounts names.
        @Test func aBtrfsLiesOnAllItsDisks() throws {
            device("8:0", "d/sda")
            device("8:16", "d/sdb")
            device("8:32", "d/sdc")
            for (name, number) in [("sda", 0), ("sdb", 16), ("sdc", 32)] {
                guard mknod(scratch[name], S_IFBLK | 0o600, dev_t(8 << 8 | number)) == 0 else {
                    try Test.cancel("no device can be made here (errno \(errno))")
                }
            }
            for folder in ["btrfs", "btrfs/one", "btrfs/one/devices", "btrfs/two", "btrfs/two/devices"] {
                scratch.folder(folder)
            }
            for member in ["one/devices/sda", "one/devices/sdb", "two/devices/sdc"] {
                scratch.write("btrfs/\(member)")
            }
            let own = "\(try mount(of: scratch.path)) 20 0:99 / /x rw - btrfs \(scratch["sda"]) rw"
            scratch.write("mounts", own + "\n")
            let disks = Disks(
                devices: scratch["numbers"], btrfs: scratch["btrfs"], mounts: scratch["mounts"],
                deviceFiles: scratch.path
            ).holders(ofPath: Array(scratch["btrfs"].utf8))
            #expect(disks == Set(["d/sda", "d/sdb"].map { .disk(Machine.realPath(scratch[$0])!) }))
        }

        @Test func memoryIsOnePlace() throws {
            let known = Disks().holders(ofPath: Array("/dev/shm".utf8))
            let type = MediumProbe.fileSystemType(Array("/dev/shm".utf8))
            guard type == 0x0102_1994 else { try Test.cancel("/dev/shm is no tmpfs") }
            #expect(known == [.memory])
        }
    }
}
