// TestSeed: the seed from which all random tests of a run draw.

import Glibc
import Synchronization

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

    /// The number of calls of `unique` from each place in the source.
    private static let uses = Mutex<[String: UInt64]>([:])

    /// Returns a generator for the test called `name`, and prints how to run the test again.
    public static func random(_ name: String) -> SeededRandom {
        print("\(name): BAKSTORE_TEST_SEED=\(value)")
        return SeededRandom(seed: value ^ hash(name))
    }

    /// Returns a generator for the ids and contents of a repository that a test makes at `file` and `line`. Each call
    /// returns a different generator, because two repositories of a test must not have the same ids.
    ///
    /// If cases of one test run at the same time, the order of their calls is random, and so are their generators.
    /// `--no-parallel` fixes the order.
    public static func unique(_ file: String, _ line: Int) -> SeededRandom {
        let place = "\(file):\(line)"
        let use = uses.withLock { uses in
            uses[place, default: 0] += 1
            return uses[place]!
        }
        return SeededRandom(seed: value ^ hash("\(place) \(use)"))
    }

    /// Hashes a name with FNV-1a, so that tests draw different numbers from one seed.
    private static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
