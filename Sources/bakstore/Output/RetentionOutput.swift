// RetentionOutput: prints for each snapshot whether it is kept or removed, and why, for people and as JSON.

import BakCore
import BakFormat
import BakRepository

/// Prints decisions.
struct RetentionOutput {
    private let invocation: Invocation
    private let context: CommandContext
    private let request: RetentionRequest

    init(_ invocation: Invocation, _ context: CommandContext, _ request: RetentionRequest) {
        self.invocation = invocation
        self.context = context
        self.request = request
    }

    /// Prints the decisions of every group, and notes about them.
    func show() throws {
        for (group, decisions) in request.groups {
            if invocation.has(.json) {
                try showJSON(group, decisions)
            } else if !invocation.has(.quiet) {
                try showTable(group, decisions)
            }
        }
        for id in request.removedUnreadable {
            context.remark("gave up snapshot \(id.short), which cannot be read")
        }
        for id in request.removedAgain {
            context.remark("snapshot \(id.short) was removed before, but its forget marker was damaged")
        }
        for id in request.removedBefore {
            context.remark("snapshot \(id.short) was removed before")
        }
        if invocation.operands.isEmpty, request.futureCount == 0 { context.noteMisdated(request.order) }
        if request.futureCount > 0 {
            let snapshots = Formatting.count(UInt64(request.futureCount), "snapshot is", "snapshots are")
            context.remark(
                "\(snapshots) dated in the future, kept, and not counted by the rules. Is the clock right?")
        }
        if let complaint = request.filterComplaint { context.complain(complaint) }
        for complaint in request.tagComplaints { context.complain(complaint) }
        context.complain(about: request.unreadable, which: " and stays")
        if request.leftAlone > 0, invocation.operands.isEmpty, let profile = invocation.profile,
            SnapshotFilter(invocation).isEmpty
        {
            let others = Formatting.count(UInt64(request.leftAlone), "snapshot", "snapshots")
            context.remark(
                "left \(others) of another device or of other paths alone: the rules of profile '\(profile.name)' apply only to its own backups"
            )
        }
    }

    private func showTable(_ group: SnapshotGroup, _ decisions: [RetentionDecision]) throws {
        try context.print(Formatting.line(title(group)))
        var table = TextTable(
            [.fixed, .fixed, .fixed, .left], header: ["", "ID", "Time", "Why"], dropping: [2])
        for decision in decisions {
            let snapshot = decision.snapshot
            var why = decision.reasons.map(\.description).joined(separator: ", ")
            if !snapshot.tags.isEmpty { why += "  [\(snapshot.tags.joined(separator: ", "))]" }
            let cells = [
                decision.isKept ? "keep" : "remove", snapshot.id.short, context.text(snapshot.time), "",
            ]
            table.append(cells, ending: Formatting.line(why))
        }
        try context.print(table)
        try context.print("")
    }

    private func title(_ group: SnapshotGroup) -> String {
        var parts: [String] = []
        if let host = group.host { parts.append("host \(host)") }
        if let device = group.device { parts.append("device \(device)") }
        if let paths = group.paths {
            parts.append(paths.map { Formatting.name($0.absolute) }.joined(separator: ", "))
        }
        if let tags = group.tags {
            parts.append(tags.isEmpty ? "no tags" : "tags \(tags.joined(separator: ", "))")
        }
        return parts.isEmpty ? "all snapshots:" : parts.joined(separator: "; ") + ":"
    }

    private func showJSON(_ group: SnapshotGroup, _ decisions: [RetentionDecision]) throws {
        try context.tell(.forgetGroup) { json in
            if let host = group.host { json.member("host", host) }
            if let device = group.device { json.member("device", device) }
            if let paths = group.paths { json.member("paths", bytes: paths.map(\.absolute)) }
            if let tags = group.tags { json.array("tags") { for tag in tags { $0.element(tag) } } }
            for (name, isKept) in [("keep", true), ("remove", false)] {
                json.array(name) { array in
                    for decision in decisions where decision.isKept == isKept {
                        array.elementObject { $0.members(of: decision.snapshot, context) }
                    }
                }
            }
            for (name, isKept) in [("reasons", true), ("remove_reasons", false)] {
                json.array(name) { array in
                    for decision in decisions where decision.isKept == isKept {
                        array.elementObject { entry in
                            entry.object("snapshot") { $0.members(of: decision.snapshot, context) }
                            entry.array("matches") { matches in
                                for reason in decision.reasons { matches.element(reason.description) }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Prints the summary of a removal that no prune follows.
    func summarize() throws {
        if invocation.has(.json) {
            return try context.tell(.summary) { json in
                members(of: &json)
                if invocation.has(.dryRun) { json.member("dry_run", true) }
            }
        }
        if invocation.has(.quiet) { return }
        let isWhole = invocation.has(.dryRun) || request.removed.isEmpty
        try context.print(
            summary + (isWhole ? "" : " Run `\(context.command("prune"))` to free the space."))
        if !isWhole { context.remark("until then, take them back with: bakstore forget --undo") }
    }

    /// The numbers of the summary, as members of a JSON object.
    func members(of json: inout JSONWriter) {
        json.member("snapshots_kept", request.keptCount)
        json.member("snapshots_removed", request.removed.count)
        json.member("snapshots_left_alone", request.leftAlone)
    }

    /// The summary as a sentence, such as `2 snapshots removed; 5 stay`.
    var summary: String {
        let removed = request.removed.count
        let stay = request.keptCount + request.leftAlone + request.unreadable.count
        let snapshots =
            removed == 0 ? "no snapshot" : Formatting.count(UInt64(removed), "snapshot", "snapshots")
        let kept = Formatting.count(UInt64(stay))
        return invocation.has(.dryRun)
            ? "Would remove \(snapshots), keep \(kept)." : "Removed \(snapshots), kept \(kept)."
    }
}
