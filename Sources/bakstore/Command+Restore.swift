// `bakstore restore`: brings files back from a snapshot.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository

extension Commands {
    static func restore(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let subject = try SnapshotPath(invocation.operands[0], command: .restore)
        let filter = try restoreFilter(invocation, context)
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        var request = RestoreRequest(
            snapshot: try repository.findSnapshot(subject.snapshot), subpath: subject.path)
        request.overwrite =
            invocation.text(.overwrite).flatMap { RestoreRequest.Overwrite(rawValue: $0) } ?? .always
        request.isDryRun = invocation.has(.dryRun)
        request.takesGroups = invocation.has(.withGroup)
        request.workerCount = max(2, Machine.processorCount)
        let path = invocation.text(.target) ?? ""
        // A dry run makes nothing, not even the target's folder.
        let target = request.isDryRun && Machine.realPath(path) == nil ? nil : try openTarget(path)
        let index = try BlobIndex(repository) { context.complain("\($0)") }
        request.subpath = try subject.path(in: request.snapshot, repository, index)

        let reporter = context.progress(for: invocation)
        let output = RestoreOutput(invocation, context, reporter, request.snapshot, path)
        let restore = Restore(
            repository, index: index, to: target, filter: filter, onEvent: output.note,
            isCancelled: context.isInterrupted)
        let board = RestoreBoard()
        let ticker = Ticker(reporter) { output.show(board.report) }
        defer {
            ticker.stop()
            reporter.finish()
        }
        let report = try restore.run(request, progress: board)
        ticker.stop()
        try output.summarize(report)
        if report.wasInterrupted { return .interrupted }
        return report.failed > 0 ? .incomplete : .done
    }

    private static func openTarget(_ path: String) throws -> FolderTarget {
        do {
            return try FolderTarget(path: path)
        } catch {
            throw CommandFailure(
                code: .failed, message: "\(error); name a folder that can be written to with --target")
        }
    }

    private static func restoreFilter(
        _ invocation: Invocation, _ context: CommandContext
    ) throws -> RestoreFilter {
        // A pattern may name a folder above what was backed up, so none lies outside of it.
        let reader = PatternReader(
            home: context.environment.home, folder: nil, roots: [[]], remark: { context.remark($0) })
        func patterns(_ exact: FlagName, _ folded: FlagName) throws -> [PathPattern] {
            try invocation.uses.filter { $0.name == exact || $0.name == folded }.map { use in
                try reader.read(use.value, origin: "--\(use.name.rawValue)", ignoringCase: use.name == folded)
            }
        }
        return RestoreFilter(
            includes: try patterns(.include, .iinclude), excludes: try patterns(.exclude, .iexclude))
    }
}

/// What a restore says while it runs and at its end. Called from the restore's threads.
private final class RestoreOutput: LiveOutput, @unchecked Sendable {
    private let snapshot: CommitRecord
    private let target: String

    init(
        _ invocation: Invocation, _ context: CommandContext, _ reporter: ProgressReporter,
        _ snapshot: CommitRecord, _ target: String
    ) {
        self.snapshot = snapshot
        self.target = target
        super.init(invocation, context, reporter)
    }

    @Sendable func note(_ event: RestoreEvent) {
        switch event {
        case .restored(let entry):
            let shown = invocation.has(.dryRun) ? 0 : 1
            guard invocation.verbosity >= shown else { return }
            say(
                "restored", entry.path, invocation.has(.dryRun) ? "would be restored" : "restored",
                size: entry.stat.size)
        case .kept(let path, let reason):
            guard invocation.verbosity >= (invocation.has(.dryRun) ? 0 : 1) else { return }
            say("kept", path, "kept: \(reason)", reason: reason)
        case .failed(let path, let reason): complain(path, "not restored: \(reason)")
        case .note(let path, let reason): complain(path, "restored, but \(reason)")
        }
    }

    private func say(
        _ action: String, _ path: [UInt8], _ text: String, size: UInt64? = nil, reason: String? = nil
    ) {
        say("verbose_status", "\(text)  \(Formatting.name(path.absolute))") { json in
            json.member("action", action)
            json.member("item", bytes: path.absolute)
            if let size { json.member("size", size) }
            if let reason { json.member("reason", reason) }
        }
    }

    private func complain(_ path: [UInt8], _ text: String) {
        complain(
            "\(Formatting.name(path.absolute)): \(text)", reason: text, during: "restore",
            item: path.absolute)
    }

    func show(_ report: RestoreReport) {
        reporter.update {
            var progress = Progress()
            progress.files = report.files
            progress.bytes = report.processedBytes
            progress.totalFiles = snapshot.counters.files
            progress.totalBytes = snapshot.counters.bytes
            // The snapshot's totals are the restore's only when nothing narrows it.
            progress.totalsAreFinal =
                !invocation.operands[0].contains(UInt8(ascii: ":")) && !invocation.has(.include)
                && !invocation.has(.iinclude) && !invocation.has(.exclude) && !invocation.has(.iexclude)
            progress.errors = report.failed
            return progress
        }
    }

    func summarize(_ report: RestoreReport) throws {
        reporter.finish()
        let seconds = reporter.secondsElapsed
        if invocation.has(.json) {
            return try context.printJSON { json in
                json.member("message_type", "summary")
                json.member("files_restored", report.files)
                json.member("dirs_restored", report.folders)
                json.member("others_restored", report.others)
                json.member("bytes_restored", report.bytes)
                json.member("files_skipped", report.kept)
                json.member("items_failed", report.failed)
                json.member("items_with_notes", report.notes)
                json.member("total_duration", seconds)
                json.member("snapshot_id", snapshot.id.description)
                if invocation.has(.dryRun) { json.member("dry_run", true) }
            }
        }
        if invocation.has(.quiet) { return }
        let files = Formatting.count(report.files, "file", "files")
        let size = Formatting.size(report.bytes)
        var line = "\(files), \(size) "
        line += invocation.has(.dryRun) ? "would be restored to" : "restored and verified to"
        line += " \(Formatting.line(target)); \(Formatting.duration(seconds: seconds))"
        try context.print(line)
        if report.files + report.folders + report.others + report.kept + report.failed == 0,
            !report.wasInterrupted
        {
            try context.print("nothing in the snapshot is like what was asked for")
        }
        if report.kept > 0 {
            try context.print("\(Formatting.count(report.kept, "item", "items")) kept as they were")
        }
        if report.failed > 0 {
            let items = Formatting.count(report.failed, "item", "items")
            try context.print("\(items) could not be restored; the reasons are above")
        }
        if report.wasInterrupted { try context.print("interrupted; the files restored so far are whole") }
    }
}
