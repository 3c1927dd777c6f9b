// Which disks paths lie on, from copies of how /sys and the list of mounts look, and on this machine.

import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct DisksTests {
        let scratch = Scratch()

        /// Makes folders and files of a device, linked to by number as the system does.
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

        private func disks(_ number: String) -> Set<String>? {
            Disks(devices: scratch["numbers"], btrfs: scratch["btrfs"], mounts: "/dev/null").disks(
                ofDevice: number)
        }

        @Test func devicesAreTheDisksBeneathThem() {
            device("8:0", "d/sda")
            device("8:1", "d/sda/sda1", isPartition: true)
            device("8:2", "d/sda/sda2", isPartition: true)
            device("8:16", "d/sdb")
            device("8:17", "d/sdb/sdb1", isPartition: true)
            // Encryption on a partition, and a volume on that; a mirror of both disks.
            device("252:0", "d/dm-0", on: ["d/sda/sda2"])
            device("252:1", "d/dm-1", on: ["d/dm-0"])
            device("9:0", "d/md0", on: ["d/sda/sda1", "d/sdb/sdb1"])
            let sda = Set([Machine.realPath(scratch["d/sda"])!])
            let sdb = Set([Machine.realPath(scratch["d/sdb"])!])
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
            let own = Disks(devices: scratch["numbers"]).disks(ofPath: scratch.path)
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

        @Test func onePathLiesOnItsOwnDisk() {
            scratch.write("a")
            scratch.folder("b")
            #expect(Disks().relation(of: scratch["a"], to: scratch["b"]) == .same)
            #expect(Disks().relation(of: scratch["a"], to: scratch["not there"]) == .unknown)
            // What the kernel shows of itself lies on no disk at all.
            #expect(Disks().relation(of: "/proc", to: scratch["b"]) != .same)
        }

        @Test func memoryIsOnePlace() throws {
            let known = Disks().disks(ofPath: "/dev/shm")
            let type = MediumProbe.fileSystemType(Array("/dev/shm".utf8))
            if type == 0x0102_1994 { #expect(known == ["memory"]) }
        }
    }
}
