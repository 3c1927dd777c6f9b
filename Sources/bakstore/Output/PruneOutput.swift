// PruneOutput: prints what a prune does while it runs, and its summary, for people and as JSON.

import BakCore
import BakFormat
import BakRepository

/// Prints a prune's events and its report. Called from the prune's thread.
final class PruneOutput: Reporter, @unchecked Sendable {
    private let monitor = Monitor()
    private var step = PruneStep.marking

    // MARK: While it runs

    /// Takes an event of the prune.
    @Sendable func note(_ event: PruneEvent) {
        switch event {
        case .step(let next):
            monitor.locked { step = next }
            if invocation.verbosity >= 1 { remark(next.rawValue) }
        case .progress(let done, let total): show(done, of: total)
        case .waiting(let session):
            remark(
                "a backup that began on \(session.host) at \(context.text(session.time)) has not ended. Waiting a little"
            )
        case .revoked(let session):
            guard invocation.verbosity >= 1 else { return }
            remark(
                "session \(session.short) was ended. If its backup still runs, it continues under a new one")
        case .damaged(let error): complain("\(error). The pack stays as it is")
        case .inDoubt(let doubt): tell(doubt)
        case .damagedCopy(let error): complain("\(error). Another copy of its data is kept")
        }
    }

    /// Says that the content of a snapshot is not deleted, because its forget marker is damaged, and how the user can
    /// delete it.
    private func tell(_ doubt: ForgetDoubt) {
        let id = doubt.id.short
        complain(
            "\(doubt.error). No data of its snapshot is deleted until you remove it again, with: bakstore forget \(id)"
        )
    }

    override func show(_ done: UInt64, of total: UInt64) {
        reporter.update {
            var progress = Progress()
            let step = monitor.locked { self.step }
            progress.step = step.rawValue
            progress.countsObjects = step != .copying
            progress.bytes = done
            progress.totalBytes = total
            progress.totalsAreFinal = true
            return progress
        }
    }

    // MARK: At the end

    /// Prints the summary. `decisions` are the decisions about snapshots if the command removed some before the prune;
    /// otherwise nil.
    func summarize(_ report: PruneReport, _ decisions: RetentionOutput?) throws {
        let isDryRun = invocation.has(.dryRun)
        if invocation.has(.json) {
            return try context.tell(.summary) { json in
                decisions?.members(of: &json)
                json.member("packs", report.packs)
                json.member("packs_size", report.packBytes)
                json.member("packs_deleted", report.deletedPacks)
                json.member("packs_rewritten", report.rewrittenPacks)
                json.member("packs_damaged", report.damagedPacks)
                json.member("bytes_deleted", report.deletedBytes)
                json.member("bytes_copied", report.copiedBytes)
                json.member("bytes_freed", report.freedBytes)
                json.member("bytes_unused", report.unusedBytes)
                json.member("sessions_ended", report.revokedSessions)
                json.member("snapshots_in_doubt", report.snapshotsInDoubt)
                json.member("is_partial", report.isPartial)
                json.member("total_duration", reporter.secondsElapsed)
                if isDryRun { json.member("dry_run", true) }
            }
        }
        if invocation.has(.quiet) { return }
        try context.print(
            freed(report, isDryRun) + "; " + Formatting.duration(seconds: reporter.secondsElapsed))
        if report.unusedBytes > 0 {
            let left = report.packBytes - min(report.packBytes, report.freedBytes)
            try context.print(
                "\(Formatting.size(report.unusedBytes)) that no snapshot needs \(isDryRun ? "would stay" : "stays") in packs "
                    + "(\(Formatting.percent(report.unusedBytes, of: left)) of the repository; see --max-unused)"
            )
        }
        if report.wasInterrupted {
            try context.print("interrupted. The next prune continues from here")
        } else if report.isPartial {
            try context.print("a limit was reached. The next prune continues from here")
        }
    }

    private func freed(_ report: PruneReport, _ isDryRun: Bool) -> String {
        guard report.deletedPacks > 0 else {
            return report.wasInterrupted ? "nothing was freed so far" : "no space to free"
        }
        let packs = Formatting.count(UInt64(report.deletedPacks), "pack", "packs")
        var text = "\(Formatting.size(report.freedBytes)) \(isDryRun ? "would be freed" : "freed"): "
        text += "\(packs) \(isDryRun ? "would be deleted" : "deleted")"
        if report.rewrittenPacks > 0 {
            text += ", of which \(Formatting.count(UInt64(report.rewrittenPacks), "holds", "hold")) "
            text +=
                "\(Formatting.size(report.copiedBytes)) that \(isDryRun ? "would be" : "was") copied first"
        }
        return text
    }
}
