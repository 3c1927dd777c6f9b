// Mutations of every kind of value, made from a seed, mostly with corrected checksums. A decoder may refuse or accept
// them, but must not trap. If it accepts bytes, their value's encoding must decode to the same value.
// BAKSTORE_FUZZ_SECONDS makes the run longer. `tools/fuzz` does the same with coverage feedback.

import Glibc
import TestSupport
import Testing

@Suite struct MutationTests {
    /// The least number of mutations of each kind. More are tried until the requested seconds have passed.
    private static let fewest = 1000
    private static let secondsPerKind = getenv("BAKSTORE_FUZZ_SECONDS").flatMap {
        Double(String(cString: $0))
    }

    @Test(arguments: FormatSpecimen.allCases)
    func mutatedValues(_ kind: FormatSpecimen) {
        let random = TestSeed.random("mutations of \(kind)")
        let clock = ContinuousClock()
        let end = clock.now + .seconds(Self.secondsPerKind ?? 0)
        var (tried, taken) = (0, 0)
        var corpus = (0..<16).map { _ in kind.sample(random) }
        while tried < Self.fewest || clock.now < end {
            var bytes = corpus[random.number(0...corpus.count - 1)]
            random.mutate(&bytes, splicing: corpus[random.number(0...corpus.count - 1)])
            if !random.oneIn(4) { kind.repair(&bytes) }
            tried += 1
            if bytes.withUnsafeBytes({ kind.challenge($0) }) {
                taken += 1
                // Accepted bytes become the start of further mutations.
                if bytes.count < 4096 { corpus[random.number(0...corpus.count - 1)] = bytes }
            }
        }
        print("mutations of \(kind): \(tried) tried, \(taken) taken")
    }
}
