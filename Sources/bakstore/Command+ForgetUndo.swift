// `bakstore forget --undo`: takes back snapshots that were removed, as long as no prune has made it final.

import BakCore
import BakFormat
import BakPosix
import BakRepository

extension Commands {
    static func takeBack(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let chosen = try chooseForgotten(invocation, repository, context)
        var (done, isFinal, isDamaged) = (0, false, false)
        for forgotten in chosen {
            if context.isInterrupted() { return .interrupted }
            let old = forgotten.snapshot
            if invocation.has(.dryRun) {
                try show(forgotten, now: nil, invocation, context)
                done += 1
                continue
            }
            switch try repository.takeBack(old, host: Machine.hostName, program: programName) {
            case .back(let record):
                try show(forgotten, now: record, invocation, context)
                done += 1
            case .final:
                isFinal = true
                context.complain(
                    "snapshot \(old.id.short) cannot be taken back: a prune has deleted some of what it had")
            case .damaged(let error):
                isDamaged = true
                context.complain("snapshot \(old.id.short) cannot be taken back as a whole: \(error)")
            }
        }
        try summarize(done, of: chosen.count, invocation, context)
        if isDamaged { return .damage }
        guard isFinal else { return .done }
        let rest = Formatting.count(UInt64(chosen.count - done), "snapshot", "snapshots")
        throw CommandFailure(code: .failed, message: "\(rest) could not be taken back")
    }

    /// The snapshots that operands name; without any, those that the last run of forget or prune removed.
    private static func chooseForgotten(
        _ invocation: Invocation, _ repository: Repository, _ context: CommandContext
    ) throws -> [ForgottenSnapshot] {
        let all = try repository.forgottenSnapshots()
        if invocation.operands.isEmpty {
            guard let last = all.compactMap(\.origin).max(by: { $0.time < $1.time }) else {
                throw CommandFailure(
                    code: .failed, message: "no snapshot was removed, so there is none to take back")
            }
            let count = all.count { $0.origin == last }
            context.remark(
                "the last removal was at \(context.text(last.time)) on \(last.host), of \(Formatting.count(UInt64(count), "snapshot", "snapshots"))"
            )
            return all.filter { $0.origin == last }
        }
        let present = try repository.snapshotList()
        return try invocation.operands.map { operand in
            let name = String(decoding: operand, as: UTF8.self)
            let matches = all.filter {
                $0.snapshot.id.description.hasPrefix(name)
                    || $0.snapshot.originalID.description.hasPrefix(name)
            }
            // What was taken back and removed again has several records; they are one snapshot, of which the last counts.
            let unknown = Timestamp(seconds: .min)
            if let last = matches.max(by: { ($0.origin?.time ?? unknown) < ($1.origin?.time ?? unknown) }),
                matches.allSatisfy({ $0.snapshot.originalID == last.snapshot.originalID })
            {
                return last
            }
            if matches.count > 1 {
                throw RepositoryError.ambiguousSnapshot(
                    name: name, matches: matches.prefix(5).map(\.snapshot.id.short))
            }
            if let there = try? present.find(name, skippingDamaged: true) {
                throw CommandFailure(
                    code: .failed, message: "snapshot \(name) is there, as \(there.id.short)")
            }
            throw CommandFailure(code: .failed, message: "there is no removed snapshot \(name)")
        }
    }

    private static func show(
        _ forgotten: ForgottenSnapshot, now record: CommitRecord?, _ invocation: Invocation,
        _ context: CommandContext
    ) throws {
        let old = forgotten.snapshot
        if invocation.has(.json) {
            return try context.printJSON { json in
                json.member("message_type", "taken_back")
                json.member("old_snapshot_id", old.id.description)
                if let record { json.member("new_snapshot_id", record.id.description) }
            }
        }
        guard !invocation.has(.quiet) else { return }
        let paths = old.paths.map { Formatting.name($0.absolute) }.joined(separator: ", ")
        let name = record.map { "\(old.id.short) is back as \($0.id.short)" } ?? old.id.short
        try context.print(Formatting.line("\(name)  \(context.text(old.time))  \(old.device)  \(paths)"))
    }

    private static func summarize(
        _ done: Int, of chosen: Int, _ invocation: Invocation, _ context: CommandContext
    ) throws {
        if invocation.has(.json) {
            return try context.printJSON { json in
                json.member("message_type", "summary")
                json.member("snapshots_taken_back", done)
                json.member("snapshots_final", chosen - done)
                if invocation.has(.dryRun) { json.member("dry_run", true) }
            }
        }
        guard !invocation.has(.quiet) else { return }
        let snapshots = Formatting.count(UInt64(done), "snapshot", "snapshots")
        try context.print("\(snapshots) \(invocation.has(.dryRun) ? "would be taken back" : "taken back")")
    }
}
