// Fuzzes whole repositories. An input decides what a repository contains. Then the engine's operations run on that
// repository.

import HostileRepositories
import TestSupport

extension FuzzTarget {
    /// The engine's operations on a `HostileRepository`.
    static let repositories = FuzzTarget(
        run: { HostileRun(HostileRepository($0)).everything() },
        samples: {
            let random = TestSeed.random("fuzzer")
            return [("sound", [0])] + (0..<32).map { ("random-\($0)", random.bytes(64 << ($0 % 6))) }
        })
}
