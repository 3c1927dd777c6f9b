// Flags+Retention: the flags that say which snapshots to keep, and their values.

import BakRepository

/// A number of snapshots, or `unlimited`.
enum KeepCount {
    /// Parses a count. `unlimited` is `Int.max`, and so is -1, as in restic.
    @Sendable static func parse(_ text: String) -> Int? {
        if text == "unlimited" || text == "-1" { return .max }
        return Int(text).flatMap { $0 >= 0 ? $0 : nil }
    }
}

extension SnapshotGrouping {
    private static let words: [(word: String, grouping: SnapshotGrouping)] = [
        ("host", .host), ("device", .device), ("paths", .paths), ("path", .paths), ("tags", .tags),
        ("tag", .tags),
    ]

    /// Parses words such as `device,paths`. `none` means one group of all snapshots.
    @Sendable static func parse(_ text: String) -> SnapshotGrouping? {
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
    private static let periods: [(word: String, period: RetentionPeriod)] = [
        ("last", .last), ("hourly", .hourly), ("daily", .daily), ("weekly", .weekly), ("monthly", .monthly),
        ("yearly", .yearly),
    ]

    /// The rules that keep a number of snapshots.
    static let counted: [(flag: Flag<Int?>, period: RetentionPeriod)] = periods.map { word, period in
        let what = period == .last ? "the last N snapshots" : "the newest snapshot of N \(period.units)"
        return (Flag<Int?>("keep-\(word)", .keepCount, help: "keep \(what); N may be unlimited"), period)
    }

    /// The rules that keep snapshots within a span of time.
    static let within: [(flag: Flag<RetentionSpan?>, period: RetentionPeriod)] = periods.map { word, period in
        let span = ValueKind<RetentionSpan>.parsed(
            "DURATION", expected: "must be a time such as 1y6m, 2w, 7d or 12h", { RetentionSpan($0) })
        let isWhole = period == .last
        let help =
            isWhole
            ? "keep all snapshots within this time before the newest, such as 1y6m or 30d"
            : "keep the newest snapshot of each \(period.unit) within that time"
        return (Flag<RetentionSpan?>("keep-within" + (isWhole ? "" : "-\(word)"), span, help: help), period)
    }

    /// All flags that are rules. A command that gets any of them applies a retention policy.
    static let rules: [AnyFlag] = joined(counted.map(\.flag), within.map(\.flag), [.keepTag])

    /// All flags of a retention policy.
    static let retention: [AnyFlag] = joined(
        rules, [.keepID, .skipDamaged, .groupBy], choosing,
        [
            .unsafeAllowRemoveAll,
            .yes.described("do not ask before removing data that people may rely on"),
        ])

    /// The flags that say how a prune frees space.
    static let pruning: [AnyFlag] = [.maxUnused, .maxRepackSize, .maxDuration, .alone]

    /// The flags of a retention policy that a profile may set.
    static let rulesOfProfiles: [AnyFlag] = joined(rules, [.groupBy])
}

extension AnyFlag {
    static let keepTag = Flag<[[String]]>(
        "keep-tag", each: .labels(), help: "keep snapshots with all of these tags")
    static let keepID = Flag<[String]>(
        "keep-id", each: .text("SNAPSHOT", .repository(.snapshot)), help: "keep this snapshot")
    static let groupBy = Flag<SnapshotGrouping>(
        "group-by",
        .parsed(
            "WHAT", expected: "must be none, or some of device, paths, tags and host", SnapshotGrouping.parse),
        default: .byDefault,
        help: "apply the rules to each group of device,paths (default), tags or host, or to all (none)")
    static let unsafeAllowRemoveAll = Flag<Bool>(
        "unsafe-allow-remove-all", help: "let the rules remove even the newest snapshot of a group")
    static let maxUnused = Flag<PruneOptions.Allowance?>(
        "max-unused",
        .parsed(
            "LIMIT", expected: "must be a share under 100% such as 5%, a size such as 10G, or unlimited",
            PruneOptions.Allowance.parse),
        help: "how much data that no snapshot needs may stay in packs (default: 5%)")
    static let maxRepackSize = Flag<UInt64?>(
        "max-repack-size", .size(0...UInt64.max),
        help: "copy at most this much; the next prune continues from there")
}

extension RetentionPeriod {
    /// The word for one period, such as `day`.
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

    /// The word for several periods, such as `days`.
    var units: String { unit + "s" }
}
