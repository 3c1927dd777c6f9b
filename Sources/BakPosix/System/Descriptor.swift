// Descriptor: an open file that closes when its last holder lets go of it, and the helpers to open one.
// Shared by reference, so that a cache may drop a file that another thread is just reading.

import CLinux
import Glibc

/// An open file descriptor, closed once: by `close()` or when the last reference goes.
final class Descriptor: @unchecked Sendable {
    /// The number the system knows it by. It is good as long as this object lives: bind the object to a
    /// name before calls with its number, since one that has no name is let go of before the call.
    let number: Int32
    private var isClosed = false

    /// Takes over an open descriptor. Never inlined: Swift 6.3's optimizer puts one that it sees made and let go of in
    /// one function on the stack, and in some functions frees it as if it were on the heap.
    @inline(never)
    init(_ number: Int32) { self.number = number }

    deinit { if !isClosed { _ = Glibc.close(number) } }

    /// Opens `path`, relative to the working folder; close-on-exec is always set.
    static func open(_ path: String, _ flags: Int32) throws(Errno) -> Descriptor {
        Descriptor(try OpenFileBudget.open { Glibc.open(path, flags | O_CLOEXEC) })
    }

    /// Opens `path` relative to the folder `folder`; close-on-exec is always set.
    static func open(
        at folder: Int32, _ path: UnsafePointer<CChar>, _ flags: Int32, mode: mode_t = 0
    ) throws(Errno) -> Descriptor {
        Descriptor(try OpenFileBudget.open { openat(folder, path, flags | O_CLOEXEC, mode) })
    }

    /// Closes it now and reports what the system has to say. For the only holder, who then lets go.
    func close() throws(Errno) {
        precondition(!isClosed)
        isClosed = true
        // On Linux the number is free again even after an error: never a second try, not on EINTR either.
        if Glibc.close(number) != 0, errno != EINTR { throw Errno(code: errno) }
    }

    /// Makes the names in the folder durable, where the file system has that; some network ones do not.
    func synchronizeFolder() throws(Errno) {
        do throws(Errno) {
            try system { fsync(number) }
        } catch {
            // EBADF, EISDIR: it wants a file that is open for writing.
            guard Self.lacksSync(error) || error.code == EBADF || error.code == EISDIR else { throw error }
        }
    }

    /// Whether a sync failed because the file system has no such call, and not because something was lost.
    static func lacksSync(_ error: Errno) -> Bool { [EINVAL, ENOTSUP, ENOSYS].contains(error.code) }

    /// What the system knows of the open file.
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

    /// How many bytes of content it has. A file system that is a program may say anything.
    var contentBytes: Int { max(0, Int(st_size)) }

    /// Whether both describe the same inode.
    func isSameFile(as other: stat) -> Bool { st_dev == other.st_dev && st_ino == other.st_ino }
}
