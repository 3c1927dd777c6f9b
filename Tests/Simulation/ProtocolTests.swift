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
        BrokenProtocol("a revoked writer names condemned packs") { $0.nameCondemned = true },
        BrokenProtocol("who loses the decision deletes its own way") { $0.noDecisionRecord = true },
        BrokenProtocol("packs go before the copies' index counts") { $0.deleteBeforeDecision = true },
    ]
}

/// A case that the search can exhaust in its long form.
struct SmallCase: CustomTestStringConvertible, Sendable {
    /// The files of each backup.
    var backups: [[Int]]
    var prunes: Int
    /// Whether snapshots are forgotten at any time; else X is before anyone begins.
    var forgetsAtAnyTime = false
    var extent = Explorer.Extent.reduced
    /// How many sessions a backup begins before it gives up; nil for as many as it likes.
    var sessions: Int?
    /// Whether a prune's time is up when it has decided a round.
    var isOneRound = false

    /// File 2 is dead in a pack that is worth rewriting once X is forgotten; 1 is in Y as well; 3 is in none.
    static let one = [[2]]
    static let two = [[2], [1]]
    static let twins = [[3], [3]]

    static let all = [
        // At every operation.
        SmallCase(backups: one, prunes: 1, forgetsAtAnyTime: true),
        SmallCase(backups: two, prunes: 1),
        SmallCase(backups: two, prunes: 1, forgetsAtAnyTime: true, sessions: 2, isOneRound: true),
        SmallCase(backups: twins, prunes: 1, sessions: 2, isOneRound: true),
        SmallCase(backups: one, prunes: 2, sessions: 2, isOneRound: true),
        SmallCase(backups: one, prunes: 2, forgetsAtAnyTime: true, sessions: 2, isOneRound: true),
        SmallCase(backups: two, prunes: 2, sessions: 1, isOneRound: true),
        // What a process reads between two changes of its own it reads at one moment.
        SmallCase(backups: two, prunes: 1, forgetsAtAnyTime: true, extent: .reducedChanges),
        SmallCase(backups: one, prunes: 2, extent: .reducedChanges, isOneRound: true),
        SmallCase(backups: one, prunes: 2, extent: .reducedChanges, sessions: 2),
        SmallCase(backups: two, prunes: 2, extent: .reducedChanges, sessions: 2, isOneRound: true),
        SmallCase(
            backups: two, prunes: 2, forgetsAtAnyTime: true, extent: .reducedChanges, sessions: 2,
            isOneRound: true),
        // What is left of many where each is interrupted as often as the bound says.
        SmallCase(
            backups: two, prunes: 2, forgetsAtAnyTime: true, extent: .bounded(interruptions: 1)),
        SmallCase(
            backups: two, prunes: 2, forgetsAtAnyTime: true, extent: .bounded(interruptions: 2)),
    ]

    var testDescription: String {
        var parts = [
            "\(backups.count) backups\(backups == Self.twins ? " of one file" : ""), \(prunes) prunes",
            forgetsAtAnyTime ? "forgetting" : "X forgotten",
        ]
        switch extent {
        case .all: parts.append("one by one")
        case .reduced: break
        case .changes: parts.append("at changes, one by one")
        case .reducedChanges: parts.append("at changes")
        case .bounded(let interruptions): parts.append("interrupted \(interruptions) times")
        }
        if let sessions { parts.append("\(sessions) sessions") }
        if isOneRound { parts.append("one round") }
        return parts.joined(separator: ", ")
    }

    var protocolCase: ProtocolCase {
        var few = ProtocolCase(
            writers: backups, collectors: Array(repeating: 1, count: prunes),
            extent: extent)
        few.forgetsAtAnyTime = forgetsAtAnyTime
        few.sessionLimit = sessions ?? .max
        few.isOneRound = isOneRound
        return few
    }
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

    /// The search finds it as well, in the smallest case where it matters.
    @Test(arguments: BrokenProtocol.all)
    func whatIsLostWithoutAStepIsSearchedOut(_ broken: BrokenProtocol) throws {
        let faults = broken.faults
        var few = SmallCase(
            backups: faults.nameCondemned ? SmallCase.twins : SmallCase.one,
            prunes: faults.noDecisionRecord ? 2 : 1, sessions: 2, isOneRound: true
        ).protocolCase
        few.faults = faults
        let outcome = try few.explore()
        let found = try #require(outcome.violation)
        #expect(found.hasPrefix("snapshot") || found.hasPrefix("the repository"))
    }

    @Test func everyInterleavingOfABackupAndAPruneLosesNothing() throws {
        var few = SmallCase(backups: SmallCase.one, prunes: 1, sessions: 2, isOneRound: true)
        let outcome = try explore(few.protocolCase, few.testDescription, limit: .max)
        // With those that come to the same there are many times as many, and no other ends.
        few.extent = .all
        let all = try explore(few.protocolCase, few.testDescription, limit: .max)
        #expect(outcome.ends == all.ends)
        #expect(outcome.states * 2 < all.states)
    }

    @Test(arguments: SmallCase.all)
    func interleavingsLoseNothing(_ few: SmallCase) throws {
        try explore(few.protocolCase, few.testDescription, limit: Self.stateLimit)
    }

    @discardableResult
    private func explore(
        _ protocolCase: ProtocolCase, _ what: String, limit: Int
    ) throws -> Explorer.Outcome {
        // Cut short, the search goes everywhere a little: its order is drawn.
        let seed = Self.isLong ? nil : TestSeed.random(what).next()
        var protocolCase = protocolCase
        protocolCase.auditCount = Self.isLong ? 100_000 : 100
        protocolCase.onProgress = { print("\(what): \(Self.summary($0))") }
        let outcome = try protocolCase.explore(limit: limit, seed: seed)
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
