// Flags+Retention: the flags that say what is kept, and the values that they take.

import BakRepository

/// A number of snapshots, or `unlimited`.
enum KeepCount {
    /// `Int.max` for `unlimited` and, as restic has it, for -1.
    static func parse(_ text: String) -> Int? {
        if text == "unlimited" || text == "-1" { return .max }
        return Int(text).flatMap { $0 >= 0 ? $0 : nil }
    }
}

extension SnapshotGrouping {
    private static let words: [(word: String, grouping: SnapshotGrouping)] = [
        ("host", .host), ("device", .device), ("paths", .paths), ("path", .paths), ("tags", .tags),
        ("tag", .tags),
    ]

    /// Parses `device,paths`; `none` for one group of all.
    static func parse(_ text: String) -> SnapshotGrouping? {
        if text == "none" { return [] }
        var result: SnapshotGrouping = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let known = words.first(where: { $0.word == word }) else { return nil }
            result.formUnion(known.grouping)
        }
        return result
    }
}

extension Flags {
    private static let span = ValueKind.parsed(
        "DURATION", expected: "must be a time such as 1y6m, 2w, 7d or 12h"
    ) { RetentionSpan($0) != nil }

    /// The rules that count.
    static let counted: [(flag: FlagName, period: RetentionPeriod)] = [
        (.keepLast, .last), (.keepHourly, .hourly), (.keepDaily, .daily), (.keepWeekly, .weekly),
        (.keepMonthly, .monthly), (.keepYearly, .yearly),
    ]

    /// The rules that look back so far.
    static let within: [(flag: FlagName, period: RetentionPeriod)] = [
        (.keepWithin, .last), (.keepWithinHourly, .hourly), (.keepWithinDaily, .daily),
        (.keepWithinWeekly, .weekly), (.keepWithinMonthly, .monthly), (.keepWithinYearly, .yearly),
    ]

    /// The rules: flags any of which makes a policy.
    static let rules: [FlagName] = counted.map(\.flag) + within.map(\.flag) + [.keepTag]

    /// What a policy is made of.
    static let retention: [Flag] =
        counted.map { flag, period in
            let what = period == .last ? "the last N snapshots" : "the newest snapshot of N \(period.units)"
            return Flag(flag, nil, .keepCount, help: "keep \(what); N may be unlimited")
        }
        + within.map { flag, period in
            let isWhole = period == .last
            return Flag(
                flag, nil, span,
                help: isWhole
                    ? "keep all snapshots within this time before the newest, such as 1y6m or 30d"
                    : "keep the newest snapshot of each \(period.unit) within that time")
        } + [
            Flag(
                .keepTag, nil, .labels(), repeatable: true, help: "keep those with all of these tags"
            ),
            Flag(.keepID, nil, .text("SNAPSHOT"), repeatable: true, help: "keep this one"), skipDamaged,
            Flag(
                .groupBy, nil,
                .parsed("WHAT", expected: "must be none, or some of device, paths, tags and host") {
                    SnapshotGrouping.parse($0) != nil
                }, help: "apply the rules to each device,paths (default), tags, host, or to all: none"),
        ] + choosing + [
            Flag(.unsafeAllowRemoveAll, help: "let the rules remove even the newest snapshot of a group"),
            Flag(.yes, "y", help: "do not ask before something is lost that people may rely on"),
        ]

    /// The rules that content must outlast to be safe to delete.
    static let deletion: [Flag] =
        retention.filter { rules.contains($0.name) || [.keepID, .groupBy, .skipDamaged].contains($0.name) }
        + [
            Flag(
                .sameDiskIsFine,
                help: "count files as safe although the repository is on their disk and goes with it")
        ]

    /// How a prune gives space back.
    static let pruning: [Flag] = [
        Flag(
            .maxUnused, nil,
            .parsed(
                "LIMIT", expected: "must be a share under 100% such as 5%, a size such as 10G, or unlimited"
            ) {
                PruneOptions.Allowance.parse($0) != nil
            }, help: "how much that no snapshot needs may stay in packs (default: 5%)"),
        Flag(
            .maxRepackSize, nil, .size(0...UInt64.max),
            help: "copy at most this much; the next prune goes on from there"),
        Flag(
            .maxDuration, nil, .duration,
            help: "work for at most so long, such as 30m; the next prune goes on from there"),
        alone,
    ]

    static let forget: [Flag] =
        retention + [
            Flag(.undo, help: "take back snapshots that were removed, until a prune makes it final"),
            Flag(.prune, help: "give the space back, too, as prune does"),
        ] + pruning + [dryRun]

    static let prune: [Flag] = pruning + retention + [dryRun]

    static let tagging: [Flag] =
        [
            Flag(.add, nil, .labels(), repeatable: true, help: "add these tags"),
            Flag(.remove, nil, .labels(), repeatable: true, help: "remove these tags"),
            Flag(
                .set, nil, .labels(mayBeNone: true), repeatable: true,
                help: "have these tags and no others; '' for none"),
        ] + choosing + [skipDamaged, dryRun]
}

extension RetentionPeriod {
    /// `day`.
    var unit: String {
        switch self {
        case .last: "snapshot"
        case .hourly: "hour"
        case .daily: "day"
        case .weekly: "week"
        case .monthly: "month"
        case .yearly: "year"
        }
    }

    /// `days`.
    var units: String { unit + "s" }
}
