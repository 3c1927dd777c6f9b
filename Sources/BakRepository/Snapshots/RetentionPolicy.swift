// RetentionPolicy: the user's rules about which snapshots to keep. A snapshot stays if any rule keeps it.

import BakCore

/// The period of which a rule keeps one snapshot.
public enum RetentionPeriod: String, CaseIterable, Sendable {
    /// No period: each snapshot counts.
    case last
    /// An hour, day, week from Monday, month or year by the machine's calendar.
    case hourly, daily, weekly, monthly, yearly

    /// Returns the period that a moment belongs to. Two moments of one period give equal values. If there is no period,
    /// each `position` gives another value.
    func bucket(_ time: CivilTime, position: Int) -> Bucket {
        switch self {
        case .last: Bucket(number: position)
        // A clock change can repeat an hour. That counts as two hours.
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

/// The rules. A snapshot stays if any of them keeps it.
public struct RetentionPolicy: Equatable, Sendable {
    /// How many periods of each kind keep their newest snapshot; `Int.max` for all of them.
    public var counts: [RetentionPeriod: Int] = [:]
    /// A span for each kind of period. Within this span before a group's newest snapshot, each period keeps its newest
    /// snapshot.
    public var spans: [RetentionPeriod: RetentionSpan] = [:]
    /// Sets of labels: a snapshot that has all labels of one set is kept. An empty set keeps snapshots without labels.
    public var tagSets: [[String]] = []
    /// Snapshots to keep by their ids.
    public var ids: Set<ID128> = []

    /// Makes a policy without rules.
    public init() {}

    /// True if there is no rule, so that retention removes nothing. `ids` is no rule: it only exempts snapshots.
    public var isEmpty: Bool { counts.values.allSatisfy { $0 <= 0 } && spans.isEmpty && tagSets.isEmpty }
}
