// ScratchBuffer: memory that one thread reuses, so that nothing is allocated for each chunk.

import BakCore

/// Growable uninitialised memory. Not for sharing between threads.
public final class ScratchBuffer {
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// Starts without memory.
    public init() {}

    deinit { Memory.release(memory) }

    /// Returns the first `count` bytes, with undefined content. They are valid until a call needs a larger buffer.
    public func bytes(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if count > memory.count || memory.baseAddress == nil {
            Memory.release(memory)
            // The capacity is a power of two, so a worker whose chunks grow reallocates only a few times.
            var capacity = 64 << 10
            while capacity < count { capacity *= 2 }
            memory = Memory.block(capacity)
        }
        return UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
    }
}
