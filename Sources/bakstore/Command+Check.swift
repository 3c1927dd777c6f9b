// `bakstore check`: looks for damage in the repository.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository

extension Commands {
    static func check(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let reporter = context.progress(for: invocation)
        let output = CheckOutput(invocation, context, reporter)
        let check = RepositoryCheck(
            repository, depth: invocation.has(.readData) ? .readData : .structure,
            workerCount: max(2, Machine.processorCount), onEvent: output.note,
            isCancelled: context.isInterrupted)
        defer { reporter.finish() }
        let report = try check.run()
        reporter.finish()
        try output.summarize(report)
        if report.wasInterrupted { return .interrupted }
        return report.isClean ? .done : .damage
    }
}

/// What a check says while it runs and at its end. Called from the check's threads.
private final class CheckOutput: @unchecked Sendable {
    private let invocation: Invocation
    private let context: CommandContext
    private let reporter: ProgressReporter

    init(_ invocation: Invocation, _ context: CommandContext, _ reporter: ProgressReporter) {
        self.invocation = invocation
        self.context = context
        self.reporter = reporter
    }

    @Sendable func note(_ event: CheckEvent) {
        switch event {
        case .step(let step):
            guard invocation.verbosity >= 1, !invocation.has(.json) else { return }
            reporter.whileCleared { context.remark("checking \(step)") }
        case .damage(let object, let reason):
            say("damage", "\(object): \(reason)") { json in
                json.member("object", object)
                json.member("reason", reason)
            }
        case .affectedFile(let snapshot, let path, let reason):
            say("affected_file", "snapshot \(snapshot.short): \(Formatting.name(path.absolute)): \(reason)") {
                json in
                json.member("snapshot_id", snapshot.description)
                json.member("item", bytes: path.absolute)
                json.member("reason", reason)
            }
        case .affectedSnapshot(let snapshot, let reason):
            say("affected_snapshot", "snapshot \(snapshot.short): \(reason)") { json in
                json.member("snapshot_id", snapshot.description)
                json.member("reason", reason)
            }
        case .unused(let object, let reason):
            guard invocation.verbosity >= 1 || invocation.has(.json) else { return }
            say("unused", "\(object) is not used: \(reason)") { json in
                json.member("object", object)
                json.member("reason", reason)
            }
        case .progress(let done, let total):
            reporter.update {
                var progress = Progress()
                progress.bytes = done
                progress.totalBytes = total
                progress.totalsAreFinal = true
                return progress
            }
        }
    }

    private func say(_ type: String, _ text: String, _ build: (inout JSONWriter) -> Void) {
        reporter.whileCleared {
            if invocation.has(.json) {
                try? context.printJSON { json in
                    json.member("message_type", type)
                    build(&json)
                }
            } else {
                try? context.print(Formatting.line(text))
            }
        }
    }

    func summarize(_ report: CheckReport) throws {
        if invocation.has(.json) {
            return try context.printJSON { json in
                json.member("message_type", "summary")
                json.member("snapshots", report.snapshots)
                json.member("packs", report.packs)
                json.member("blobs", report.blobs)
                json.member("bytes_verified", report.verifiedBytes)
                json.member("unused_packs", report.unusedPacks)
                json.member("unused_bytes", report.unusedBytes)
                json.member("num_errors", report.damagedObjects)
                json.member("affected_files", report.affectedFiles)
                json.member("affected_snapshots", report.affectedSnapshots)
                json.member("total_duration", reporter.secondsElapsed)
            }
        }
        if invocation.has(.quiet) { return }
        var looked = "looked at \(Formatting.count(UInt64(report.snapshots), "snapshot", "snapshots")), "
        looked += "\(Formatting.count(UInt64(report.packs), "pack", "packs")), "
        looked += Formatting.count(UInt64(report.blobs), "blob", "blobs")
        if invocation.has(.readData) {
            looked += "; read and verified \(Formatting.size(report.verifiedBytes))"
        }
        try context.print("\(looked); \(Formatting.duration(seconds: reporter.secondsElapsed))")
        if report.unusedPacks > 0 {
            let packs = Formatting.count(UInt64(report.unusedPacks), "pack", "packs")
            try context.print(
                "\(packs), \(Formatting.size(report.unusedBytes)), belong to no snapshot (interrupted runs); harmless"
            )
        }
        if report.wasInterrupted { return try context.print("interrupted before the end") }
        guard !report.isClean else { return try context.print("no damage found") }
        let objects = Formatting.count(UInt64(report.damagedObjects), "damaged object", "damaged objects")
        let files = Formatting.count(UInt64(report.affectedFiles), "file", "files")
        let snapshots = Formatting.count(UInt64(report.affectedSnapshots), "snapshot", "snapshots")
        try context.print(
            "DAMAGE: \(objects); \(files) affected in \(snapshots). All else can be restored. This repository does "
                + "not heal: back up what you still have into a new one")
    }
}
