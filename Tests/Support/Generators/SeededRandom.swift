// SeededRandom: randomness that a test can choose and repeat.

import BakCore
import SeededNumbers

/// SplitMix64 as a generator and as a source of ids. May be used from any thread.
public final class SeededRandom: RandomSource, RandomNumberGenerator, @unchecked Sendable {
    private let monitor = Monitor()
    private var numbers: SplitMix64

    /// Starts from `seed`.
    public init(seed: UInt64) { numbers = SplitMix64(seed: seed) }

    /// The generator's position in its sequence.
    public var position: UInt64 { monitor.locked { numbers.position } }

    /// Returns the next 64 bits.
    public func next() -> UInt64 { monitor.locked { numbers.next() } }

    /// Fills the buffer with random bytes.
    public func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        for offset in buffer.indices { buffer[offset] = UInt8(truncatingIfNeeded: next()) }
    }

    /// Returns a number in `range`.
    public func number(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(next() % UInt64(range.upperBound - range.lowerBound + 1))
    }

    /// Returns true once in `period` times on average.
    public func oneIn(_ period: Int) -> Bool { number(1...period) == 1 }

    /// Returns `count` random bytes.
    public func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    /// Returns a random id.
    public func id() -> ID128 { ID128(high: next(), low: next()) }
}
