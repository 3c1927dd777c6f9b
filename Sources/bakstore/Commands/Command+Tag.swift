// `bakstore tag`: changes the tags of snapshots. Each changed snapshot is committed again, with its new tags.

import BakCore
import BakFormat
import BakPosix
import BakRepository

extension CommandSpec {
    static let tag = CommandSpec(
        name: .tag, summary: "change the tags of snapshots",
        operand: Operand("[SNAPSHOT...]", .repository(.snapshot), 0...Int.max),
        flags: Flags.joined([.add, .remove, .set], Flags.choosing, [.skipDamaged, .dryRun]),
        conflicts: [(.set, [.add, .remove])], choosesSnapshots: true,
        exitCodes: [
            (.incomplete, "no snapshot matches a filter, or this user may not read some of them"),
            (.damage, "records of snapshots are damaged"),
        ],
        notes: """
            Without a SNAPSHOT, tag changes the snapshots that the other flags choose; without such a flag, all of them. A
            changed snapshot gets a new id: tag stores it as a new snapshot and removes the old one.
            """,
        examples: [("bakstore tag latest --add keep", "adds a tag that --keep-tag keep keeps")],
        complaint: { invocation in
            invocation.has(.add) || invocation.has(.remove) || invocation.has(.set)
                ? nil : "tag needs --add, --remove or --set, such as: bakstore tag latest --add keep"
        }, run: Commands.tag)
}

extension AnyFlag {
    static let add = Flag<[[String]]>("add", each: .labels(), help: "add these tags")
    static let remove = Flag<[[String]]>("remove", each: .labels(), help: "remove these tags")
    static let set = Flag<[[String]]>(
        "set", each: .labels(mayBeNone: true), help: "set exactly these tags; '' for none")
}

extension Commands {
    static func tag(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let list = try repository.settledSnapshotList()
        let all = list.readable
        let filter = SnapshotFilter(invocation)
        var chosen = all.filter(filter.takes)
        if !invocation.operands.isEmpty {
            let named = Set(
                try invocation.operands.map { operand in
                    let name = String(decoding: operand, as: UTF8.self)
                    return try context.findSnapshot(name, in: list, invocation).id
                })
            chosen = all.filter { named.contains($0.id) }
        }
        let changes = chosen.map { (snapshot: $0, tags: invocation.changed($0.tags)) }.filter {
            $0.tags != $0.snapshot.tags
        }
        let output = RecommitOutput(
            invocation: invocation, context: context, kind: .changed, relation: "is now", verb: "changed")
        if invocation.has(.dryRun) {
            for change in changes { try show(change.snapshot, tags: change.tags, now: nil, output) }
        } else if !changes.isEmpty {
            let changed = changes.map { change in
                var new = change.snapshot
                new.tags = change.tags
                return (old: change.snapshot, new: new)
            }
            let isDone = try repository.recommit(
                changed, host: Machine.hostName, program: programName, stop: context.stop
            ) { old, new in try show(old, tags: new.tags, now: new.id, output) }
            guard isDone else { return .interrupted }
        }
        let unchanged = chosen.count - changes.count
        let rest = unchanged > 0 ? ", \(Formatting.count(UInt64(unchanged))) needed no change" : ""
        try output.summarize(changes.count, rest: rest) { json in
            json.member("changed_snapshots", changes.count)
            json.member("unchanged_snapshots", unchanged)
        }
        // The tags of unreadable snapshots are not known, so the filter may be meant for those snapshots.
        guard invocation.operands.isEmpty else { return .done }
        let hasMissed = context.complain(aboutFilterOf: invocation, among: all)
        context.complain(about: list.unreadable)
        if hasMissed, list.unreadable.isEmpty { return .incomplete }
        return ExitCode.of(list.unreadable)
    }

    private static func show(
        _ old: CommitRecord, tags: [String], now new: ID128?, _ output: RecommitOutput
    ) throws {
        let text = tags.isEmpty ? "no tags" : "[\(tags.joined(separator: ", "))]"
        try output.show(old, now: new, text) { json in
            json.array("tags") { for tag in tags { $0.element(tag) } }
        }
    }
}

extension Invocation {
    /// Returns the labels of a flag that takes lists of them, each once, in order.
    private func labels(_ flag: Flag<[[String]]>) -> [String] {
        var labels: [String] = []
        for label in self[flag].joined() where !labels.contains(label) { labels.append(label) }
        return labels
    }

    /// Returns a snapshot's tags after `--set`, or after `--remove` and then `--add`.
    func changed(_ tags: [String]) -> [String] {
        if has(.set) { return labels(.set) }
        let removed = labels(.remove)
        // Older repositories may have tags with a leading blank.
        var tags = tags.filter { !removed.contains(Labels.trimmed($0)) }
        for tag in labels(.add) where !tags.contains(tag) { tags.append(tag) }
        return tags
    }
}
