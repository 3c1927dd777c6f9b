// SplitMix64: the randomness of all generated content, in tests and benchmarks.

/// SplitMix64 (Steele, Lea and Flood, 2014). It is small, and a seed gives the same sequence on every machine.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    @usableFromInline var state: UInt64

    /// Starts from `seed`.
    @inlinable public init(seed: UInt64) { state = seed }

    /// The position in the sequence. A generator that starts with this value as its seed continues the sequence.
    public var position: UInt64 { state }

    /// The next 64 bits.
    @inlinable public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// Returns uniformly random bytes, eight from each number.
    public mutating func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            for index in buffer.indices where index & 7 == 0 {
                let word = next()
                for offset in index..<min(index + 8, count) {
                    buffer[offset] = UInt8(truncatingIfNeeded: word >> (8 * UInt64(offset - index)))
                }
            }
            initialized = count
        }
    }
}
