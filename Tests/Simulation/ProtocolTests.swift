// The store protocol, run by the real code. No interleaving loses anything. If one step of the protocol is left out,
// the tests find the loss. `tools/simulate` runs the long forms.

import Glibc
import TestSupport
import Testing

@testable import BakRepository

/// Returns a number from an environment variable; nil if it is not set to a number.
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
        BrokenProtocol("a revoked writer names condemned packs") { $0.nameCondemned = true },
        BrokenProtocol("who loses the decision deletes its own way") { $0.noDecisionRecord = true },
        BrokenProtocol("packs go before the copies' index counts") { $0.deleteBeforeDecision = true },
        BrokenProtocol("a snapshot is taken back without a look") { $0.takeBackUnchecked = true },
        BrokenProtocol("a snapshot is taken back by what is condemned") { $0.keepsCondemned = true },
    ]
}

@Suite struct ProtocolTests {
    /// The number of fleets to run. It is small unless the environment sets it.
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
        // The fleets did enough work to be a meaningful test.
        #expect(operations > 300 * Self.seedCount)
        #expect(deleted > Self.seedCount / 2)
        #expect(copied > 0)
    }

    @Test(arguments: BrokenProtocol.all)
    func whatIsLostWithoutAStepIsFound(_ broken: BrokenProtocol) {
        let found = (0..<4000).first { seed in
            let outcome = Fleet(seed: UInt64(seed), faults: broken.faults).run()
            return outcome.violations.contains { $0.hasPrefix("snapshot") || $0.hasPrefix("the repository") }
        }
        #expect(found != nil)
    }

    @Test func aCollectorThatDoesNotLookAtSparesLosesWhatHasLostItsRecord() {
        let found = (0..<1000).first { seed in
            let outcome = Fleet(seed: UInt64(seed), ignoresSpares: true).run()
            return outcome.violations.contains { $0.hasPrefix("snapshot") || $0.hasPrefix("the repository") }
        }
        #expect(found != nil)
    }

    /// The search also finds each loss, in the smallest case in which the missing step matters.
    @Test(arguments: BrokenProtocol.all)
    func whatIsLostWithoutAStepIsSearchedOut(_ broken: BrokenProtocol) throws {
        let faults = broken.faults
        let few = ProtocolCase(
            backups: faults.nameCondemned ? ProtocolCase.twins : ProtocolCase.one,
            prunes: faults.noDecisionRecord ? 2 : 1, sessions: 2, isOneRound: true,
            takers: faults.takeBackUnchecked || faults.keepsCondemned ? 1 : 0, faults: faults)
        let outcome = try few.explore()
        let found = try #require(outcome.violation)
        #expect(found.hasPrefix("snapshot") || found.hasPrefix("the repository"))
    }

    /// Either a sweep takes a temporary too early, or a writer does not notice that its temporary is gone.
    @Test(arguments: SweepFault.allCases)
    func aRuleOfTemporariesLeftOutIsFound(_ fault: SweepFault) throws {
        let few = ProtocolCase(
            backups: ProtocolCase.one, prunes: 1, sessions: 2, isOneRound: true, sweepers: 1,
            sweepFault: fault)
        let outcome = try few.explore()
        let found = try #require(outcome.violation)
        print("\(fault): after \(outcome.states) states: \(found)")
        #expect(found.contains("robbed") || found.hasPrefix("snapshot") || found.hasPrefix("the repository"))
        let fleet = (0..<1000).first { seed in
            let outcome = Fleet(seed: UInt64(seed), sweepFault: fault).run()
            return outcome.violations.contains {
                $0.hasPrefix("a sweep took") || $0.hasPrefix("snapshot") || $0.hasPrefix("the repository")
            }
        }
        #expect(fleet != nil)
    }

    /// If a prune does not notice that a record is lost, it deletes data that only that record's snapshot needs.
    @Test(arguments: [ProtocolCase.Loss.spared, .counted])
    func aRecordThatIsNotMissedIsFound(_ loss: ProtocolCase.Loss) throws {
        var few = ProtocolCase(
            backups: ProtocolCase.one, prunes: 1, sessions: 2, isOneRound: true, loss: loss)
        few.ignoresSpares = loss == .spared
        few.faults.overlooksMissing = loss == .counted
        let found = try #require(try few.explore().violation)
        print("\(few): \(found)")
        #expect(found.hasPrefix("snapshot") || found.hasPrefix("the repository"))
    }

    @Test func everyInterleavingOfABackupAndAPruneLosesNothing() throws {
        var few =
            Self.isLong
            ? ProtocolCase(backups: ProtocolCase.one, prunes: 1, forgetsAtAnyTime: true)
            : ProtocolCase(backups: ProtocolCase.one, prunes: 1, sessions: 2, isOneRound: true)
        let outcome = try explore(few, limit: .max)
        // Without the reduction, the search visits many more states but finds the same ends.
        few.extent = .all
        let all = try explore(few, limit: .max)
        #expect(outcome.ends == all.ends)
        #expect(outcome.states * 2 < all.states)
    }

    /// A snapshot that was taken back is complete in every interleaving with a prune, and stays complete.
    @Test func everyInterleavingOfATakingBackAndAPruneLosesNothing() throws {
        let outcome = try explore(
            ProtocolCase(backups: [], prunes: 1, isOneRound: true, takers: 1), limit: .max)
        #expect(outcome.isExhausted && outcome.ends.count > 1)
    }

    /// The sessions that a process still has to close are part of its knowledge at a milestone. The search's fixed
    /// order soon reaches a session that a prune has ended during the lookup of its snapshot.
    @Test func whoHasMoreToCloseIsAnotherState() throws {
        let few = ProtocolCase(
            backups: ProtocolCase.one, prunes: 1, sessions: 2, isOneRound: true, takers: 1)
        let outcome = try few.explore(limit: Self.isLong ? 1_000_000 : 8000, auditCount: 1000)
        #expect(outcome.violation == nil, "\(outcome.trace.joined(separator: "\n"))")
    }

    @Test(arguments: ProtocolCase.all)
    func interleavingsLoseNothing(_ few: ProtocolCase) throws {
        try explore(few, limit: Self.stateLimit)
    }

    @discardableResult
    private func explore(_ few: ProtocolCase, limit: Int) throws -> Explorer.Outcome {
        let what = few.testDescription
        // A search that stops at a limit draws its order, so that it visits states in all regions.
        let seed = Self.isLong ? nil : TestSeed.random(what).next()
        let outcome = try few.explore(limit: limit, seed: seed, auditCount: Self.isLong ? 100_000 : 100) {
            print("\(what): \(Self.summary($0))")
        }
        print("\(what): \(outcome.isExhausted ? "all" : "the first") \(Self.summary(outcome))")
        #expect(outcome.violation == nil, "\(outcome.trace.joined(separator: "\n"))")
        #expect(outcome.isExhausted || outcome.states >= limit)
        return outcome
    }

    private static func summary(_ outcome: Explorer.Outcome) -> String {
        "\(outcome.states) states, \(outcome.images) stores, \(outcome.ends.count) ends, "
            + "\(outcome.histories) histories, \(outcome.runs) runs"
    }
}
