// `bakstore safe-to-delete`: says which files may be deleted. A file is safe only if its stored content was read back
// and verified, and if all known rules keep a snapshot that has it. The command deletes nothing.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage

extension CommandSpec {
    static let safeToDelete = CommandSpec(
        name: .safeToDelete, summary: "show which files are backed up and can be deleted",
        operand: Operand("PATH...", .file, 1...Int.max),
        flags: Flags.joined(Flags.rules, [.keepID, .skipDamaged, .groupBy, .sameDiskIsFine]),
        profileFlags: Flags.rulesOfProfiles,
        exitCodes: [
            (.done, "all files can be deleted"),
            (.incomplete, "some files must be kept; they are listed"),
        ],
        notes: """
            safe-to-delete reads each file, looks for its content in the complete snapshots, reads it back and verifies
            it. A file is safe only if a snapshot that has it stays by the rules given here and by those of every
            profile of this repository. Files that are not safe are listed, with the date until which the rules keep
            them. The exit code is 0 only if all files are safe. Nothing is deleted.
            """,
        examples: [
            (
                "bakstore safe-to-delete /media/phone/DCIM",
                "shows whether all the phone's photos are backed up"
            )
        ],
        complaint: \.pathComplaint, run: Commands.safeToDelete)
}

extension AnyFlag {
    static let sameDiskIsFine = Flag<Bool>(
        "same-disk-is-fine",
        help: "count files as safe even if the repository is on the same disk")
}

extension Commands {
    static func safeToDelete(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let source = try BackupSource(invocation, context)
        let access = try RepositoryAccess.open(invocation, context: context)
        let rules = try KnownRules(invocation, access, context)
        if let complaint = rules.complaint {
            context.complain("the profiles cannot be read, so their rules are unknown: \(complaint)")
        }
        context.complain(about: rules.unreadable)
        let reporter = context.progress(for: invocation)
        let output = DeletionOutput(invocation, context, reporter)
        let ticker = Ticker(reporter, output.show)
        defer {
            ticker.stop()
            reporter.finish()
        }
        let report = try DeletionCheck(
            access.repository, of: source.tree, roots: source.roots,
            terms: terms(invocation, access, rules, context), onVerdict: output.note, onRead: output.count,
            stop: context.stop
        ).run()
        ticker.stop()
        try output.summarize(report, rules)
        if report.wasInterrupted { return .interrupted }
        return report.isAllSafe && rules.complaint == nil ? .done : .incomplete
    }

    private static func terms(
        _ invocation: Invocation, _ access: RepositoryAccess, _ rules: KnownRules, _ context: CommandContext
    ) -> DeletionTerms {
        var terms = DeletionTerms()
        terms.origin = RecordOrigin(time: context.clock.now(), host: Machine.hostName, program: programName)
        terms.staying = rules.staying
        let place = Array(access.location.description.utf8)
        if Disks().isInMemory(place) {
            context.complain(
                "the repository is in this machine's memory and is lost when it is switched off. Copy it to a disk "
                    + "before you delete anything")
        }
        terms.ownFolder = access.ownFolder
        if invocation.has(.sameDiskIsFine) { return terms }
        terms.isOnRepositoryDisk = { path in
            switch Disks().relation(of: place, to: path.absolute) {
            case .same: true
            case .different: false
            case .unknown: nil
            }
        }
        return terms
    }
}

/// Prints the verdicts and the summary.
private final class DeletionOutput: Reporter, @unchecked Sendable {
    private let monitor = Monitor()
    private var readBytes: UInt64 = 0
    /// Files that must be kept, grouped by reason, with the first few paths of each group.
    private var kept: [(reason: String, count: UInt64, paths: [[UInt8]])] = []
    /// Without `-v`, if more files than this have the same reason, they are only counted.
    private static let namedFiles = 10

    @Sendable func count(_ bytes: UInt64) { monitor.locked { readBytes.add(bytes) } }

    @Sendable func show() {
        reporter.update {
            var progress = Progress()
            progress.step = "reading files, then their stored copies"
            progress.bytes = monitor.locked { readBytes }
            return progress
        }
    }

    /// Notes a verdict. Without `-v`, files with the same reason are reported together at the end.
    func note(_ verdict: DeletionVerdict) {
        let reason = verdict.reasons.map(text).joined(separator: "; ")
        if invocation.verbosity >= 1 || invocation.has(.json) { return say(verdict, reason) }
        if verdict.isSafe { return }
        let place = kept.firstIndex { $0.reason == reason } ?? kept.count
        if place == kept.count { kept.append((reason, 0, [])) }
        kept[place].count += 1
        if kept[place].paths.count <= Self.namedFiles { kept[place].paths.append(verdict.path) }
    }

    private func say(_ verdict: DeletionVerdict, _ reason: String) {
        let path = Formatting.name(verdict.path.absolute)
        let text =
            verdict.isSafe
            ? "safe  \(path): in snapshot \(verdict.snapshot?.short ?? ""), which stays\(why(verdict.staying))"
            : "keep  \(path): \(reason)"
        say(
            Message(.file, text) { [context] json in
                json.member("item", bytes: verdict.path.absolute)
                json.member("is_safe", verdict.isSafe)
                if let snapshot = verdict.snapshot { json.member("snapshot_id", snapshot.description) }
                if case .until(let time, _) = verdict.staying {
                    json.member(
                        "kept_until", CivilTime.rfc3339(time, offsetSeconds: context.localOffset(time)))
                }
                if !verdict.isSafe { json.member("reason", reason) }
            })
    }

    private func why(_ staying: Staying?) -> String {
        guard case .forGood(let reason) = staying else { return "" }
        return switch reason {
        case .noRules: " because no rule removes it"
        case .tagged(let tags):
            tags.isEmpty ? " because it has no tag" : " by its tag \(tags.joined(separator: ","))"
        case .named: " by its id"
        case .archive: " as an archive, because every later archive has its files, too"
        case .unlimited(let period): " by the rule --keep-\(period.rawValue) unlimited"
        }
    }

    private func text(_ reason: DeletionReason) -> String {
        switch reason {
        case .unreadable(let error): error
        case .changed: "it changed during the check. Back it up again"
        case .notStored: "no complete snapshot has its content"
        case .inDoubt(let snapshot):
            "only snapshot \(snapshot.short) has its content, but does not count, because most files were missing when it "
                + "was made. Run the backup again, with --allow-empty if the files are meant to be gone"
        case .otherContent(let snapshot):
            "snapshot \(snapshot.short) has other content in its place, which must have been made on purpose. Keep the file, "
                + "and back it up to a repository made with: bakstore init --id sha256"
        case .damaged(let snapshot, let fault):
            "its copy in snapshot \(snapshot.short) is damaged: \(fault)"
        case .notForGood(let staying):
            "\(until(staying)). To keep it, back it up with --archive"
        case .sameDisk:
            "the repository is on the same disk and is lost with it. If that is fine, add --same-disk-is-fine"
        case .ofRepository: "it is a part of the repository itself"
        case .notRemembered(let failure):
            "the repository has it, but could not record that it is safe, so prune would remove it without asking "
                + "(\(failure)). \(remedy(failure)), and run the command again"
        }
    }

    private func remedy(_ failure: StoreError) -> String {
        failure.kind == .full
            ? "Make room on the repository's disk"
            : "Make the repository writable, for example by mounting its disk again or as another user"
    }

    private func until(_ staying: Staying) -> String {
        switch staying {
        case .forGood: "kept"
        case .ruledOut: "the rules remove all snapshots that have it at the next prune"
        case .until(_, 0?): "a snapshot has it, but after the next backup the rules remove that snapshot"
        case .until(let time, let backups?):
            "a snapshot has it, but after \(Formatting.count(UInt64(backups), "further backup", "further backups")), "
                + "about \(date(time)), the rules remove that snapshot"
        case .until(let time, nil): "a snapshot has it, but on \(date(time)) the rules remove that snapshot"
        }
    }

    private func date(_ time: Timestamp) -> String {
        String(CivilTime(time, offsetSeconds: context.localOffset(time)).text.prefix(10))
    }

    // MARK: At the end

    func summarize(_ report: DeletionReport, _ rules: KnownRules) throws {
        reporter.finish()
        for (reason, count, paths) in kept {
            if count <= UInt64(Self.namedFiles) {
                for path in paths {
                    try context.print(Formatting.line("keep  \(Formatting.name(path.absolute)): \(reason)"))
                }
            } else {
                let files = Formatting.count(count, "file", "files")
                try context.print(
                    Formatting.line(
                        "keep  \(files), the first \(Formatting.name(paths[0].absolute)) (-v names each): \(reason)"
                    ))
            }
        }
        if report.hasUnknownDisk {
            context.remark(
                "cannot find out whether the repository is on the same disk as the files. If it is, keep them"
            )
        }
        if invocation.has(.json) { return try summarizeJSON(report, rules) }
        if report.wasInterrupted {
            if invocation.has(.quiet) { return }
            return try context.print("interrupted. The other files were not checked")
        }
        for root in report.emptyRoots {
            context.complain(
                "there is no file in \(Formatting.name(root.absolute)), so nothing is known to be safe. "
                    + "Is it the right place, and is its disk connected?")
        }
        if !invocation.has(.quiet) { try summarizeText(report, rules) }
    }

    private func summarizeText(_ report: DeletionReport, _ rules: KnownRules) throws {
        let safe = Formatting.count(report.safeFiles, "file", "files")
        if report.safeFiles > 0 {
            try context.print(
                "\(safe), \(Formatting.size(report.safeBytes)), can be deleted: "
                    + Formatting.word(
                        report.safeFiles, "a complete snapshot that stays has it, and it was read back",
                        "complete snapshots that stay have them, and they were read back")
            )
            try context.print(
                rules.origins.isEmpty
                    ? "this holds as long as no snapshot is forgotten. There are no rules that would remove one"
                    : "this holds as long as the rules of \(rules.origins.joined(separator: ", ")) stay the same"
            )
        } else {
            try context.print("no file can be deleted")
        }
        if report.unsafeFiles > 0 {
            let kept = Formatting.count(report.unsafeFiles, "item", "items")
            try context.print("\(kept) must be kept; the reasons are above")
        }
        if report.otherItems > 0 {
            let others = Formatting.count(
                report.otherItems, "link or special file was", "links and special files were")
            try context.print("\(others) not checked")
        }
    }

    private func summarizeJSON(_ report: DeletionReport, _ rules: KnownRules) throws {
        try context.tell(.summary) { json in
            json.member("files_safe", report.safeFiles)
            json.member("bytes_safe", report.safeBytes)
            json.member("files_unsafe", report.unsafeFiles)
            json.member("files_kept_for_a_time", report.passingFiles)
            json.member("bytes_kept_for_a_time", report.passingBytes)
            json.member("items_without_content", report.otherItems)
            json.member("bytes_read", report.readBytes)
            json.member("paths_without_files", bytes: report.emptyRoots.map(\.absolute))
            json.array("rules_of") { for origin in rules.origins { $0.element(origin) } }
            json.member("is_disk_unknown", report.hasUnknownDisk)
            json.member("is_all_safe", report.isAllSafe && rules.complaint == nil)
        }
    }
}
