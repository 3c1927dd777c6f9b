// DeviceTable: remembers how far each device's inode numbers and times can be trusted. It asks the system once for each
// device.
//
// Always holds: inode numbers and ctimes are trusted only on file systems that are known to keep a file's inode number
// for good and to change its ctime with every change. On any other file system a backup rather reads a file once too
// often.

import BakStorage
import Synchronization

/// The answers for the devices seen so far. Any thread may use it.
final class DeviceTable: Sendable {
    /// An array, because a source lies on few devices.
    private let known = Mutex<[(device: UInt64, evidence: MediumEvidence)]>([])

    /// Returns how far a device's numbers and times can be trusted. For a new device it calls `ask`, which returns the
    /// kind of file system, or nil if the system does not say. A nil is not remembered.
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
    /// ReiserFS. Not among them: FAT, exFAT (new numbers at each mount, ctime a copy of mtime), FUSE, NFS, SMB, 9P and
    /// other networks (the server decides), overlayfs (numbers change with a copy-up), NTFS, HFS+, and read-only
    /// images.
    private static let identifying: Set<UInt32> = [
        0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x8584_58f6, 0xf2f5_2010, 0x2fc1_2fc1, 0xca45_1a4e,
        0x3153_464a, 0x3434, 0x2405_1905, 0x5265_4973,
    ]

    /// File systems whose files have no true size before they are read: proc, sysfs, debugfs, tracefs, securityfs,
    /// cgroup 1 and 2, configfs, SELinux, bpf.
    private static let nominal: Set<UInt32> = [
        0x9fa0, 0x6265_6572, 0x6462_6720, 0x7472_6163, 0x7363_6673, 0x0027_e0eb, 0x6367_7270, 0x6265_6570,
        0xf97c_ff8c, 0xcafe_4a11,
    ]

    /// Local file systems take the time from the kernel's tick, which is at most 10 ms long.
    private static let kernelTick: UInt64 = 10_000_000

    /// Judges a kind of file system by the `f_type` of statfs(2).
    init(fileSystemType type: UInt32) {
        let hasIdentity = Self.identifying.contains(type)
        self.init(
            hasIdentity: hasIdentity,
            granularityNanoseconds: hasIdentity
                ? Self.kernelTick : MediumEvidence.none.granularityNanoseconds,
            hasNominalSizes: Self.nominal.contains(type))
    }
}
