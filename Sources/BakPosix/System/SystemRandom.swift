// SystemRandom: unpredictable bytes from the kernel.

import BakCore
import CLinux
import Glibc

/// Random bytes from `getrandom`.
public struct SystemRandom: RandomSource {
    /// Makes the source.
    public init() {}

    /// Fills the buffer with random bytes.
    public func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        var done = 0
        while done < buffer.count {
            let count = getrandom(buffer.baseAddress! + done, buffer.count - done, 0)
            // Without randomness ids could collide and keys could be guessed, so the process must end.
            precondition(count > 0 || errno == EINTR, "getrandom failed with errno \(errno)")
            done += max(count, 0)
        }
    }
}
