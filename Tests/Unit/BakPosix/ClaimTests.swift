// Claims in every interleaving, with processes stopped and the power cut at any moment. If any rule is left out, the
// search finds a fault.

import Glibc
import Testing

@testable import BakPosix

@Suite struct ClaimTests {
    private func explore(_ explorer: ClaimExplorer, missing: Set<Int> = [], junk: [String] = []) {
        explorer.explore(missing: missing, junk: junk)
        #expect(explorer.fault == nil)
        print("claims: \(explorer.stateCount) states")
        #expect(explorer.stateCount > 100)
    }

    @Test(arguments: [ENOTEMPTY, EEXIST, EPERM])
    func oneOfTwoWinsOnEveryKindOfMedium(refusal: Int32) {
        for replacesEmpty in [true, false] {
            explore(ClaimExplorer(count: 2, replacesEmpty: replacesEmpty, refusal: refusal, cutsPower: true))
        }
    }

    @Test func oneOfThreeWins() { explore(ClaimExplorer(count: 3)) }

    @Test func repliesMayBeLost() { explore(ClaimExplorer(count: 2, losesReplies: true)) }

    @Test func contentThatWasSweptAwayStandsInNobodysWay() {
        // Three processes take six times as long as all other tests here together.
        let isLong = getenv("BAKSTORE_SIMULATION_SEEDS") != nil
        explore(ClaimExplorer(count: isLong ? 3 : 2, replacesEmpty: false), missing: [0])
    }

    @Test func whatSystemsLeaveInFoldersIsNoClaim() {
        let claim = ClaimNames.claim(on: ClaimExplorer.key)
        explore(ClaimExplorer(count: 2), junk: [claim + "/.DS_Store", claim + "/Thumbs.db"])
    }

    @Test func locksLetOneOfThreeWin() {
        explore(ClaimExplorer(count: 3, locks: true))
        explore(ClaimExplorer(count: 2, locks: true, losesReplies: true, cutsPower: true))
    }

    @Test(arguments: [ClaimRule.claimFirst, .lookAgain])
    func everyRuleOfLocksIsNeeded(rule: ClaimRule) {
        let explorer = ClaimExplorer(count: 2, locks: true, omitting: rule)
        explorer.explore()
        #expect(explorer.fault != nil, "without the rule \(rule) nothing goes wrong")
    }

    @Test(arguments: ClaimRule.allCases)
    func everyRuleIsNeeded(rule: ClaimRule) {
        let explorer = ClaimExplorer(count: 3, omitting: rule)
        // Only a claim that fails shows that the entries of other processes must stay.
        explorer.explore(missing: rule == .removeByToken ? [0] : [])
        #expect(explorer.fault != nil, "without the rule \(rule) nothing goes wrong")
    }
}
