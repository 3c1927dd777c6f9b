// RecommitOutput: prints what `tag` and `forget --undo` do, which commit snapshots again. It prints one line or object
// for each snapshot, and one at the end.

import BakCore
import BakFormat

/// Prints which snapshots are committed again, and their new ids.
struct RecommitOutput {
    let invocation: Invocation
    let context: CommandContext
    /// The type of a snapshot's JSON object.
    let kind: Message.Kind
    /// The words between the old id and the new id in a line.
    let relation: String
    /// The participle that says what the command has done with snapshots, such as `changed`.
    let verb: String

    private var isDry: Bool { invocation.has(.dryRun) }

    /// Prints one snapshot; `new` is nil in a dry run.
    func show(
        _ old: CommitRecord, now new: ID128?, _ text: String,
        _ build: @escaping (inout JSONWriter) -> Void = { _ in }
    ) throws {
        let name = new.map { "\(old.id.short) \(relation) \($0.short)" } ?? old.id.short
        try context.confirm(
            Message(kind, "\(name)  \(text)") { json in
                json.member("old_snapshot_id", old.id.description)
                if let new { json.member("new_snapshot_id", new.description) }
                build(&json)
            })
    }

    /// Prints how many snapshots were committed again, and then `rest`.
    func summarize(_ done: Int, rest: String = "", _ build: @escaping (inout JSONWriter) -> Void) throws {
        let snapshots = Formatting.count(UInt64(done), "snapshot", "snapshots")
        try context.confirm(
            Message(.summary, "\(snapshots) \(isDry ? "would be " : "")\(verb)\(rest)") { json in
                build(&json)
                if isDry { json.member("dry_run", true) }
            })
    }
}
