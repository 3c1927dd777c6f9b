// `bakstore tag`: changes the tags of snapshots. A snapshot is an immutable object, so it is committed again with
// other tags, by a session of its own, and the one before is forgotten: only once the new one is there.

import BakCore
import BakFormat
import BakPosix
import BakRepository

extension Commands {
    static func tag(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let list = try repository.snapshotList()
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
            invocation: invocation, context: context, type: "changed", relation: "is now", verb: "changed")
        if invocation.has(.dryRun) {
            for change in changes { try show(change.snapshot, tags: change.tags, now: nil, output) }
        } else if !changes.isEmpty {
            guard try commit(changes, repository, output) else { return .interrupted }
        }
        let unchanged = chosen.count - changes.count
        let rest = unchanged > 0 ? ", \(Formatting.count(UInt64(unchanged))) needed no change" : ""
        try output.summarize(changes.count, rest: rest) { json in
            json.member("changed_snapshots", changes.count)
            json.member("unchanged_snapshots", unchanged)
        }
        // What tags they have, and so whether they were meant, is not known.
        guard invocation.operands.isEmpty else { return .done }
        let hasMissed = context.complain(aboutFilterOf: invocation, among: all)
        context.complain(about: list.unreadable)
        if hasMissed, list.unreadable.isEmpty { return .incomplete }
        return ExitCode.of(list.unreadable)
    }

    /// Commits each snapshot with its new tags; false when interrupted.
    private static func commit(
        _ changes: [(snapshot: CommitRecord, tags: [String])], _ repository: Repository,
        _ output: RecommitOutput
    ) throws -> Bool {
        let (host, program) = (Machine.hostName, programName)
        let session = try BackupSession(repository, host: host, program: program)
        defer { session.close() }
        for (position, change) in changes.enumerated() {
            if output.context.isInterrupted() { return false }
            try session.expectAll(of: change.snapshot.root)
            let record = try session.commit(continuing: position < changes.count - 1) { id, hasIndex in
                var record = change.snapshot
                (record.id, record.hasIndex, record.tags) = (id, hasIndex, change.tags)
                record.original = change.snapshot.originalID
                return record
            }
            try repository.forget([change.snapshot.id], host: host, program: program)
            try show(change.snapshot, tags: record.tags, now: record.id, output)
        }
        return true
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
    /// The labels of a flag that takes lists of them, each once, in order.
    private func labels(_ flag: FlagName) -> [String] {
        var labels: [String] = []
        for label in allTexts(flag).flatMap(Labels.split)
        where !labels.contains(label) {
            labels.append(label)
        }
        return labels
    }

    /// A snapshot's tags after `--set`, or `--remove` and then `--add`.
    func changed(_ tags: [String]) -> [String] {
        if has(.set) { return labels(.set) }
        let removed = labels(.remove)
        // Repositories may have some with a blank in front from before.
        var tags = tags.filter { !removed.contains(Labels.trimmed($0)) }
        for tag in labels(.add) where !tags.contains(tag) { tags.append(tag) }
        return tags
    }
}
