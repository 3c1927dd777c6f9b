// Memory: what happens where there is none to be had. Large blocks are asked for by calls that may fail; a program that
// is not given what it needs says so and ends with exit code 1, at once: what it leaves is what a kill leaves.

import Glibc
import Synchronization

/// Memory that may not be there.
public enum Memory {
    /// Returns a block of `byteCount` bytes, its content undefined, which `release` gives back. Ends the program where
    /// there is none.
    public static func block(_ byteCount: Int, alignment: Int = 64) -> UnsafeMutableRawBufferPointer {
        var start: UnsafeMutableRawPointer?
        guard posix_memalign(&start, alignment, max(byteCount, 1)) == 0, let start else {
            exhausted("a block of \(ByteSize.text(UInt64(byteCount)))")
        }
        return UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    }

    /// Gives back a block; nothing happens to an empty pointer.
    public static func release(_ block: UnsafeMutableRawBufferPointer) { free(block.baseAddress) }

    /// Ends the program unless `byteCount` bytes could be had now: before an array of about that size is made.
    public static func require(_ byteCount: Int) {
        guard byteCount >= 1 << 20 else { return }
        release(block(byteCount))
    }

    /// Ends the program: it was not given what it needs. `what` says what that is.
    public static func exhausted(_ what: String) -> Never {
        let text =
            "bakstore: there is not enough memory here for \(what); close other programs, or raise the limit\n"
        Array(text.utf8).withUnsafeBytes { end(saying: $0) }
    }

    /// Whether a thread is about to end the program.
    private static let isEnding = Atomic(false)

    /// Ends the program with a line. Of several threads the first one says its own. Nothing is allocated here, so that
    /// a handler of signals may call it.
    public static func end(saying line: UnsafeRawBufferPointer) -> Never {
        if isEnding.exchange(true, ordering: .relaxed) { while true { pause() } }
        _ = write(2, line.baseAddress, line.count)
        _exit(1)
    }
}
