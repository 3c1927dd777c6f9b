// FileStat+System: converts the system's `stat` into bakstore's record.

import BakCore
import Glibc

extension FileStat {
    /// Makes the record of a `stat`; nil if the kind of file is unknown.
    init?(_ status: stat) {
        switch status.format {
        case S_IFREG: self.init(type: .regular)
        case S_IFDIR: self.init(type: .directory)
        case S_IFLNK: self.init(type: .symlink)
        case S_IFIFO: self.init(type: .fifo)
        case S_IFSOCK: self.init(type: .socket)
        case S_IFCHR: self.init(type: .characterDevice)
        case S_IFBLK: self.init(type: .blockDevice)
        default: return nil
        }
        mode = UInt16(status.st_mode & 0o7777)
        uid = status.st_uid
        gid = status.st_gid
        mtime = Timestamp(status.st_mtim)
        ctime = Timestamp(status.st_ctim)
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        linkCount = UInt32(truncatingIfNeeded: status.st_nlink)
        if type == .regular { size = UInt64(clamping: status.st_size) }
        if type == .characterDevice || type == .blockDevice {
            representedDevice = UInt64(status.st_rdev)
        }
        // FUSE may report any number of blocks, so the product may overflow.
        allocatedBytes = UInt64(clamping: status.st_blocks).multipliedReportingOverflow(by: 512).partialValue
    }
}

extension FileType {
    /// The file-type bits of `st_mode`.
    var format: mode_t {
        switch self {
        case .regular: S_IFREG
        case .directory: S_IFDIR
        case .symlink: S_IFLNK
        case .fifo: S_IFIFO
        case .socket: S_IFSOCK
        case .characterDevice: S_IFCHR
        case .blockDevice: S_IFBLK
        }
    }
}
