// `bakstore safe-to-delete`: says which files a backup has, down to the last byte read back. It deletes nothing.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository

extension Commands {
    static func safeToDelete(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let source = try BackupSource(invocation, context)
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let reporter = context.progress(for: invocation)
        let output = DeletionOutput(invocation, context, reporter)
        let ticker = Ticker(reporter, output.show)
        defer {
            ticker.stop()
            reporter.finish()
        }
        let report = try DeletionCheck(
            repository, of: source.tree, roots: source.roots, onEvent: output.note, onRead: output.count,
            isCancelled: context.isInterrupted
        ).run()
        ticker.stop()
        try output.summarize(report)
        if report.wasInterrupted { return .interrupted }
        return report.unsafeFiles > 0 ? .incomplete : .done
    }
}

/// What the check says while it runs and at its end.
private final class DeletionOutput: LiveOutput, @unchecked Sendable {
    private let monitor = Monitor()
    private var readBytes: UInt64 = 0

    @Sendable func count(_ bytes: UInt64) { monitor.locked { readBytes &+= bytes } }

    @Sendable func show() {
        reporter.update {
            var progress = Progress()
            progress.step = "reading files, then what is stored of them"
            progress.bytes = monitor.locked { readBytes }
            return progress
        }
    }

    func note(_ event: DeletionEvent) {
        switch event {
        case .safe(let path, let snapshot):
            guard invocation.verbosity >= 1 || invocation.has(.json) else { return }
            say(path, isSafe: true, "in snapshot \(snapshot.short)", snapshot: snapshot)
        case .unsafe(let path, let reason): say(path, isSafe: false, reason)
        }
    }

    private func say(_ path: [UInt8], isSafe: Bool, _ text: String, snapshot: ID128? = nil) {
        say("file", "\(isSafe ? "safe" : "keep")  \(Formatting.name(path.absolute)): \(text)") { json in
            json.member("item", bytes: path.absolute)
            json.member("is_safe", isSafe)
            if let snapshot { json.member("snapshot_id", snapshot.description) }
            if !isSafe { json.member("reason", text) }
        }
    }

    func summarize(_ report: DeletionReport) throws {
        reporter.finish()
        if invocation.has(.json) {
            return try context.printJSON { json in
                json.member("message_type", "summary")
                json.member("files_safe", report.safeFiles)
                json.member("bytes_safe", report.safeBytes)
                json.member("files_unsafe", report.unsafeFiles)
                json.member("items_without_content", report.otherItems)
                json.member("bytes_read", report.readBytes)
                json.member("is_all_safe", report.unsafeFiles == 0 && !report.wasInterrupted)
            }
        }
        if invocation.has(.quiet) { return }
        if report.wasInterrupted {
            return try context.print("interrupted; nothing was found out about the rest")
        }
        let safe = Formatting.count(report.safeFiles, "file", "files")
        try context.print(
            "\(safe), \(Formatting.size(report.safeBytes)), can be deleted: complete snapshots have them, and they were read back"
        )
        if report.unsafeFiles > 0 {
            let kept = Formatting.count(report.unsafeFiles, "item", "items")
            try context.print("\(kept) must be kept; the reasons are above")
        }
        if report.otherItems > 0 {
            let others = Formatting.count(
                report.otherItems, "link or special file", "links and special files")
            try context.print("\(others) were not looked at")
        }
    }
}
