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
        if invocation.has(.dryRun) {
            for change in changes {
                try show(change.snapshot, tags: change.tags, now: nil, invocation, context)
            }
        } else if !changes.isEmpty {
            guard try commit(changes, repository, invocation, context) else { return .interrupted }
        }
        try summarize(changes.count, of: chosen.count, invocation, context)
        // What tags they have, and so whether they were meant, is not known.
        guard invocation.operands.isEmpty else { return .done }
        context.complain(about: list.unreadable)
        return ExitCode.of(list.unreadable)
    }

    /// Commits each snapshot with its new tags; false when interrupted.
    private static func commit(
        _ changes: [(snapshot: CommitRecord, tags: [String])], _ repository: Repository,
        _ invocation: Invocation, _ context: CommandContext
    ) throws -> Bool {
        let (host, program) = (Machine.hostName, programName)
        let session = try BackupSession(repository, host: host, program: program)
        defer { session.close() }
        for (position, change) in changes.enumerated() {
            if context.isInterrupted() { return false }
            try session.expectAll(of: change.snapshot.root)
            let record = try session.commit(continuing: position < changes.count - 1) { id, hasIndex in
                var record = change.snapshot
                (record.id, record.hasIndex, record.tags) = (id, hasIndex, change.tags)
                record.original = change.snapshot.originalID
                return record
            }
            try repository.forget([change.snapshot.id], host: host, program: program)
            try show(change.snapshot, tags: record.tags, now: record.id, invocation, context)
        }
        return true
    }

    private static func show(
        _ old: CommitRecord, tags: [String], now new: ID128?, _ invocation: Invocation,
        _ context: CommandContext
    ) throws {
        if invocation.has(.json) {
            return try context.printJSON { json in
                json.member("message_type", "changed")
                json.member("old_snapshot_id", old.id.description)
                if let new { json.member("new_snapshot_id", new.description) }
                json.array("tags") { for tag in tags { $0.element(tag) } }
            }
        }
        guard !invocation.has(.quiet) else { return }
        let text = tags.isEmpty ? "no tags" : "[\(tags.joined(separator: ", "))]"
        let name = new.map { "\(old.id.short) is now \($0.short)" } ?? old.id.short
        try context.print(Formatting.line("\(name)  \(text)"))
    }

    private static func summarize(
        _ changed: Int, of chosen: Int, _ invocation: Invocation, _ context: CommandContext
    ) throws {
        if invocation.has(.json) {
            return try context.printJSON { json in
                json.member("message_type", "summary")
                json.member("changed_snapshots", changed)
                json.member("unchanged_snapshots", chosen - changed)
                if invocation.has(.dryRun) { json.member("dry_run", true) }
            }
        }
        guard !invocation.has(.quiet) else { return }
        let snapshots = Formatting.count(UInt64(changed), "snapshot", "snapshots")
        let rest =
            changed < chosen ? ", \(Formatting.count(UInt64(chosen - changed))) had these tags already" : ""
        try context.print("\(snapshots) \(invocation.has(.dryRun) ? "would be changed" : "changed")\(rest)")
    }
}

extension Invocation {
    /// The labels of a flag that takes lists of them, each once, in order.
    private func labels(_ flag: FlagName) -> [String] {
        var labels: [String] = []
        for label in allTexts(flag).flatMap({ $0.split(separator: ",") }).map(String.init)
        where !labels.contains(label) {
            labels.append(label)
        }
        return labels
    }

    /// A snapshot's tags after `--set`, or `--remove` and then `--add`.
    func changed(_ tags: [String]) -> [String] {
        if has(.set) { return labels(.set) }
        let removed = labels(.remove)
        var tags = tags.filter { !removed.contains($0) }
        for tag in labels(.add) where !tags.contains(tag) { tags.append(tag) }
        return tags
    }
}
