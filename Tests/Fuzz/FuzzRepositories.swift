// Fuzzes whole repositories: an input decides what a repository says, and everything that can be done with one is done.

import HostileRepositories
import TestSupport

extension FuzzTarget {
    /// The engine over `HostileRepository`.
    static let repositories = FuzzTarget(
        run: { HostileRun(HostileRepository($0)).everything() },
        samples: {
            let random = TestSeed.random("fuzzer")
            return [("sound", [0])] + (0..<32).map { ("random-\($0)", random.bytes(64 << ($0 % 6))) }
        })
}
