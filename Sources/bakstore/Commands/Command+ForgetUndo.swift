// `bakstore forget --undo`: takes back removed snapshots. This works as long as no prune has deleted their content.

import BakCore
import BakFormat
import BakPosix
import BakRepository

extension Commands {
    static func takeBack(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let chosen = try chooseForgotten(invocation, repository, context)
        let output = RecommitOutput(
            invocation: invocation, context: context, kind: .takenBack, relation: "is back as",
            verb: "taken back")
        func show(_ old: CommitRecord, now new: ID128?) throws {
            let paths = old.paths.map { Formatting.name($0.absolute) }.joined(separator: ", ")
            try output.show(old, now: new, "\(context.text(old.time))  \(old.device)  \(paths)")
        }
        var (done, isFinal, isDamaged) = (0, false, false)
        func takeBack(_ old: CommitRecord) throws {
            switch try repository.takeBack(old, host: Machine.hostName, program: programName) {
            case .back(let record):
                try show(old, now: record.id)
                done += 1
            case .final:
                isFinal = true
                context.complain(
                    "snapshot \(old.id.short) cannot be taken back: a prune has deleted some of its data")
            case .damaged(let error):
                isDamaged = true
                context.complain("snapshot \(old.id.short) cannot be taken back completely: \(error)")
            }
        }
        if invocation.has(.dryRun) {
            for forgotten in chosen { try show(forgotten.snapshot, now: nil) }
            done = chosen.count
        } else {
            let isWhole = try repository.recallingVouches {
                for forgotten in chosen {
                    if context.stop.isRequested { return false }
                    try takeBack(forgotten.snapshot)
                }
                return true
            }
            if !isWhole { return .interrupted }
        }
        try output.summarize(done) { json in
            json.member("snapshots_taken_back", done)
            json.member("snapshots_final", chosen.count - done)
        }
        if isDamaged { return .damage }
        guard isFinal else { return .done }
        let rest = Formatting.count(UInt64(chosen.count - done), "snapshot", "snapshots")
        throw CommandFailure(code: .failed, message: "\(rest) could not be taken back")
    }

    private static func noneToTakeBack(_ unmarked: [String]) -> String {
        unmarked.isEmpty
            ? "there are no removed snapshots to take back" : unknownRemoval(unmarked)
    }

    private static func unknownRemoval(_ unmarked: [String]) -> String {
        let names = unmarked.prefix(5).joined(separator: " ")
        let rest = unmarked.count > 5 ? ", and so on" : ""
        return "it is no longer known when these snapshots were removed. Take them back by their ids with: "
            + "bakstore forget --undo \(names)\(rest)"
    }

    /// Returns the snapshots that the operands name. Without operands, returns those that the last run of forget or
    /// prune removed.
    private static func chooseForgotten(
        _ invocation: Invocation, _ repository: Repository, _ context: CommandContext
    ) throws -> [ForgottenSnapshot] {
        let all = try repository.forgottenSnapshots()
        if invocation.operands.isEmpty {
            let unmarked = all.filter { $0.origin == nil }.map(\.snapshot.id.short)
            guard let last = all.compactMap(\.origin).max(by: { $0.time < $1.time }) else {
                throw CommandFailure(code: .failed, message: noneToTakeBack(unmarked))
            }
            if !unmarked.isEmpty { context.complain(unknownRemoval(unmarked)) }
            let count = all.count { $0.origin == last }
            context.remark(
                "the last removal was at \(context.text(last.time)) on \(last.host), of \(Formatting.count(UInt64(count), "snapshot", "snapshots"))"
            )
            return all.filter { $0.origin == last }
        }
        let present = try repository.snapshotList()
        return try invocation.operands.map { operand in
            let name = String(decoding: operand, as: UTF8.self)
            let matches = all.filter { forgotten in
                !name.isEmpty
                    && [forgotten.snapshot.id, forgotten.snapshot.originalID].contains {
                        $0.description.hasPrefix(name)
                    }
            }
            // A snapshot that was taken back and removed again was removed under several ids. The last removal counts.
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
                    code: .failed,
                    message: "snapshot \(name) was not removed: it is there as \(there.id.short)")
            }
            throw CommandFailure(code: .failed, message: "there is no removed snapshot \(name)")
        }
    }
}
