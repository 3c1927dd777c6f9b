// `bakstore archive remove`: takes gone files out of an archive.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository

extension CommandSpec {
    static let archive = CommandSpec(
        name: .archive, summary: "remove gone files from an archive",
        subcommands: [
            Subcommand(
                name: "remove",
                summary: "make a new snapshot without the named items; the archive continues from it",
                operand: Operand("SNAPSHOT:PATH...", .repository(.snapshot), 0...Int.max))
        ],
        flags: [
            .force.described(
                "also remove items that the source still has; the next backup stores them again"), .yes,
            .skipDamaged, .dryRun,
        ],
        exitCodes: [(.failed, "you did not agree, or there was nothing to remove")],
        notes: """
            backup --archive keeps files that are gone from the source. archive remove makes a new snapshot without the named
            items, and the next backup continues from it. Earlier snapshots still have the items until you forget them.
            """,
        examples: [
            (
                "bakstore archive remove latest:home/me/Pictures/blurred.jpg",
                "drops one photo that was deleted long ago"
            )
        ],
        run: Commands.archive)
}

extension Commands {
    static func archive(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        guard invocation.operands[0].elementsEqual("remove".utf8), invocation.operands.count > 1 else {
            throw UsageError("archive takes: remove SNAPSHOT:PATH...", command: .archive)
        }
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let operands = try invocation.operands.dropFirst().map { try SnapshotPath($0, command: .archive) }
        var agreed: ArchiveRemovalReport?
        // If another program forgets the snapshot meanwhile, a prune may delete its content. Then the removal starts
        // over with the snapshots that exist by then.
        return try repository.undisturbed {
            try remove(operands, repository, invocation, context, agreed: &agreed)
        }
    }

    /// Removes what the operands name. Asks first, unless the user has agreed to the same removal before.
    private static func remove(
        _ operands: [SnapshotPath], _ repository: Repository, _ invocation: Invocation,
        _ context: CommandContext, agreed: inout ArchiveRemovalReport?
    ) throws -> ExitCode {
        let (request, branches, namesEarlier) = try removal(operands, repository, invocation, context)
        let (plan, removals) = try plan(request, branches, repository)
        guard !removals.isEmpty else {
            throw CommandFailure(
                code: .failed,
                message: "nothing was removed, because the source still has all of it. "
                    + "Exclude it from the backup first, then add --force")
        }
        if namesEarlier {
            context.remark(
                "the removal is from \(request.snapshot.id.short), the latest snapshot of this archive. Earlier snapshots keep the items"
            )
        }
        if invocation.has(.dryRun) {
            try show(plan, request.snapshot, invocation, context)
            return .done
        }
        if agreed.map(text) != text(plan) { try expectConsent(plan, invocation, context) }
        agreed = plan
        var report = ArchiveRemovalReport()
        for removal in removals { report = try ArchiveRemoval(removal, from: repository).run() }
        if removals.count > 1 {
            context.remark(
                "the archive has \(Formatting.count(UInt64(branches.count), "branch", "branches")) that no backup has joined "
                    + "yet (\(branches.map(\.id.short).joined(separator: ", "))). The items are removed from each branch that has them"
            )
        }
        try show(report, request.snapshot, invocation, context)
        return .done
    }

    /// Plans what to remove from the latest snapshot of the archive and from each branch. If a branch kept the files,
    /// the next backup would bring them back. Only the latest snapshot shows what the source still has, so branches
    /// lose files that they list as present, too. The latest snapshot comes last, so that it stays the latest.
    private static func plan(
        _ request: ArchiveRemovalRequest, _ branches: [CommitRecord], _ repository: Repository
    ) throws -> (plan: ArchiveRemovalReport, removals: [ArchiveRemovalRequest]) {
        var plan = ArchiveRemovalReport()
        var unknown = Set(request.paths)
        var removals: [ArchiveRemovalRequest] = []
        for snapshot in branches + [request.snapshot] {
            var removal = request
            removal.snapshot = snapshot
            removal.takesPresent = request.takesPresent || snapshot.id != request.snapshot.id
            removal.isDryRun = true
            let found = try ArchiveRemoval(removal, from: repository).run()
            unknown.formIntersection(found.unknownPaths)
            removal.isDryRun = false
            removal.paths.removeAll(where: found.unknownPaths.contains)
            if !found.isEmpty { removals.append(removal) }
            if !found.isEmpty || plan.isEmpty { plan = found }
        }
        if let unknown = request.paths.first(where: unknown.contains) {
            throw SnapshotPathError.notInSnapshot(unknown, request.snapshot.id).explained(
                request.snapshot, repository, try BlobIndex(repository))
        }
        return (plan, removals)
    }

    /// Returns the request that the operands make. All operands must name one archive, and the request applies to its
    /// latest snapshot. `branches` are the archive's other snapshots whose entries no later snapshot has carried over
    /// in full. `namesEarlier` is true if an operand names an earlier snapshot.
    private static func removal(
        _ operands: [SnapshotPath], _ repository: Repository, _ invocation: Invocation,
        _ context: CommandContext
    ) throws -> (request: ArchiveRemovalRequest, branches: [CommitRecord], namesEarlier: Bool) {
        let list = try repository.settledSnapshotList()
        var latest: CommitRecord?
        var namesEarlier = false
        for operand in operands {
            guard !operand.path.isEmpty else {
                throw UsageError("name each item to remove as SNAPSHOT:PATH", command: .archive)
            }
            let named = try context.findSnapshot(operand.snapshot, in: list, invocation)
            let group = SnapshotGroup(of: named)
            let last = try list.latest(
                0, "the latest of its archive", skippingDamaged: invocation.has(.skipDamaged),
                where: { SnapshotGroup(of: $0) == group })
            guard last.isArchive else {
                throw CommandFailure(
                    code: .failed,
                    message: (named.isArchive
                        ? "the archive of snapshot \(named.id.short) has ended, so no backup continues it. "
                        : "snapshot \(named.id.short) is not part of an archive. ")
                        + "To remove a whole snapshot, run: bakstore forget \(named.id.short)")
            }
            guard latest == nil || latest?.id == last.id else {
                throw CommandFailure(
                    code: .failed,
                    message: "these snapshots belong to several archives. Name one archive at a time")
            }
            if last.id != named.id { namesEarlier = true }
            latest = last
        }
        guard let latest else { throw UsageError("name the items to remove", command: .archive) }
        let index = try BlobIndex(repository)
        var request = ArchiveRemovalRequest(
            snapshot: latest, paths: try operands.map { try $0.path(in: latest, repository, index) },
            host: Machine.hostName, program: programName)
        request.takesPresent = invocation.has(.force)
        let group = SnapshotGroup(of: latest)
        let heads = list.order.heads(among: list.readable.filter { SnapshotGroup(of: $0) == group })
        return (request, heads.filter { $0.id != latest.id }, namesEarlier)
    }

    private static func expectConsent(
        _ plan: ArchiveRemovalReport, _ invocation: Invocation, _ context: CommandContext
    ) throws {
        guard !invocation.has(.yes) else { return }
        let lost = Formatting.word(plan.files + plan.others, "it is", "they are")
        let loss =
            "this removes \(text(plan)) from the archive. "
            + "Once earlier snapshots are forgotten and pruned, \(lost) lost"
        guard !invocation.has(.json),
            let agrees = try context.agrees(to: "\(loss). Remove?")
        else {
            throw CommandFailure(code: .failed, message: "\(loss). To go ahead, add --yes")
        }
        guard agrees else {
            throw CommandFailure(code: .failed, message: "nothing was removed")
        }
    }

    private static func text(_ report: ArchiveRemovalReport) -> String {
        var parts: [String] = []
        if report.files > 0 {
            parts.append(
                "\(Formatting.count(report.files, "file", "files")) of \(Formatting.size(report.bytes))")
        }
        if report.others > 0 {
            parts.append(
                Formatting.count(report.others, "folder or special file", "folders and special files"))
        }
        return parts.joined(separator: " and ")
    }

    private static func show(
        _ report: ArchiveRemovalReport, _ old: CommitRecord, _ invocation: Invocation,
        _ context: CommandContext
    ) throws {
        if invocation.has(.json) {
            return try context.tell(.summary) { json in
                json.member("old_snapshot_id", old.id.description)
                if let made = report.snapshot { json.member("snapshot_id", made.id.description) }
                json.member("files_removed", report.files)
                json.member("bytes_removed", report.bytes)
                json.member("others_removed", report.others)
                json.member("files_kept_as_present", report.presentFiles)
                if invocation.has(.dryRun) { json.member("dry_run", true) }
            }
        }
        guard !invocation.has(.quiet) else { return }
        let verb = invocation.has(.dryRun) ? "would remove" : "removed"
        try context.print("\(verb) \(text(report))")
        if report.presentFiles > 0 {
            try context.print(
                Formatting.count(
                    report.presentFiles,
                    "file stays, because the source still has it. To remove it, too, add --force",
                    "files stay, because the source still has them. To remove them, too, add --force")
            )
        }
        if let made = report.snapshot {
            try context.print(
                "snapshot \(made.id.short) does not have \(Formatting.word(report.files + report.others, "it", "them")). The next backup continues from this snapshot"
            )
        }
    }
}
