// RetentionPolicy: which snapshots a user wants to keep. A snapshot stays when any rule keeps it.

import BakCore

/// What a counted rule keeps one snapshot of.
public enum RetentionPeriod: String, CaseIterable, Sendable {
    /// Of nothing: each snapshot counts.
    case last
    /// Of an hour, day, week from Monday, month or year by the calendar of the machine.
    case hourly, daily, weekly, monthly, yearly

    /// What a moment falls into: equal for two moments exactly if they are in one period. `position` tells apart
    /// what is in no period.
    func bucket(_ time: CivilTime, position: Int) -> Bucket {
        switch self {
        case .last: Bucket(number: position)
        // An hour that a clock change repeats is two hours.
        case .hourly: Bucket(number: time.dayNumber * 24 + time.hour, offset: time.offsetSeconds ?? 0)
        case .daily: Bucket(number: time.dayNumber)
        case .weekly: Bucket(number: time.weekNumber)
        case .monthly: Bucket(number: time.year * 12 + time.month)
        case .yearly: Bucket(number: time.year)
        }
    }

    /// One period.
    struct Bucket: Hashable {
        var number: Int
        var offset = 0
    }
}

/// The rules, any of which keeps a snapshot.
public struct RetentionPolicy: Equatable, Sendable {
    /// How many of each period are kept, the newest snapshot of each; `Int.max` for all of them.
    public var counts: [RetentionPeriod: Int] = [:]
    /// How far back, seen from a group's newest snapshot, one of each period is kept.
    public var spans: [RetentionPeriod: RetentionSpan] = [:]
    /// Snapshots that have all tags of one of these sets are kept. An empty set asks for no tag at all.
    public var tagSets: [[String]] = []
    /// These are kept.
    public var ids: Set<ID128> = []

    /// No rules.
    public init() {}

    /// Whether there is no rule, so that nothing is ever removed. Which snapshots are exempt is no rule.
    public var isEmpty: Bool { counts.values.allSatisfy { $0 <= 0 } && spans.isEmpty && tagSets.isEmpty }
}
