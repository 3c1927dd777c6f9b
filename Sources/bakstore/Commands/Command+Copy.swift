// `bakstore copy`: copies snapshots from one repository to another.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository

extension CommandSpec {
    static let copy = CommandSpec(
        name: .copy, summary: "copy snapshots from another repository",
        operand: Operand("[SNAPSHOT...]", .repository(.snapshot), 0...Int.max),
        flags: Flags.joined(
            [.fromRepo.described("the repository to copy from (required)", isRequired: true)],
            Flags.sourcePassword, Flags.choosing, [.latest, .skipDamaged, .dryRun]),
        choosesSnapshots: true,
        exitCodes: [
            (
                .incomplete,
                "some items could not be read and are not in the copies, or no snapshot matches a filter"
            ),
            (.damage, "some snapshots could not be copied, or one of the repositories is damaged"),
        ],
        notes: """
            SNAPSHOT names a snapshot of --from-repo. Without one, copy copies all complete snapshots. It skips snapshots
            that were copied before, so the same command finishes an interrupted copy.
            """,
        examples: [
            (
                "bakstore copy --from-repo /mnt/usb/backup --repo /mnt/nas/backup latest",
                "copies the newest snapshot from the USB disk to the server"
            )
        ],
        run: Commands.copy)
}

extension Commands {
    static func copy(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let source = try RepositoryAccess.openSource(invocation, context: context)
        let destination = try destination(of: source, invocation, context)
        guard source.repository.config.id != destination.repository.config.id else {
            throw UsageError(
                "--from-repo and --repo are one repository, or copies of one folder. Update such a copy with a "
                    + "file sync that deletes and replaces nothing, such as rsync -a --ignore-existing",
                command: .copy)
        }
        destination.removeStaleTemporaries()
        let list = try ofSource(source, context) { try source.repository.snapshotList() }
        let unreadable = list.unreadable
        context.complain(about: unreadable, which: "")
        var chosen = try ofSource(source, context) { try choose(list, invocation, context) }
        let complaint = SnapshotFilter(invocation).complaint(among: list.readable)
        // The filter applies to the source, so the suggested commands must name the source.
        if let complaint { context.complain(ofSource(source, context).completed(complaint)) }
        if invocation.operands.isEmpty { chosen = chosen.filter(\.isComplete) }
        var request = CopyRequest(host: Machine.hostName, program: "bakstore \(programVersion)")
        request.isDryRun = invocation.has(.dryRun)
        // A user who names a snapshot wants a whole copy, so the content of a copy that exists already is looked up,
        // too.
        request.looksUpCopies = !invocation.operands.isEmpty
        request.workerCount = Machine.workerCount
        let reporter = context.progress(for: invocation)
        let output = CopyOutput(invocation, context, reporter)
        defer { reporter.finish() }
        let copy = SnapshotCopy(
            request, from: source.repository, to: destination.repository, onEvent: output.note,
            stop: context.stop)
        let report: CopyReport
        do {
            report = try copy.run(chosen)
        } catch let damage as CopySourceError {
            report = try ofSource(source, context) { throw damage.error }
        }
        reporter.finish()
        try output.summarize(report, chosen.count)
        if report.failed > 0 || report.failedFiles > 0 || report.failedVouches > 0 || !unreadable.isEmpty {
            let words = SuggestedCommands.words(
                [(.repo, Array(source.location.description.utf8))], isASCII: context.terminal.isASCII)
            context.complain(
                "to see what is damaged in the source and how to repair it, run: "
                    + "bakstore check --read-data\(words)")
        }
        if report.wasInterrupted { return .interrupted }
        if report.failed > 0 || !unreadable.isEmpty { return .damage }
        try expectNoKnownDamage(destination.repository)
        let isWhole = report.failedFiles == 0 && report.failedVouches == 0 && complaint == nil
        return isWhole ? .done : .incomplete
    }

    /// Returns an object that completes suggested commands with the flags of the source repository.
    private static func ofSource(_ source: RepositoryAccess, _ context: CommandContext) -> SuggestedCommands {
        SuggestedCommands(
            [(.repo, Array(source.location.description.utf8))], isASCII: context.terminal.isASCII)
    }

    /// Runs `body`. If it finds damage, the suggested commands apply to the source.
    private static func ofSource<Value>(
        _ source: RepositoryAccess, _ context: CommandContext, _ body: () throws -> Value
    ) throws -> Value {
        do {
            return try body()
        } catch  where error.isDamage || error is LatestUnreadableError {
            let report = ErrorReport(error, ofSource(source, context))
            throw CommandFailure(code: report.code, message: report.message)
        }
    }

    /// Opens the repository to copy to. A missing repository is not made here: whoever makes it must decide whether it
    /// cuts and names content as the source does.
    private static func destination(
        of source: RepositoryAccess, _ invocation: Invocation, _ context: CommandContext
    ) throws -> RepositoryAccess {
        do {
            return try RepositoryAccess.open(invocation, context: context)
        } catch RepositoryError.noRepository(let location) {
            throw CommandFailure(
                code: .noRepository,
                message: "there is no repository at \(location) to copy to. Make one with: bakstore init"
                    + SuggestedCommands.words(
                        [
                            (.repo, Array(location.description.utf8)),
                            (.fromRepo, Array(source.location.description.utf8)),
                        ],
                        isASCII: context.terminal.isASCII) + " --copy-chunker-params")
        }
    }
}

/// Prints a copy's events and its summary. Called from any thread.
private final class CopyOutput: Reporter, @unchecked Sendable {
    private let failures = ReasonTally(toldEach: 20)

    @Sendable func note(_ event: CopyEvent) {
        switch event {
        case .begun(let snapshot, let number, let total):
            tellStep("snapshot \(number) of \(total): \(snapshot.id.short) of \(context.text(snapshot.time))")
        case .copied(let snapshot, let copy):
            guard !invocation.has(.quiet) || invocation.has(.json) else { return }
            let line =
                invocation.has(.dryRun)
                ? "\(name(snapshot)) would be copied" : "copied \(name(snapshot)) as \(copy.short)"
            say(.copied, line, snapshot, copy)
        case .skipped(let snapshot, let copy):
            guard invocation.verbosity >= 1 || invocation.has(.json) else { return }
            say(.skipped, "\(name(snapshot)) was copied before, as \(copy.short)", snapshot, copy)
        case .renewed(let old, let new): tellRenewed(old, new)
        case .replaced(let copy):
            guard !invocation.has(.quiet) || invocation.has(.json) else { return }
            say(
                Message(.replaced, "removed \(copy.id.short), an earlier copy that lacked files") {
                    json in
                    json.member("snapshot_id", copy.id.description)
                })
        case .failed(let snapshot, let reason):
            complain(
                "snapshot \(snapshot.id.short) was not copied: \(reason)", reason: reason, during: "copy",
                item: Array(snapshot.id.description.utf8))
        case .fileFailed(let snapshot, let path, let reason):
            let name = Formatting.name(path.absolute)
            complain(
                failures, "snapshot \(snapshot.id.short): skipped \(name): \(reason)", reason: reason,
                during: "copy",
                item: path.absolute)
        case .vouchUnreadable(let reason):
            complain("\(reason). It is no longer known which files it called safe to delete")
        case .vouchFailed(let copy, let reason):
            complain(
                "snapshot \(copy.id.short) has files that safe-to-delete called safe, but this is not recorded here "
                    + "(\(reason)). Do not delete the repository that it comes from",
                reason: reason, during: "copy", item: Array(copy.id.description.utf8))
        case .progress(let bytes):
            reporter.update {
                var progress = Progress()
                progress.bytes = bytes
                return progress
            }
        }
    }

    private func tellRenewed(_ old: CommitRecord, _ new: CommitRecord) {
        guard !invocation.has(.quiet) || invocation.has(.json) else { return }
        let tags = new.tags.filter { !old.tags.contains($0) }
        var gains: [String] = []
        if !tags.isEmpty { gains.append("the tags [\(tags.joined(separator: ", "))]") }
        if new.parent != old.parent { gains.append("its place in the order") }
        let verb = invocation.has(.dryRun) ? "would get" : "got"
        let name = old.id == new.id ? "" : " and is now \(new.id.short)"
        let line = "\(old.id.short), copied before, \(verb) \(gains.joined(separator: " and "))\(name)"
        say(
            Message(.renewed, line) { json in
                json.member("old_snapshot_id", old.id.description)
                if old.id != new.id { json.member("new_snapshot_id", new.id.description) }
                json.array("tags") { for tag in new.tags { $0.element(tag) } }
            })
    }

    private func name(_ snapshot: CommitRecord) -> String {
        let paths = snapshot.paths.map { Formatting.name($0.absolute) }.joined(separator: ", ")
        let missing = snapshot.counters.failedItems
        let mark = missing > 0 ? ", \(Formatting.count(missing, "item", "items")) missing" : ""
        return "\(snapshot.id.short) (\(context.text(snapshot.time)), \(paths)\(mark))"
    }

    private func say(_ kind: Message.Kind, _ text: String, _ snapshot: CommitRecord, _ copy: ID128) {
        say(
            Message(kind, text) { json in
                json.member("snapshot_id", snapshot.id.description)
                json.member("copy_id", copy.description)
            })
    }

    func summarize(_ report: CopyReport, _ chosen: Int) throws {
        tellRest(failures, Self.more)
        if invocation.has(.json) {
            return try context.tell(.summary) { json in
                json.member("snapshots_chosen", chosen)
                json.member("snapshots_copied", report.copied)
                json.member("snapshots_skipped", report.skipped)
                json.member("snapshots_renewed", report.renewed)
                json.member("snapshots_failed", report.failed)
                json.member("files_failed", report.failedFiles)
                json.member("data_added", report.addedBytes)
                json.member("data_added_packed", report.addedStoredBytes)
                json.member("is_verbatim", report.isVerbatim)
                json.member("dry_run", invocation.has(.dryRun))
                json.member("total_duration", reporter.secondsElapsed)
            }
        }
        if invocation.has(.quiet) { return }
        let isDry = invocation.has(.dryRun)
        var line = Formatting.count(UInt64(report.copied), "snapshot", "snapshots")
        line += isDry ? " would be copied" : " copied"
        if report.skipped > 0 { line += ", \(Formatting.count(UInt64(report.skipped))) copied before" }
        if report.renewed > 0 {
            let verb = isDry ? "would be brought" : "brought"
            line += " (\(Formatting.count(UInt64(report.renewed))) of them \(verb) up to date)"
        }
        if report.failed > 0 { line += ", \(Formatting.count(UInt64(report.failed))) FAILED" }
        line += "; \(Formatting.size(report.addedBytes)) new"
        if !isDry { line += ", \(Formatting.size(report.addedStoredBytes)) stored" }
        try context.print("\(line); \(Formatting.duration(seconds: reporter.secondsElapsed))")
        if report.failedFiles > 0 {
            let isMissing = Formatting.word(report.failedFiles, "is", "are")
            let files = Formatting.count(report.failedFiles, "item", "items")
            try context.print("\(files) could not be read and \(isMissing) not in the copies")
        }
        if !report.isVerbatim, report.copied > 0 {
            try context.print(
                "the repositories split and name content differently, so files were read and stored again (see init "
                    + "--copy-chunker-params)")
        }
        if report.wasInterrupted {
            try context.print("interrupted before the end. To continue, run the same command again")
        }
        if isDry { try context.print("dry run: nothing was stored") }
    }
}
