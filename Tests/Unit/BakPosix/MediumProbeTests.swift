// The medium of a source's files, from a copy of /sys.

import BakStorage
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct MediumProbeTests {
        let scratch = Scratch()

        /// Makes the device `place`, and the link from its number, as in /sys.
        private func device(_ number: String, _ place: String, rotational: String?) {
            var folder = ""
            for component in place.split(separator: "/") {
                folder += (folder.isEmpty ? "" : "/") + component
                mkdir(scratch[folder], 0o755)
            }
            if let rotational {
                scratch.folder("\(place)/queue")
                scratch.write("\(place)/queue/rotational", rotational)
            }
            mkdir(scratch["numbers"], 0o755)
            symlink("../\(place)", scratch["numbers/\(number)"])
        }

        private func medium(_ number: String) -> SourceMedium? {
            MediumProbe.medium(ofDevice: number, in: scratch["numbers"])
        }

        @Test func disksAndPartitionsAreToldApart() {
            device("8:0", "devices/ata1/block/sda", rotational: "1\n")
            device("8:1", "devices/ata1/block/sda/sda1", rotational: nil)
            device("259:0", "devices/nvme/nvme0n1", rotational: "0\n")
            device("259:1", "devices/nvme/nvme0n1/nvme0n1p1", rotational: nil)
            device("252:0", "devices/virtual/dm-0", rotational: "1\n")
            #expect(medium("8:0") == .rotational && medium("8:1") == .rotational)
            #expect(medium("259:0") == .solidState && medium("259:1") == .solidState)
            #expect(medium("252:0") == .rotational)
        }

        @Test func aHypervisorIsNotBelievedAndOddThingsAreUnknown() {
            device("253:0", "devices/pci0/virtio3/block/vda", rotational: "1\n")
            device("7:0", "devices/virtual/loop0", rotational: nil)
            device("7:1", "devices/virtual/loop1", rotational: "")
            #expect(medium("253:0") == .solidState)
            #expect(medium("7:0") == nil && medium("9:9") == nil)
            #expect(medium("7:1") == .solidState)
        }

        @Test func whatLiesOnSeveralDisksIsAsSlowAsTheSlowest() {
            device("8:0", "devices/ata1/block/sda", rotational: "1\n")
            device("259:0", "devices/nvme/nvme0n1", rotational: "0\n")
            let (slow, fast) = (
                DiskHolder.disk(scratch["devices/ata1/block/sda"]),
                DiskHolder.disk(scratch["devices/nvme/nvme0n1"])
            )
            #expect(MediumProbe.isOnSpinningDisk([fast, slow]))
            #expect(!MediumProbe.isOnSpinningDisk([fast, .memory]) && !MediumProbe.isOnSpinningDisk([]))
        }

        @Test func everyPathHasAMedium() {
            // These paths have no block device. The kernel's own file systems are not a network either.
            #expect(MediumProbe.medium(Array("/proc".utf8)) == .solidState)
            #expect(MediumProbe.medium(Array("/no such path".utf8)) == .solidState)
        }
    }
}
