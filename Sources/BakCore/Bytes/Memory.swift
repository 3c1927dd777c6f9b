// Memory: what the program does when the system has no memory left. Large blocks come from calls that may fail. If one
// fails, the program prints a message and ends at once with exit code 1. The repository is then in the same state as if
// the program had been killed.

import Glibc
import Synchronization

/// Memory that the system may refuse.
public enum Memory {
    /// Returns a block of `byteCount` bytes with undefined content; `release` frees it. Ends the program if there is
    /// not enough memory.
    public static func block(_ byteCount: Int, alignment: Int = 64) -> UnsafeMutableRawBufferPointer {
        var start: UnsafeMutableRawPointer?
        guard posix_memalign(&start, alignment, max(byteCount, 1)) == 0, let start else {
            exhausted("a block of \(ByteSize.text(UInt64(byteCount)))")
        }
        return UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    }

    /// Frees a block; does nothing for an empty pointer.
    public static func release(_ block: UnsafeMutableRawBufferPointer) { free(block.baseAddress) }

    /// Ends the program unless `byteCount` bytes are available. Call it before making an array of about that size.
    public static func require(_ byteCount: Int) {
        guard byteCount >= 1 << 20 else { return }
        release(block(byteCount))
    }

    /// Ends the program because memory for `what` is not available.
    public static func exhausted(_ what: String) -> Never {
        let text =
            "bakstore: there is not enough memory here for \(what). Close other programs, or raise the limit\n"
        Array(text.utf8).withUnsafeBytes { end(saying: $0) }
    }

    /// True if a thread is already ending the program.
    private static let isEnding = Atomic(false)

    /// Prints a line and ends the program. If several threads call it, only the first one prints. It allocates nothing,
    /// so a signal handler may call it.
    public static func end(saying line: UnsafeRawBufferPointer) -> Never {
        if isEnding.exchange(true, ordering: .relaxed) { while true { pause() } }
        _ = write(2, line.baseAddress, line.count)
        _exit(1)
    }
}
