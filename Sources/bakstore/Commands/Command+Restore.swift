// `bakstore restore`: brings files back from a snapshot.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage

extension CommandSpec {
    static let restore = CommandSpec(
        name: .restore, aliases: ["extract"], summary: "restore files from a snapshot",
        operand: Operand("SNAPSHOT[:PATH]", .repository(.snapshot), 1...1),
        flags: [
            .target, .include, .iinclude, .exclude, .iexclude, .withGroup, .overwrite, .privileged,
            .ignoreFreeSpace, .withoutGone, .skipDamaged, .dryRun,
        ],
        onlyReads: true,
        exitCodes: [
            (.failed, "the path is not in the snapshot, or the target is not writable or too full"),
            (
                .incomplete,
                "some items could not be restored as they were, patterns match nothing, or the snapshot is in doubt"
            ),
            (.damage, "some items are damaged in the repository"),
        ],
        notes: """
            The files keep their whole path beneath the target: --target T makes T/home/me/Pictures/... With
            SNAPSHOT:PATH, the content of the folder PATH, or the file PATH, comes directly into T. Restore replaces files
            that are already in the target, unless --overwrite says otherwise. With --dry-run, it lists the files that it
            would restore and the files that it would keep, and writes nothing.
            """,
        examples: [
            (
                "bakstore restore latest --target ~/restored --include '*.jpg' -n",
                "shows which pictures would come back, without writing any"
            )
        ],
        run: Commands.restore)
}

extension AnyFlag {
    static let target = Flag<String>(
        needed: "target", .place("FOLDER"), short: "t", help: "restore to this folder (required)")
    static let include = Flag<[[UInt8]]>(
        "include", each: .pattern, help: "restore only items that match the pattern")
    static let iinclude = Flag<[[UInt8]]>(
        "iinclude", each: .pattern, help: "like --include, but ignoring case")
    static let withGroup = Flag<Bool>(
        "with-group", help: "also restore files that belong together: a live photo's film, sidecars")
    static let overwrite = Flag<RestoreRequest.Overwrite>(
        "overwrite",
        .choice(["always", "if-changed", "if-newer", "never"]) { RestoreRequest.Overwrite(rawValue: $0) },
        default: .always, help: "when to replace files that exist already (default: always)")
    static let privileged = Flag<Bool>(
        "privileged", help: "also restore set-id bits, capabilities, security attributes and device files")
    static let ignoreFreeSpace = Flag<Bool>(
        "ignore-free-space", help: "restore even if the target reports too little free space")
}

extension Commands {
    static func restore(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let subject = try SnapshotPath(invocation.operands[0], command: .restore)
        let filter = try restoreFilter(invocation, context)
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        var request = RestoreRequest(
            snapshot: try context.findSnapshot(subject.snapshot, in: repository, invocation),
            subpath: subject.path)
        request.leavesOutGone = invocation.has(.withoutGone)
        request.overwrite = invocation[.overwrite]
        // Unless the user says so, a partial file does not replace what is at the target.
        request.replacesWithParts = invocation.has(.overwrite) && invocation[.overwrite] == .always
        request.isPrivileged = invocation.has(.privileged)
        request.isDryRun = invocation.has(.dryRun)
        request.takesGroups = invocation.has(.withGroup)
        request.workerCount = Machine.workerCount
        let path = invocation[.target]
        try RepositoryAccess.expectNone(around: path)
        let index = try BlobIndex(repository) { context.complain("\($0)") }
        request.subpath = try subject.path(in: request.snapshot, repository, index)
        let selection = RestoreSelection(request, filter, repository: repository, index: index)
        let miss = filter.isEmpty && request.subpath.isEmpty ? nil : try selection.unmatched()
        if let miss {
            let said = try explain(miss, selection, invocation)
            // `ls` and `cat` also fail if the path that was named is not in the snapshot.
            if miss.path != nil, !miss.isLeftOut { throw CommandFailure(code: .failed, message: said) }
            context.complain(said)
            // If there is nothing to restore, the target's folder is not made either.
            if miss.isEverything { return .incomplete }
        }
        let isInDoubt = try isInDoubt(request, in: repository)
        let isThere = Machine.isFolder(path) != nil
        if !request.isDryRun, !invocation.has(.ignoreFreeSpace) {
            try expectRoom(selection, path, isThere ? try openTarget(path) : nil)
        }
        // A dry run makes nothing, not even the target's folder.
        let target = request.isDryRun && !isThere ? nil : try openTarget(path)

        let reporter = context.progress(for: invocation)
        let output = RestoreOutput(invocation, context, reporter, request.snapshot, path)
        let restore = Restore(
            repository, index: index, to: target, filter: filter, onEvent: output.note,
            stop: context.stop)
        let counters = RestoreCounters()
        let ticker = Ticker(reporter) { output.show(counters.report) }
        defer {
            ticker.stop()
            reporter.finish()
        }
        let report: RestoreReport
        do {
            report = try restore.run(request, progress: counters)
        } catch let error as TargetError where error.isFatal {
            ticker.stop()
            output.tellRest()
            throw CommandFailure(code: .failed, message: ended(error, counters.report))
        }
        ticker.stop()
        try output.summarize(report)
        if report.wasInterrupted { return .interrupted }
        if report.damaged > 0 { return .damage }
        return report.failed > 0 || report.incomplete > 0 || report.notes > 0 || miss != nil || isInDoubt
            ? .incomplete : .done
    }

    /// True if the restore includes a whole path and may lack most of its files. False for an archive, because an
    /// archive keeps the files that were missing.
    private static func isInDoubt(_ request: RestoreRequest, in repository: Repository) throws -> Bool {
        let snapshot = request.snapshot
        let isDoubted = snapshot.doubtfulPaths.contains {
            PathOrder.isAtOrBeneath(snapshot.paths[$0], request.subpath)
        }
        guard isDoubted, !snapshot.isArchive else { return false }
        return SnapshotDoubts(among: try repository.snapshots().readable).standing.contains(snapshot.id)
    }

    /// Says which part of the request is not in the snapshot, and offers paths that the user may have meant.
    private static func explain(
        _ miss: RestoreMiss, _ selection: RestoreSelection, _ invocation: Invocation
    ) throws -> String {
        let snapshot = "snapshot \(selection.snapshot.id.short)"
        var line: String
        let patterns = miss.patterns.map { "'\(Formatting.name($0))'" }.joined(separator: ", ")
        if miss.isLeftOut {
            let what = miss.path.map { Formatting.name($0.absolute) } ?? "what matches \(patterns)"
            let flags = [AnyFlag.exclude, .iexclude, .withoutGone].filter { flag in
                invocation.has(flag) && (flag == .withoutGone || miss.path == nil)
            }
            let names = flags.map(\.spelling).joined(separator: " or ")
            line = "\(what) is in \(snapshot), but left out by \(names)"
            return miss.isEverything ? line + ". Nothing was restored" : line
        }
        if let path = miss.path {
            line = "\(Formatting.name(path.absolute)) is not in \(snapshot)"
        } else if miss.patterns.isEmpty {
            line = "no file in \(snapshot) matches the patterns"
        } else {
            line = "no file in \(snapshot) matches \(patterns)"
        }
        if miss.isEverything { line += ". Nothing was restored" }
        let near = try selection.nearest(to: miss)
        // A suggested pattern is escaped, so that it matches only the path that it shows.
        let show = miss.path == nil ? PatternReader.literal : { $0 }
        if let question = Suggestion.question(near, as: show) { return line + question }
        return line + ". List the files with: bakstore ls -R \(selection.snapshot.id.short)"
    }

    /// Throws if the target reports less free space than the restore needs.
    private static func expectRoom(
        _ selection: RestoreSelection, _ path: String, _ target: FolderTarget?
    ) throws {
        guard let free = FolderTarget.freeBytes(near: path),
            let missing = try selection.missingRoom(of: free, over: target)
        else { return }
        throw CommandFailure(
            code: .failed,
            message:
                "\(path) has \(Formatting.size(free)) free and needs \(Formatting.size(missing)) more. "
                + "Nothing was restored. Make room, choose fewer files with --include, or try anyway with "
                + "--ignore-free-space")
    }

    /// Says what a failure of the target means for the user, and what has been restored before it.
    private static func ended(_ error: TargetError, _ report: RestoreReport) -> String {
        let files = report.files + report.kept
        let missing = report.wantedFiles - min(report.wantedFiles, files)
        let bytes = report.wantedBytes - min(report.wantedBytes, report.bytes &+ report.keptBytes)
        let advice =
            switch error.kind {
            case .full: "Make room there, then run"
            case .outOfFiles: "Run"
            default: "Check the target, then run"
            }
        return "\(error.description). \(Formatting.count(report.files)) of "
            + "\(Formatting.count(report.wantedFiles, "file", "files")) (\(Formatting.size(report.bytes))) "
            + (report.kept > 0 ? "and \(Formatting.count(report.kept)) kept as they were " : "")
            + (report.isDurable
                ? "\(Formatting.word(files, "is", "are")) complete there"
                : "\(Formatting.word(files, "was", "were")) written, but it is not certain that the disk keeps them")
            + (missing > 0
                ? ", \(Formatting.count(missing)) (\(Formatting.size(bytes))) "
                    + "\(Formatting.word(missing, "is", "are")) missing" : "")
            + ". \(advice) the same command with --overwrite \(report.isDurable ? "if-changed" : "always")"
    }

    private static func openTarget(_ path: String) throws -> FolderTarget {
        do {
            return try FolderTarget(path: path, isForbidden: RepositoryAccess.isRepository)
        } catch {
            let advice =
                error.kind == .full ? "Make room there" : "Name a writable folder with --target"
            throw CommandFailure(code: .failed, message: "\(error). \(advice)")
        }
    }

    private static func restoreFilter(
        _ invocation: Invocation, _ context: CommandContext
    ) throws -> RestoreFilter {
        // A pattern may name a folder above the paths that were backed up. So the root is everything, and no pattern is
        // reported as outside of it.
        let reader = PatternReader(
            home: context.environment.home, folder: nil, roots: [[]], remark: { context.remark($0) })
        func patterns(_ exact: AnyFlag, _ folded: AnyFlag) throws -> [PathPattern] {
            try invocation.uses.filter { $0.flag == exact || $0.flag == folded }.map { use in
                try reader.read(use.value, origin: use.flag.spelling, ignoringCase: use.flag == folded)
            }
        }
        return RestoreFilter(
            includes: try patterns(.include, .iinclude), excludes: try patterns(.exclude, .iexclude))
    }
}

/// Prints a restore's events and its summary. Called from the restore's threads.
private final class RestoreOutput: Reporter, @unchecked Sendable {
    private let snapshot: CommitRecord
    private let target: String
    private let failures = ReasonTally(toldEach: 20)
    private let notes = ReasonTally(toldEach: 0)

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
        case .replaced(let path, let replaced):
            guard invocation.verbosity >= (invocation.has(.dryRun) ? 0 : 1) else { return }
            say(
                "replaced", path,
                (invocation.has(.dryRun) ? "would replace" : "replaced")
                    + (replaced == .newer ? " a newer one" : " a different one"),
                reason: replaced == .newer ? "newer" : "different")
        case .kept(let path, let reason):
            guard invocation.verbosity >= (invocation.has(.dryRun) ? 0 : 1) else { return }
            say("kept", path, "kept: \(reason)", reason: reason)
        case .failed(let path, let reason): complain(failures, path, "not restored: \(reason)")
        case .incomplete(let path, let reason): complain(failures, path, "restored, but \(reason)")
        case .note(let path, let reason, let isExpected):
            // An ordinary user cannot give files to other users. The user knows this, so no message is needed.
            if isExpected, invocation.verbosity < 1 { return }
            complain(notes, path, "restored, but \(reason)")
        }
    }

    private func say(
        _ action: String, _ path: [UInt8], _ text: String, size: UInt64? = nil, reason: String? = nil
    ) {
        say(
            .action(action, path.absolute, "\(text)  \(Formatting.name(path.absolute))") { json in
                if let size { json.member("size", size) }
                if let reason { json.member("reason", reason) }
            })
    }

    private func complain(_ tally: ReasonTally, _ path: [UInt8], _ text: String) {
        complain(
            tally, "\(Formatting.name(path.absolute)): \(text)", reason: text, during: "restore",
            item: path.absolute)
    }

    /// Prints how many items were not reported by themselves.
    func tellRest() {
        reporter.finish()
        tellRest(failures, Self.more)
        tellRest(notes) { rest in
            let item = Formatting.name(rest.example)
            if rest.count == 1 { return "\(item): \(rest.reason)" }
            return
                "\(Formatting.count(rest.count, "item", "items")) \(rest.reason). The first is \(item) (-v names each)"
        }
    }

    func show(_ report: RestoreReport) {
        reporter.update {
            var progress = Progress()
            progress.files = report.files
            progress.bytes = report.processedBytes
            progress.totalFiles = snapshot.counters.files
            progress.totalBytes = snapshot.counters.bytes
            // The totals of the snapshot are those of the restore only if the restore is of the whole snapshot.
            progress.totalsAreFinal =
                !invocation.operands[0].contains(UInt8(ascii: ":")) && !invocation.has(.include)
                && !invocation.has(.iinclude) && !invocation.has(.exclude) && !invocation.has(.iexclude)
            progress.errors = report.failed
            return progress
        }
    }

    func summarize(_ report: RestoreReport) throws {
        tellRest()
        defer { if report.damaged > 0 { complain("the repository is damaged" + ErrorReport.damageAdvice) } }
        let seconds = reporter.secondsElapsed
        if invocation.has(.json) {
            return try context.tell(.summary) { json in
                json.member("files_restored", report.files)
                json.member("dirs_restored", report.folders)
                json.member("others_restored", report.others)
                json.member("bytes_restored", report.bytes)
                json.member("items_replaced", report.replaced)
                json.member("newer_items_replaced", report.replacedNewer)
                json.member("files_skipped", report.kept)
                json.member("links_copied", report.copiedLinks)
                json.member("items_failed", report.failed)
                json.member("items_damaged", report.damaged)
                json.member("items_incomplete", report.incomplete)
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
        if report.replaced > 0 { try context.print(replaced(report)) }
        if report.kept > 0 {
            try context.print("\(Formatting.count(report.kept, "item", "items")) kept as they were")
        }
        if report.copiedLinks > 0 {
            let copies = Formatting.count(
                report.copiedLinks, "hard link was restored as a copy",
                "hard links were restored as copies")
            try context.print("\(copies), because the target does not support hard links")
        }
        if report.failed > 0 {
            let items = Formatting.count(report.failed, "item", "items")
            try context.print("\(items) could not be restored; the reasons are above")
        }
        if report.incomplete > 0 {
            let items = Formatting.count(report.incomplete, "item is", "items are")
            try context.print(
                "\(items) incomplete in this snapshot (see above). An earlier snapshot may have more")
        }
        if report.wasInterrupted { try context.print(interrupted) }
    }

    /// Says which items the restore has replaced that differed from the snapshot.
    private func replaced(_ report: RestoreReport) -> String {
        let different = report.replaced - report.replacedNewer
        let kinds = [
            (report.replacedNewer, "newer than in the snapshot"), (different, "older or different"),
        ].filter { $0.0 > 0 }.map { "\(Formatting.count($0.0)) \($0.1)" }
        let isDry = invocation.has(.dryRun)
        var line = isDry ? "would replace " : "replaced "
        line += "\(Formatting.count(report.replaced, "item", "items")) in the target: "
        line += kinds.joined(separator: ", ")
        if !isDry, invocation.verbosity < 1 { line += " (-v names each)" }
        if report.replacedNewer > 0 { line += ". To keep newer ones, add --overwrite if-newer" }
        return line
    }

    /// Says what an interrupted restore leaves, and how to continue it.
    private var interrupted: String {
        if invocation.has(.dryRun) { return "interrupted before the end" }
        let isAlways = invocation[.overwrite] == .always
        return "interrupted. The files restored so far are complete. To continue, run the same command"
            + (isAlways ? " with --overwrite if-changed" : " again")
    }
}
