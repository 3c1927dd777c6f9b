// RecommitOutput: prints what `tag` and `forget --undo` do, which commit snapshots again. Each snapshot gets one line
// or object, and the end gets one.

import BakCore
import BakFormat

/// Prints what becomes of snapshots that are committed again under new ids.
struct RecommitOutput {
    let invocation: Invocation
    let context: CommandContext
    /// The type of a snapshot's JSON object.
    let kind: Message.Kind
    /// The words between the old id and the new one.
    let relation: String
    /// What the command does with snapshots, such as `changed`.
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

    /// Prints how many snapshots there were, and then `rest`.
    func summarize(_ done: Int, rest: String = "", _ build: @escaping (inout JSONWriter) -> Void) throws {
        let snapshots = Formatting.count(UInt64(done), "snapshot", "snapshots")
        try context.confirm(
            Message(.summary, "\(snapshots) \(isDry ? "would be " : "")\(verb)\(rest)") { json in
                build(&json)
                if isDry { json.member("dry_run", true) }
            })
    }
}
