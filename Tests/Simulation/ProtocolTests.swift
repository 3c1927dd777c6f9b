// The store protocol over the real code: nothing is lost in any interleaving, and each step that is left out is found.
// The long forms run with tools/simulate.

import Glibc
import TestSupport
import Testing

@testable import BakRepository

/// A number from the environment.
private func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

/// A protocol with one step left out.
struct BrokenProtocol: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let faults: ProtocolFaults

    init(_ name: String, _ breakIt: (inout ProtocolFaults) -> Void) {
        testDescription = name
        var faults = ProtocolFaults()
        breakIt(&faults)
        self.faults = faults
    }

    static let all = [
        BrokenProtocol("the index is read before the session is there") { $0.readBeforeRegister = true },
        BrokenProtocol("condemned packs are looked up after the index") { $0.indexBeforeCollections = true },
        BrokenProtocol("no session is waited for") { $0.noWait = true },
        BrokenProtocol("a commit takes a tombstone's place") { $0.plainPutCommit = true },
        BrokenProtocol("a writer counts on condemned packs") { $0.ignoreCondemned = true },
        BrokenProtocol("who loses the decision deletes its own way") { $0.noDecisionRecord = true },
        BrokenProtocol("packs go before the copies' index counts") { $0.deleteBeforeDecision = true },
    ]
}

@Suite struct ProtocolTests {
    /// How many seeds, how many states, each of the short form unless the environment says otherwise.
    private static let seedCount = number("BAKSTORE_SIMULATION_SEEDS") ?? 60
    private static let isLong = number("BAKSTORE_SIMULATION_SEEDS") != nil
    private static let stateLimit = number("BAKSTORE_SIMULATION_STATES") ?? 2000

    @Test func seededFleetsLoseNothing() {
        let random = TestSeed.random("fleets")
        var (operations, deleted, copied) = (0, 0, UInt64(0))
        for done in 0..<Self.seedCount {
            let seed = random.next()
            let outcome = Fleet(seed: seed).run()
            #expect(outcome.violations.isEmpty, "fleet \(seed)")
            operations += outcome.operations
            deleted += outcome.deletedPacks
            copied += outcome.copiedBytes
            if Self.isLong, done % 10_000 == 9_999 { print("\(done + 1) fleets") }
        }
        print(
            "\(Self.seedCount) fleets: \(operations) operations, \(deleted) packs deleted, \(copied) bytes copied"
        )
        // They came far enough to be worth something.
        #expect(operations > 300 * Self.seedCount)
        #expect(deleted > Self.seedCount / 2)
        #expect(copied > 0)
    }

    @Test(arguments: BrokenProtocol.all)
    func whatIsLostWithoutAStepIsFound(_ broken: BrokenProtocol) {
        let found = (0..<1000).first { seed in
            let outcome = Fleet(seed: UInt64(seed), faults: broken.faults).run()
            return outcome.violations.contains { $0.hasPrefix("snapshot") || $0.hasPrefix("the repository") }
        }
        #expect(found != nil)
    }

    @Test func everyInterleavingOfABackupAndAPruneLosesNothing() throws {
        let outcome = try explore(ProtocolCase(writers: [[2]], collectors: [1]), "1 writer, 1 prune")
        guard Self.isLong else { return }
        // With those that come to the same there are many times as many, and no other ends.
        let all = try explore(
            ProtocolCase(writers: [[2]], collectors: [1], extent: .all), "1 writer, 1 prune, one by one")
        #expect(outcome.ends == all.ends)
    }

    @Test(arguments: [(2, 1), (1, 2), (2, 2)] as [(Int, Int)], [false, true])
    func interleavingsOfSeveralLoseNothing(_ count: (writers: Int, prunes: Int), forgets: Bool) throws {
        var few = ProtocolCase(
            writers: Array([[2], [1]].prefix(count.writers)),
            collectors: Array(repeating: 1, count: count.prunes))
        few.forgetsAtAnyTime = forgets
        try explore(
            few, "\(count.writers) writers, \(count.prunes) prunes, \(forgets ? "forgetting" : "X forgotten")"
        )
    }

    /// What a process reads between two changes of its own it reads at one moment: so all of two backups can be seen.
    @Test(arguments: [(2, 1), (1, 2), (2, 2)] as [(Int, Int)], [false, true])
    func interleavingsOfChangesLoseNothing(_ count: (writers: Int, prunes: Int), forgets: Bool) throws {
        var few = ProtocolCase(
            writers: Array([[2], [1]].prefix(count.writers)),
            collectors: Array(repeating: 1, count: count.prunes), extent: .reducedChanges)
        few.forgetsAtAnyTime = forgets
        let who = "\(count.writers) writers, \(count.prunes) prunes"
        try explore(few, "\(who), \(forgets ? "forgetting" : "X forgotten"), at changes")
    }

    /// What is left of many where each is interrupted as often as the bound says.
    @Test(arguments: [1, 2] as [UInt8])
    func boundedInterleavingsOfTwoBackupsAndTwoPrunesLoseNothing(interruptions: UInt8) throws {
        try explore(
            ProtocolCase(extent: .bounded(interruptions: interruptions)),
            "2 writers, 2 prunes, interrupted \(interruptions) times")
    }

    @discardableResult
    private func explore(_ protocolCase: ProtocolCase, _ what: String) throws -> Explorer.Outcome {
        // Cut short, the search goes everywhere a little: its order is drawn.
        let seed = Self.isLong ? nil : TestSeed.random(what).next()
        var protocolCase = protocolCase
        protocolCase.auditCount = Self.isLong ? 100_000 : 100
        protocolCase.onProgress = { print("\(what): \(Self.summary($0))") }
        let outcome = try protocolCase.explore(limit: Self.stateLimit, seed: seed)
        print("\(what): \(outcome.isExhausted ? "all" : "the first") \(Self.summary(outcome))")
        #expect(outcome.violation == nil, "\(outcome.trace.joined(separator: "\n"))")
        #expect(outcome.isExhausted || outcome.states >= Self.stateLimit)
        return outcome
    }

    private static func summary(_ outcome: Explorer.Outcome) -> String {
        "\(outcome.states) states, \(outcome.images) stores, \(outcome.ends.count) ends, "
            + "\(outcome.histories) histories, \(outcome.runs) runs"
    }
}
