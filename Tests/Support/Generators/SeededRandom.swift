// SeededRandom: randomness and time that a test can choose and repeat.

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

    /// How far it is.
    public var position: UInt64 { monitor.locked { numbers.position } }

    /// The next 64 bits.
    public func next() -> UInt64 { monitor.locked { numbers.next() } }

    /// As `RandomSource` says.
    public func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        for offset in buffer.indices { buffer[offset] = UInt8(truncatingIfNeeded: next()) }
    }

    /// A number in `range`.
    public func number(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(next() % UInt64(range.upperBound - range.lowerBound + 1))
    }

    /// True once in `period` times.
    public func oneIn(_ period: Int) -> Bool { number(1...period) == 1 }

    /// `count` random bytes.
    public func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    /// A random id.
    public func id() -> ID128 { ID128(high: next(), low: next()) }
}

/// The seed of this run's random tests.
public enum TestSeed {
    /// `BAKSTORE_TEST_SEED` when set, else a new one for each run. Printed once, so that any run can be repeated.
    public static let value: UInt64 = {
        let given = getenv("BAKSTORE_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
        let seed = given ?? UInt64.random(in: 0...UInt64.max)
        print("BAKSTORE_TEST_SEED=\(seed)")
        return seed
    }()

    /// How often each place in the tests' source has asked for `unique`.
    private static let uses = Mutex<[String: UInt64]>([:])

    /// A generator for the test called `name`; says how to run it again.
    public static func random(_ name: String) -> SeededRandom {
        print("\(name): BAKSTORE_TEST_SEED=\(value)")
        return SeededRandom(seed: value ^ hash(name))
    }

    /// A generator for the ids and contents of a repository that a test makes at `file` and `line`: another one each
    /// time that the place is passed, because two repositories of a test must not have the same ids.
    ///
    /// Cases of one test that run at the same time take turns there in any order; `--no-parallel` fixes it.
    public static func unique(_ file: String, _ line: Int) -> SeededRandom {
        let place = "\(file):\(line)"
        let use = uses.withLock { uses in
            uses[place, default: 0] += 1
            return uses[place]!
        }
        return SeededRandom(seed: value ^ hash("\(place) \(use)"))
    }

    /// FNV-1a, so that tests draw different numbers from one seed.
    private static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}

/// A clock that moves when it is told to.
public final class SimulatedTime: TimeSource, @unchecked Sendable {
    private let monitor = Monitor()
    private var wall: Timestamp
    private var monotonic: UInt64 = 0

    /// Starts at `start`.
    public init(_ start: Timestamp = Timestamp(seconds: 1_767_225_600)) { wall = start }

    /// As `TimeSource` says.
    public func now() -> Timestamp { monitor.locked { wall } }
    /// As `TimeSource` says.
    public func monotonicNanoseconds() -> UInt64 { monitor.locked { monotonic } }

    /// Moves both clocks on.
    public func advance(seconds: Int64) {
        monitor.locked {
            wall.seconds += seconds
            monotonic += UInt64(seconds) * 1_000_000_000
        }
    }

    /// Sets the wall clock alone, as a person or a time server may.
    public func jump(to time: Timestamp) { monitor.locked { wall = time } }
}

/// A clock that is read at another millisecond each time, from the same moment on in every run of the tests.
public final class TickingTime: TimeSource, Sendable {
    /// One for repositories that are opened several times, so that what is done later is later.
    public static let shared = TickingTime()
    private let milliseconds = Atomic<UInt64>(0)

    /// Starts on 1 January 2026.
    public init() {}

    /// As `TimeSource` says.
    public func now() -> Timestamp {
        let passed = tick()
        return Timestamp(
            seconds: 1_767_225_600 + Int64(passed / 1000), nanoseconds: UInt32(passed % 1000) * 1_000_000)
    }

    /// As `TimeSource` says.
    public func monotonicNanoseconds() -> UInt64 { tick() * 1_000_000 }

    private func tick() -> UInt64 { milliseconds.add(1, ordering: .relaxed).newValue }
}
