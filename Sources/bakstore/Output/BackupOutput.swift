// BackupOutput: prints what a backup does while it runs, and its summary, for people and as JSON.

import BakCore
import BakEngine
import BakFormat
import BakRepository

/// Prints a backup's events and its summary. Called from the backup's threads.
final class BackupOutput: Reporter, @unchecked Sendable {
    /// The files and bytes that there are to read.
    let totals = SourceTotals()
    private let monitor = Monitor()
    private let failures = ReasonTally(toldEach: 20)
    private let shortfalls = ReasonTally(toldEach: 20)
    private let changing = ReasonTally(toldEach: 3)
    private var exclusions: [String: UInt64] = [:]
    /// True if a message has told the user what to do about damage.
    private var hasAdvised = false
    private var lastCheckpoint: CommitRecord?
    /// The number of items that are stored only in part.
    private var incompleteItems: UInt64 = 0

    // MARK: While it runs

    /// Takes an event of the backup.
    @Sendable func note(_ event: BackupEvent) {
        switch event {
        case .failed(let path, let reason):
            complain(
                failures, "skipped \(Formatting.name(path.absolute)): \(reason)", reason: reason,
                during: "archival", item: path.absolute)
        case .incomplete(let path, let reason):
            monitor.locked { incompleteItems += 1 }
            let name = Formatting.name(path.absolute)
            complain(
                shortfalls, "\(name) is stored, but incomplete: \(reason)", reason: reason,
                during: "archival", item: path.absolute)
        case .changedWhileRead(let path):
            let text = "changed while it was read. The next backup reads it again"
            if changing.add(text, path) || invocation.verbosity >= 1 || invocation.has(.json) {
                noteRemark(path, text, .changed)
            }
        case .gone(let path):
            if invocation.verbosity >= 1 {
                say(.action("gone", path.absolute, "gone  \(Formatting.name(path.absolute))"))
            }
        case .excluded(let path, let reason):
            monitor.locked { exclusions[reason, default: 0] += 1 }
            if invocation.verbosity >= 1 || invocation.has(.json) {
                noteRemark(path, "left out: \(reason)", .excluded)
            }
        case .ignoreFile(let text): remark(text)
        case .parentUnreadable(let reason, let isDamage):
            let isFirst = monitor.locked {
                defer { hasAdvised = hasAdvised || isDamage }
                return isDamage && !hasAdvised
            }
            remark("files are read again, because \(reason)" + (isFirst ? ErrorReport.damageAdvice : ""))
        case .snapshotUnreadable(let snapshot) where snapshot.isDoubtful:
            remark("snapshot \(snapshot.id.short) is left out: \(snapshot.reason). \(snapshot.advice)")
        case .snapshotUnreadable(let snapshot):
            let meaning =
                snapshot.spare == nil
                ? "If it is the latest of these files, they are compared with the one before it"
                : "There is a copy of its record, so nothing is lost. \(snapshot.advice)"
            remark("snapshot \(snapshot.id.short) cannot be read: \(snapshot.error). \(meaning)")
        case .clockBehind(let parent):
            remark(
                "the clock is behind: snapshot \(parent.id.short) was made before this one, but is dated \(context.text(parent.time)). Is the clock right? Snapshots are ordered as they were made, whatever their dates"
            )
        case .checkpoint(let record):
            monitor.locked { lastCheckpoint = record }
            if invocation.verbosity >= 1 { remark("checkpoint \(record.id.short)") }
        }
    }

    /// Prints an entry of the manifest if the user wants to see each one.
    @Sendable func noteEntry(_ entry: ManifestEntry, _ change: BackupEvent.Change) {
        guard invocation.verbosity >= (change == .unmodified ? 2 : 1) else { return }
        let word =
            switch change {
            case .new, .reread: "new"
            case .changed: "changed"
            case .unmodified: "unmodified"
            case .moved: "moved"
            }
        let path = entry.path.absolute
        say(
            .action(word, path, "\(word)  \(Formatting.name(path))") {
                $0.member("data_size", entry.stat.size)
            })
    }

    private func noteRemark(_ path: [UInt8], _ text: String, _ kind: Message.Kind) {
        guard invocation.verbosity >= 0 else { return }
        reporter.whileCleared {
            if invocation.has(.json) {
                try? context.tell(kind) { json in
                    json.member("item", bytes: path.absolute)
                    json.member("reason", text)
                }
            } else {
                context.remark("\(Formatting.name(path.absolute)): \(text)")
            }
        }
    }

    /// Shows the progress of the backup.
    func show(_ state: BackupProgress) {
        reporter.update {
            totals.progress { progress in
                progress.files = state.files
                progress.bytes = state.bytes
                progress.newBytes = state.storedBytes
                progress.errors = state.failedItems
                progress.currentFiles = state.currentPath.isEmpty ? [] : [state.currentPath.absolute]
            }
        }
    }

    /// Returns the number of bytes that are left to read; nil as long as it is not known.
    func unreadBytes(_ state: BackupProgress) -> UInt64? {
        guard let all = totals.progress({ _ in }).totalBytes, all > state.bytes else { return nil }
        return all - state.bytes
    }

    /// The short id of the run's last checkpoint; nil if there is none.
    var lastCheckpointName: String? { monitor.locked { lastCheckpoint?.id.short } }

    // MARK: At the end

    /// Prints the summary. `uselessPatterns` are patterns that neither excluded an item nor included an excluded one
    /// again, which may be a slip.
    func summarize(_ report: BackupReport, uselessPatterns: [PathPattern]) throws {
        reporter.finish()
        tellRest(failures, Self.more)
        tellRest(shortfalls, Self.more)
        for doubt in report.doubts.shrunken { tell(doubt) }
        for path in report.doubts.cleared { tellCleared(path) }
        if !invocation.has(.allowEmpty) {
            for path in report.emptyFolders {
                remark(
                    "there are no files in \(Formatting.name(path.absolute)). Is it the folder that you mean, and is its disk "
                        + "mounted? If so, a later backup stores the files that are in it then")
            }
            for path in report.foldersOfLinks {
                remark(
                    "there are only links in \(Formatting.name(path.absolute)), and a link is stored as a link. To back up what "
                        + "they lead to, name those folders, or the links themselves")
            }
        }
        if invocation.has(.stdin), report.counters.files > 0, report.counters.bytes == 0,
            report.doubts.shrunken.isEmpty
        {
            remark("standard input was empty")
        }
        tellArchive(report)
        let seconds = reporter.secondsElapsed
        if invocation.has(.json) { return try summarizeJSON(report, uselessPatterns, seconds: seconds) }
        if invocation.has(.quiet) { return }
        let told = lines(of: uselessPatterns)
        for line in summaryLines(report, told, seconds: seconds) { try context.print(line) }
    }

    /// Warns that most files of a path may be missing. It is an error message, so `--quiet` shows it, too.
    private func tell(_ doubt: SourceDoubts.Shrunken) {
        let path = Formatting.name(doubt.path.absolute)
        let reason = reason(doubt)
        var end = "the next backup finds the same"
        if doubt.unread > 0 {
            end = "it can be read"
        } else if doubt.now == 0 {
            end =
                doubt.leftOut > 0
                ? "files of it are stored again"
                : doubt.emptied > 0 ? "there is something in them again" : "there are files again"
        }
        var question = "Is its disk mounted\(doubt.unread > 0 ? ", and can it be read" : "")?"
        if doubt.leftOut > 0 { question = "Are the rules right?" }
        if doubt.emptied > doubt.gone + doubt.unread { question = "Has something failed that writes them?" }
        complain(
            "\(path): \(reason). \(question) "
                + "The earlier snapshots have these files. If this is intended, "
                + "run the backup again with --allow-empty. No retention rule counts this snapshot until then, or until "
                + end,
            reason: reason, during: "comparison", item: doubt.path.absolute)
    }

    /// Describes what has become of the files of a path in doubt.
    private func reason(_ doubt: SourceDoubts.Shrunken) -> String {
        let had = Formatting.count(doubt.before, "file", "files")
        if doubt.leftOut == doubt.before, doubt.before > 0 {
            return "it had \(had), and the rules leave out all of them now"
        }
        if doubt.now == 0, doubt.unread == 0, doubt.emptied == 0, doubt.leftOut == 0, doubt.vouched == 0 {
            return doubt.before == 0
                ? "it has no files, as in the last snapshot, which is in doubt"
                : "it had \(had) and has none now"
        }
        var parts: [String] = []
        if doubt.gone > 0 { parts.append("\(Formatting.count(doubt.gone, "is", "are")) gone") }
        if doubt.leftOut > 0 { parts.append("the rules leave out \(Formatting.count(doubt.leftOut))") }
        if doubt.vouched > 0 {
            parts.append("\(Formatting.count(doubt.vouched, "was", "were")) called safe to delete")
        }
        if doubt.unread > 0 { parts.append("\(Formatting.count(doubt.unread)) could not be read completely") }
        if doubt.emptied > 0 { parts.append("\(Formatting.count(doubt.emptied, "is", "are")) empty now") }
        let last = parts.popLast().map { [$0] } ?? []
        let list = ([parts.joined(separator: ", ")].filter { !$0.isEmpty } + last).joined(separator: " and ")
        var reason = "it had \(had), of which \(list)"
        if let mount = doubt.lostMount {
            reason +=
                "; \(Formatting.name(mount.absolute)) was a disk of its own and has none of its files now"
        }
        if doubt.others > 0 {
            reason += "; it has \(Formatting.count(doubt.others, "other file", "other files"))"
        }
        return reason
    }

    /// Says why a path that has lost most of its files is not in doubt.
    private func tellCleared(_ path: SourceDoubts.Shrunken) {
        let files = Formatting.count(path.vouched, "file that is gone was", "files that are gone were")
        remark(
            "\(Formatting.name(path.path.absolute)): \(files) called safe to delete, so it is no surprise that they are missing"
        )
    }

    private func tellArchive(_ report: BackupReport) {
        if let resumed = report.resumedArchive {
            remark(
                "this resumes the archive of snapshot \(resumed.id.short), with the files that are gone since. To remove "
                    + "a file for good, run: bakstore archive remove latest:PATH")
        }
        if !report.joinedArchives.isEmpty {
            let names = report.joinedArchives.map(\.id.short).joined(separator: ", ")
            let snapshots = report.joinedArchives.count == 1 ? "snapshot" : "snapshots"
            remark(
                "this also has the files of \(snapshots) \(names) of the same archive, made by another disk or run"
            )
        }
        guard let earlier = report.earlierArchive else { return }
        if !report.isArchive {
            guard earlier.goneFiles > 0 else { return }
            let files = Formatting.count(earlier.goneFiles, "gone file is", "gone files are")
            remark(
                "the archive has ended: \(files) in snapshot \(earlier.snapshot.id.short), but not in this one. To resume the archive, add --archive"
            )
        } else if !invocation.has(.archive) {
            remark("this continues the archive. To end it, add --no-archive")
        }
    }

    /// Returns one line for each useless pattern with `-v`. Otherwise returns a single line about the patterns that
    /// were typed for this run.
    private func lines(of useless: [PathPattern]) -> [String] {
        if invocation.verbosity >= 1 { return useless.map { Formatting.line($0.uselessness) } }
        let typed = useless.filter { pattern in
            [AnyFlag.exclude, .iexclude].contains {
                pattern.origin == $0.spelling && !invocation.profileFlags.contains($0)
            }
        }
        guard let first = typed.first else { return [] }
        let more = Formatting.count(UInt64(typed.count - 1), "other", "others")
        let hint =
            typed.allSatisfy(\.ignoresCase)
            ? "" : ". --exclude tells upper from lower case, --iexclude does not"
        return [
            Formatting.line(
                first.uselessness + (typed.count > 1 ? ", and \(more) (-v names each)" : "") + hint)
        ]
    }

    private func summaryLines(
        _ report: BackupReport, _ useless: [String], seconds: Double
    ) -> [String] {
        let counters = report.counters
        // Nothing is kept, so the numbers of what was read would mean nothing.
        if report.wasInterrupted, !isDry, interruptedSnapshot(report) == nil {
            return ["interrupted before a file was stored. No snapshot was made"]
        }
        var lines: [String] = []
        var parts = [Formatting.count(counters.newFiles, "new file", "new files")]
        if counters.changedFiles > 0 { parts.append("\(Formatting.count(counters.changedFiles)) changed") }
        if report.movedFiles > 0 { parts.append("\(Formatting.count(report.movedFiles)) moved") }
        if counters.unmodifiedFiles > report.movedFiles {
            parts.append("\(Formatting.count(counters.unmodifiedFiles - report.movedFiles)) unchanged")
        }
        let stored = Formatting.size(counters.addedStoredBytes)
        lines.append(
            "\(parts.joined(separator: ", ")), \(Formatting.size(counters.bytes)) in all; "
                + "\(stored) \(isDry ? "would be stored" : "stored"); \(Formatting.duration(seconds: seconds))"
        )
        // A file that was recognised as moved is not gone. A renamed file that was read again counts as gone from its
        // old place: files are compared by content only in paths that lack most of their files.
        let gone = counters.newlyGoneFiles - min(counters.newlyGoneFiles, report.movedFiles)
        if gone > 0 {
            let files = Formatting.count(gone, "file has", "files have")
            let rest = report.isArchive ? ". The archive keeps \(Formatting.word(gone, "it", "them"))" : ""
            lines.append(
                "\(files) gone from where \(Formatting.word(gone, "it was", "they were")) in the last backup\(rest)"
            )
        }
        for (reason, count) in monitor.locked({ exclusions }).sorted(by: { $0.key < $1.key }) {
            lines.append("left out \(Formatting.count(count, "item", "items")): \(Formatting.line(reason))")
        }
        lines += useless
        if counters.changingFiles > 0 {
            lines.append(
                "\(Formatting.count(counters.changingFiles, "file", "files")) changed while being read")
        }
        let incomplete = monitor.locked { incompleteItems }
        if counters.failedItems > incomplete {
            let items = Formatting.count(counters.failedItems - incomplete, "item", "items")
            lines.append("\(items) could not be read; the reasons are above")
        }
        if incomplete > 0 {
            let items = Formatting.count(incomplete, "item is", "items are")
            lines.append("\(items) stored, but incomplete; the reasons are above")
        }
        return lines + outcome(report)
    }

    private var isDry: Bool { invocation.has(.dryRun) }

    /// Returns the snapshot that keeps the work of an interrupted run: the run's own snapshot, or else its last
    /// checkpoint.
    private func interruptedSnapshot(_ report: BackupReport) -> CommitRecord? {
        report.snapshot ?? monitor.locked { lastCheckpoint }
    }

    private func outcome(_ report: BackupReport) -> [String] {
        if isDry {
            let end = report.wasInterrupted ? "interrupted " : ""
            return ["\(end)dry run: nothing was stored"]
        }
        if report.wasInterrupted, let snapshot = interruptedSnapshot(report) {
            return [
                "interrupted. Partial snapshot \(snapshot.id.short) keeps the files stored so far. "
                    + "To continue, run the same command again"
            ]
        }
        if report.wasUnchanged { return ["nothing has changed, so no snapshot was made"] }
        // If there is no snapshot here, an error is the cause, and is reported by itself.
        return report.snapshot.map { ["snapshot \($0.id.short)"] } ?? []
    }

    private func tellDoubts(_ doubts: SourceDoubts, _ json: inout JSONWriter) {
        if !doubts.shrunken.isEmpty {
            json.array("doubtful_paths") { array in
                for doubt in doubts.shrunken {
                    array.elementObject { json in
                        json.member("path", bytes: doubt.path.absolute)
                        json.member("files_before", doubt.before)
                        json.member("files_now", doubt.now)
                        json.member("files_left", doubt.left)
                        json.member("files_unread", doubt.unread)
                        json.member("files_emptied", doubt.emptied)
                        if let mount = doubt.lostMount {
                            json.member("lost_mount", bytes: mount.absolute)
                        }
                        json.member("files_left_out", doubt.leftOut)
                        json.member("files_called_safe", doubt.vouched)
                    }
                }
            }
        }
        if !doubts.cleared.isEmpty {
            json.array("cleared_paths") { array in
                for path in doubts.cleared {
                    array.elementObject { json in
                        json.member("path", bytes: path.path.absolute)
                        json.member("files_before", path.before)
                        json.member("files_now", path.now)
                        json.member("files_called_safe", path.vouched)
                    }
                }
            }
        }
    }

    private func summarizeJSON(
        _ report: BackupReport, _ useless: [PathPattern], seconds: Double
    ) throws {
        let counters = report.counters
        try context.tell(.summary) { json in
            json.member("files_new", counters.newFiles)
            json.member("files_changed", counters.changedFiles)
            json.member("files_unmodified", counters.unmodifiedFiles)
            json.member("files_moved", report.movedFiles)
            json.member("dirs_new", counters.newFolders)
            json.member("dirs_unmodified", counters.folders - counters.newFolders)
            json.member("data_blobs", counters.addedBlobs)
            json.member("data_added", counters.addedBytes)
            json.member("data_added_packed", counters.addedStoredBytes)
            json.member("files_gone", counters.newlyGoneFiles)
            json.member("files_gone_kept", counters.goneFiles)
            json.member("total_files_processed", counters.files - counters.goneFiles)
            json.member("total_bytes_processed", counters.bytes)
            json.member("total_duration", seconds)
            json.member("bytes_read", counters.readBytes)
            json.member("items_failed", counters.failedItems)
            json.member("items_excluded", report.excludedItems)
            if !useless.isEmpty {
                json.array("patterns_without_items") { array in
                    for pattern in useless {
                        array.elementObject { json in
                            json.member("pattern", bytes: pattern.text)
                            json.member("origin", pattern.origin)
                        }
                    }
                }
            }
            json.member("files_changed_while_read", counters.changingFiles)
            if let snapshot = report.snapshot {
                json.member("snapshot_id", snapshot.id.description)
                json.member("is_complete", snapshot.isComplete)
            }
            if report.isArchive { json.member("archive", true) }
            tellDoubts(report.doubts, &json)
            if let parent = report.parent { json.member("parent_id", parent.description) }
            if invocation.has(.dryRun) { json.member("dry_run", true) }
        }
    }
}
