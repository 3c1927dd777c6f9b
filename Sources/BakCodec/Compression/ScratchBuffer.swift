// ScratchBuffer: memory that one thread uses again and again, so that nothing is allocated per chunk.

import BakCore

/// Growable uninitialised memory. Not for sharing between threads.
public final class ScratchBuffer {
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// Starts without memory.
    public init() {}

    deinit { Memory.release(memory) }

    /// The first `count` bytes, their content undefined. Valid until the next call asks for more.
    public func bytes(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if count > memory.count || memory.baseAddress == nil {
            Memory.release(memory)
            // Powers of two: a worker that sees growing chunks reallocates a few times in its life.
            var capacity = 64 << 10
            while capacity < count { capacity *= 2 }
            memory = Memory.block(capacity)
        }
        return UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
    }
}
