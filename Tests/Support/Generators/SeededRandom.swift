// SeededRandom: randomness and clocks that a test can choose and repeat.

import BakCore
import Glibc
import SeededNumbers
import Synchronization

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

/// The seed of this run's random tests.
public enum TestSeed {
    /// The value of `BAKSTORE_TEST_SEED` if it is set, else a new one for each run. It is printed once, so that any run
    /// can be repeated.
    public static let value: UInt64 = {
        let given = getenv("BAKSTORE_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
        let seed = given ?? UInt64.random(in: 0...UInt64.max)
        print("BAKSTORE_TEST_SEED=\(seed)")
        return seed
    }()

    /// How often each place in the source has called `unique`.
    private static let uses = Mutex<[String: UInt64]>([:])

    /// Returns a generator for the test called `name`, and prints how to run the test again.
    public static func random(_ name: String) -> SeededRandom {
        print("\(name): BAKSTORE_TEST_SEED=\(value)")
        return SeededRandom(seed: value ^ hash(name))
    }

    /// Returns a generator for the ids and contents of a repository that a test makes at `file` and `line`. Each call
    /// from one place gets another generator, because two repositories of a test must not have the same ids.
    ///
    /// Cases of one test that run at the same time take turns in any order. `--no-parallel` fixes the order.
    public static func unique(_ file: String, _ line: Int) -> SeededRandom {
        let place = "\(file):\(line)"
        let use = uses.withLock { uses in
            uses[place, default: 0] += 1
            return uses[place]!
        }
        return SeededRandom(seed: value ^ hash("\(place) \(use)"))
    }

    /// Hashes a name by FNV-1a, so that tests draw different numbers from one seed.
    private static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}

/// A clock that moves only when a test moves it.
public final class SimulatedTime: TimeSource, @unchecked Sendable {
    private let monitor = Monitor()
    private var wall: Timestamp
    private var monotonic: UInt64 = 0

    /// Starts at `start`.
    public init(_ start: Timestamp = Timestamp(seconds: 1_767_225_600)) { wall = start }

    /// Returns the wall clock's time.
    public func now() -> Timestamp { monitor.locked { wall } }
    /// Returns the monotonic clock's time.
    public func monotonicNanoseconds() -> UInt64 { monitor.locked { monotonic } }

    /// Moves both clocks on.
    public func advance(seconds: Int64) {
        monitor.locked {
            wall.seconds += seconds
            monotonic += UInt64(seconds) * 1_000_000_000
        }
    }

    /// Sets the wall clock alone, as a user or a time server may do.
    public func jump(to time: Timestamp) { monitor.locked { wall = time } }
}

/// A clock that advances by a millisecond at each reading. It starts at the same moment in every run of the tests.
public final class TickingTime: TimeSource, Sendable {
    /// The clock for repositories that are opened several times, so that later events have later times.
    public static let shared = TickingTime()
    private let milliseconds = Atomic<UInt64>(0)

    /// Starts on 1 January 2026.
    public init() {}

    /// Returns the wall clock's time, a millisecond after the last reading.
    public func now() -> Timestamp {
        let passed = tick()
        return Timestamp(
            seconds: 1_767_225_600 + Int64(passed / 1000), nanoseconds: UInt32(passed % 1000) * 1_000_000)
    }

    /// Returns the monotonic clock's time, a millisecond after the last reading.
    public func monotonicNanoseconds() -> UInt64 { tick() * 1_000_000 }

    private func tick() -> UInt64 { milliseconds.add(1, ordering: .relaxed).newValue }
}
