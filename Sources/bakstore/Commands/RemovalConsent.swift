// RemovalConsent: before a removal, names the groups that would lose their last snapshot, and asks the user whether to
// remove it.

import BakCore
import BakFormat
import BakRepository

/// Asks before the last snapshot of a group is removed.
struct RemovalConsent {
    private let invocation: Invocation
    private let context: CommandContext

    init(_ invocation: Invocation, _ context: CommandContext) {
        (self.invocation, self.context) = (invocation, context)
    }

    /// Throws unless the user agrees to the loss of the last snapshots of groups. In a dry run, does not ask, and only
    /// says that the real run will ask.
    func expect(_ request: RetentionRequest) throws {
        guard !invocation.has(.yes) else { return }
        let losses = request.losses
        guard let first = losses.first else { return }
        let all = request.removesAll ? "all snapshots of this repository" : name(first)
        let more =
            losses.count > 1 && !request.removesAll
            ? " and \(Formatting.count(UInt64(losses.count - 1), "other", "others"))" : ""
        let files =
            first.kind == .archive && !request.removesAll
            ? "those files cannot be restored" : "none of its files can be restored"
        let loss = "this removes \(all)\(more). After the next prune, \(files) from here"
        if invocation.has(.dryRun) {
            return context.remark("without -n, this command asks first or needs --yes: \(loss)")
        }
        if invocation.has(.json) { throw refusal(loss) }
        guard let agrees = try context.agrees(to: "\(loss). Remove?")
        else { throw refusal(loss) }
        guard agrees else {
            throw CommandFailure(code: .failed, message: "nothing was removed")
        }
    }

    private func refusal(_ loss: String) -> CommandFailure {
        CommandFailure(code: .failed, message: "\(loss). Nothing was removed. To go ahead, add --yes")
    }

    /// Returns text such as `the last snapshot of phone, /DCIM (1f0c9a3e: 3 files, 1.2 MiB, of 2025-01-01 10:00:00)`.
    private func name(_ loss: RemovalLoss) -> String {
        let last = loss.last
        let paths = last.paths.map { Formatting.name($0.absolute) }.joined(separator: ", ")
        let files = Formatting.count(last.counters.files, "file", "files")
        let name =
            "\(last.device), \(paths) (\(last.id.short): \(files), \(Formatting.size(last.counters.bytes)), of \(context.text(last.time)))"
        return switch loss.kind {
        case .last: "the last snapshot of \(name)"
        case .lastThatCounts:
            "the last snapshot of \(name) that counts, because the others are in doubt or incomplete"
        case .archive:
            "the last archive of \(name), with "
                + "\(Formatting.count(last.counters.goneFiles, "file", "files")) that its source no longer has"
        }
    }
}
