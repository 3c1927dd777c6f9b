// CollectionState: the newest decision in `gc/`, and the later plans, which have no decision yet.
//
// Rounds follow each other: a program puts plan n only after it has seen decision n-1. A listing may miss objects that
// are put while it is made, so it can show plan n without decision n-1. A reader therefore treats each plan as open,
// that is as undecided, if its number is above that of the newest decision in the listing.

import BakCore
import BakFormat
import BakStorage

/// The state of a repository's collections at one moment.
public struct CollectionState: Sendable {
    /// The rounds that a listing of `gc/` shows.
    struct Rounds: Equatable, Sendable {
        /// The newest decided round; 0 if there is none.
        var decided: UInt64 = 0
        /// The later rounds that have a plan.
        var open: [UInt64] = []
    }

    let rounds: Rounds
    /// The newest decision.
    public let decision: CollectionDecision?
    /// The plans that have no decision.
    public let openPlans: [CollectionPlan]

    /// The packs of open plans. They may be deleted at any time although the index names them.
    var condemned: Set<ID128> { Set(openPlans.flatMap(\.condemned)) }
}

extension CollectionState.Rounds {
    /// Takes the rounds from a listing.
    init(_ listed: [ObjectKey]) {
        let keys = listed.compactMap { ObjectNames.round(in: $0) }
        let decided = keys.lazy.filter(\.isDecision).map(\.number).max() ?? 0
        self.decided = decided
        open = keys.filter { !$0.isDecision && $0.number > decided }.map(\.number).sorted()
    }
}

extension Repository {
    /// Reads the newest decision and the open plans.
    ///
    /// - Throws: `CorruptionError` if one of them is damaged, and `StoreError`.
    public func collectionState() throws -> CollectionState {
        let rounds = try collectionRounds()
        return CollectionState(
            rounds: rounds,
            decision: rounds.decided > 0 ? try collectionDecision(rounds.decided) : nil,
            openPlans: try rounds.open.map(collectionPlan))
    }

    /// Lists the rounds.
    func collectionRounds() throws -> CollectionState.Rounds {
        CollectionState.Rounds(try store.list(ObjectNames.collections).map(\.key))
    }

    /// Reads a round's plan.
    ///
    /// - Throws: `CorruptionError` if the plan is damaged, and `StoreError`: `.notFound` if there is none.
    public func collectionPlan(_ number: UInt64) throws -> CollectionPlan {
        let key = ObjectNames.plan(number)
        let bytes = try store.readWhole(key, upTo: FormatLimits.collectionBytes)
        return try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try CollectionPlan(decoding: bytes, object: key.description, number: number, context: context)
        }
    }

    /// Reads a round's decision.
    ///
    /// - Throws: `CorruptionError` if the decision is damaged, and `StoreError`: `.notFound` if there is none.
    public func collectionDecision(_ number: UInt64) throws -> CollectionDecision {
        let key = ObjectNames.decision(number)
        let bytes = try store.readWhole(key, upTo: FormatLimits.collectionBytes)
        return try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try CollectionDecision(decoding: bytes, object: key.description, number: number, context: context)
        }
    }
}
