// Claims: every interleaving of what they do, with processes stopped and the power cut at any moment; each rule left
// out is caught.

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
        // All of three take six times as long as the rest of these tests together.
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
        // A claim that comes to nothing is what shows that others' entries must stay.
        explorer.explore(missing: rule == .removeByToken ? [0] : [])
        #expect(explorer.fault != nil, "without the rule \(rule) nothing goes wrong")
    }
}
