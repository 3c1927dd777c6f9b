// DeviceTable: what each device's numbers and times are worth, asked once a device.
//
// Always holds: a kind of file system that is not known to give each file one number for good, and a ctime that tells
// every change, has neither. In doubt a file is read.

import BakStorage
import Synchronization

/// Remembers what was found out about devices. May be used from any thread.
final class DeviceTable: Sendable {
    /// A source lies on few devices, and each of its files asks.
    private let known = Mutex<[(device: UInt64, evidence: MediumEvidence)]>([])

    /// What a device's numbers are worth; `ask` gives its kind of file system when it is not known yet, or nil when it
    /// cannot be asked, which is not remembered.
    func evidence(of device: UInt64, ask: () -> UInt32?) -> MediumEvidence {
        if let known = known.withLock({ $0.first { $0.device == device } }) { return known.evidence }
        guard let type = ask() else { return .none }
        let evidence = MediumEvidence(fileSystemType: type)
        known.withLock { $0.append((device, evidence)) }
        return evidence
    }
}

extension MediumEvidence {
    /// File systems of this machine that number a file once and change its ctime with every change of it, by the
    /// `f_type` of statfs(2): ext2 to ext4, XFS, Btrfs, tmpfs, ramfs, F2FS, ZFS, bcachefs, JFS, NILFS2, UBIFS,
    /// ReiserFS. Not here: FAT, exFAT (numbers given out anew at each mount, ctime a copy of mtime), every FUSE, NFS,
    /// SMB, 9P and other networks (the server decides), overlayfs (numbers change with a copy-up), NTFS, HFS+, images
    /// that are only read.
    private static let identifying: Set<UInt32> = [
        0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x8584_58f6, 0xf2f5_2010, 0x2fc1_2fc1, 0xca45_1a4e,
        0x3153_464a, 0x3434, 0x2405_1905, 0x5265_4973,
    ]

    /// File systems whose files have no size before they are read: proc, sysfs, debugfs, tracefs, securityfs, cgroup
    /// 1 and 2, configfs, SELinux, bpf.
    private static let nominal: Set<UInt32> = [
        0x9fa0, 0x6265_6572, 0x6462_6720, 0x7472_6163, 0x7363_6673, 0x0027_e0eb, 0x6367_7270, 0x6265_6570,
        0xf97c_ff8c, 0xcafe_4a11,
    ]

    /// Local file systems take the time from the kernel's tick, which is 10 ms at the slowest.
    private static let kernelTick: UInt64 = 10_000_000

    /// The judgement of a kind of file system, by the `f_type` of statfs(2).
    init(fileSystemType type: UInt32) {
        let hasIdentity = Self.identifying.contains(type)
        self.init(
            hasIdentity: hasIdentity,
            granularityNanoseconds: hasIdentity
                ? Self.kernelTick : MediumEvidence.none.granularityNanoseconds,
            hasNominalSizes: Self.nominal.contains(type))
    }
}
