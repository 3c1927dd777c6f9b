// SystemCall: how this module calls the system. `system` repeats a call on EINTR, reads errno at once and throws it as
// a value.

import CLinux
import Glibc

/// The error of a failed system call.
struct Errno: Error, Equatable {
    /// The value of `errno`.
    let code: Int32

    /// The system's words for the error, or better ones.
    var message: String {
        switch code {
        case EMFILE:
            return
                "too few open files are allowed: ulimit -n \(OpenFileBudget.limit). Allow this program more, such as 256"
        case ENFILE: return "too many files are open on this machine. Close other programs"
        default: break
        }
        var text = [CChar](repeating: 0, count: 256)
        // Swift imports the POSIX form, which fills the buffer.
        guard strerror_r(code, &text, text.count) == 0 else { return "error \(code)" }
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// True if there is no room for a write: the disk has no space or no inode left (ENOSPC), the user's quota is used
    /// up (EDQUOT), or the file may not grow larger (EFBIG).
    var isFull: Bool { [ENOSPC, EDQUOT, EFBIG].contains(code) }
    /// True if the file does not exist.
    var isNotFound: Bool { code == ENOENT || code == ENOTDIR }
}

/// Runs a system call, again if it was interrupted. Throws its error.
@discardableResult
@inline(__always)
func system<Result: SignedInteger>(_ call: () -> Result) throws(Errno) -> Result {
    while true {
        let result = call()
        if result >= 0 { return result }
        let code = errno
        if code != EINTR { throw Errno(code: code) }
    }
}

/// Lends `bytes` with a NUL after them. They must not contain a NUL; callers check names that come from outside.
@inline(__always)
func withCPath<Result, Failure: Error>(
    _ bytes: some Collection<UInt8>, _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
) throws(Failure) -> Result {
    let count = bytes.count
    let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: count + 1)
    defer { copy.deallocate() }
    _ = UnsafeMutableBufferPointer(start: copy, count: count).update(fromContentsOf: bytes)
    copy[count] = 0
    return try body(UnsafeRawPointer(copy).assumingMemoryBound(to: CChar.self))
}

/// The largest number of bytes to write in one call. Linux copies the bytes of one call into blocks of the page cache
/// that are as large as it can find. Finding blocks of a MiB and more can take ten times as long as the copy (decision
/// 23).
private let mostWritten = 256 << 10

/// Writes all of `bytes`, at the descriptor's position or at `offset`.
func writeAll(
    _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64? = nil
) throws(Errno) {
    var done = 0
    while done < bytes.count {
        let start = bytes.baseAddress! + done
        let count = min(bytes.count - done, mostWritten)
        let written = try system {
            if let offset {
                pwrite(descriptor, start, count, off_t(truncatingIfNeeded: offset) &+ done)
            } else {
                Glibc.write(descriptor, start, count)
            }
        }
        // No medium should answer 0. If one did, the loop would never end.
        guard written > 0 else { throw Errno(code: EIO) }
        done += written
    }
}

/// Fills `buffer` from `offset` on, as far as the file goes. Returns the number of bytes read. If a short read ends at
/// `expectedEnd`, that counts as the end, which saves a further read.
func readAll(
    _ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64,
    expectedEnd: UInt64? = nil
) throws(Errno) -> Int {
    var done = 0
    while done < buffer.count {
        let start = buffer.baseAddress! + done
        let count = buffer.count - done
        let read = try system { pread(descriptor, start, count, off_t(truncatingIfNeeded: offset) &+ done) }
        if read == 0 { break }
        done += read
        if read < count, offset &+ UInt64(done) == expectedEnd { break }
    }
    return done
}
