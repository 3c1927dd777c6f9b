// Descriptor: an open file that closes when its last reference is released, and the helpers to open one. It is shared
// by reference, so a cache can drop a file while another thread reads it.

import CLinux
import Glibc

/// An open file descriptor. It is closed once: by `close()` or when the last reference is released.
final class Descriptor: @unchecked Sendable {
    /// The system's number. It is valid while this object lives. Keep the object in a variable while you use its number
    /// in a call, because Swift may release an object without a variable before the call.
    let number: Int32
    private var isClosed = false

    /// Takes over an open descriptor. It must not be inlined: if Swift 6.3's optimizer sees an object made and released
    /// in one function, it puts the object on the stack, and in some functions frees it as if it were on the heap.
    @inline(never)
    init(_ number: Int32) { self.number = number }

    deinit { if !isClosed { _ = Glibc.close(number) } }

    /// Opens `path`, which may be relative to the working folder. Close-on-exec is always set.
    static func open(_ path: String, _ flags: Int32) throws(Errno) -> Descriptor {
        Descriptor(try OpenFileBudget.open { Glibc.open(path, flags | O_CLOEXEC) })
    }

    /// Opens `path` relative to the open folder `folder`. Close-on-exec is always set.
    static func open(
        at folder: Int32, _ path: UnsafePointer<CChar>, _ flags: Int32, mode: mode_t = 0
    ) throws(Errno) -> Descriptor {
        Descriptor(try OpenFileBudget.open { openat(folder, path, flags | O_CLOEXEC, mode) })
    }

    /// Closes the descriptor now and throws the system's error. Only the holder of the last reference may call this,
    /// and must not use the descriptor afterwards.
    func close() throws(Errno) {
        precondition(!isClosed)
        isClosed = true
        // On Linux the number is free again even after an error. Never try a second time, not even on EINTR.
        if Glibc.close(number) != 0, errno != EINTR { throw Errno(code: errno) }
    }

    /// Makes the names in the folder durable if the file system can do so. Some network file systems cannot.
    func synchronizeFolder() throws(Errno) {
        do throws(Errno) {
            try system { fsync(number) }
        } catch {
            // EBADF, EISDIR: the file system syncs only files that are open for writing.
            guard Self.lacksSync(error) || error.code == EBADF || error.code == EISDIR else { throw error }
        }
    }

    /// Starts or awaits the write-back of the file's content. Throws if data is lost, but not if the file system lacks
    /// the call.
    ///
    /// - Parameter flags: `linux_SYNC_FILE_RANGE_...`.
    func writeBack(_ flags: Int) throws(Errno) {
        do throws(Errno) {
            try system { sync_file_range(number, 0, 0, UInt32(flags)) }
        } catch {
            if error.isFull || error.code == EIO { throw error }
        }
    }

    /// True if a sync failed because the file system lacks the call, not because data was lost.
    static func lacksSync(_ error: Errno) -> Bool { [EINVAL, ENOTSUP, ENOSYS].contains(error.code) }

    /// The status of the open file.
    func status() throws(Errno) -> stat { try fileStatus(number) }
}

/// `fstat`.
func fileStatus(_ descriptor: Int32) throws(Errno) -> stat {
    var status = stat()
    try system { fstat(descriptor, &status) }
    return status
}

/// `fstatat` that does not follow a symbolic link.
func linkStatus(at folder: Int32, _ path: UnsafePointer<CChar>) throws(Errno) -> stat {
    var status = stat()
    try system { fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) }
    return status
}

extension stat {
    /// The file-type bits.
    var format: mode_t { st_mode & S_IFMT }

    /// The number of content bytes. FUSE may report anything, even a negative size.
    var contentBytes: Int { max(0, Int(st_size)) }

    /// True if both describe the same inode.
    func isSameFile(as other: stat) -> Bool { st_dev == other.st_dev && st_ino == other.st_ino }
}
