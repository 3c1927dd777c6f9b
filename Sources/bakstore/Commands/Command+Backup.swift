// `bakstore backup`: stores files and folders as a new snapshot.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage

extension CommandSpec {
    static let backup = CommandSpec(
        name: .backup, aliases: ["create"], summary: "store files and folders as a new snapshot",
        operand: Operand("PATH...", .file, 0...Int.max),
        flags: Flags.joined(
            [.tag, .device, .host, .time], Flags.exclusions, Flags.lists,
            [
                .stdin, .stdinFilename, .parent, .skipDamaged, .force, .ignoreCtime, .ignoreInode,
                .skipIfUnchanged,
                .archive, .noArchive, .allowEmpty, .readConcurrency, .compression, .dryRun,
            ]),
        conflicts: [
            (.force, [.parent, .skipIfUnchanged]), (.archive, [.noArchive]),
            (.stdin, Flags.joined(Flags.lists, Flags.exclusions, [.skipIfUnchanged, .archive, .noArchive])),
        ],
        profileFlags: Flags.joined(
            [.device, .tag], Flags.exclusions,
            [
                .ignoreCtime, .ignoreInode, .skipIfUnchanged, .readConcurrency, .compression, .archive,
                .allowEmpty,
            ]),
        exitCodes: [
            (.failed, "nothing was stored: no PATH exists, or nothing could be read"),
            (
                .incomplete,
                "a snapshot was made, but some items could not be read, or most files of a PATH are gone"
            ),
            (.damage, "a snapshot was made, but some of its data is damaged in the repository"),
            (.interrupted, "interrupted; a partial snapshot keeps the data stored so far"),
        ],
        notes: """
            If the backup cannot read an item, it lists the item with the reason and ends with exit code 3. At the end it
            counts the items that patterns, sizes and .bakignore files left out. With -v it names them, and also the
            files that are gone since the last backup.
            """,
        examples: [
            (
                "bakstore backup ~/Pictures --exclude '*.tmp' --tag photos",
                "stores the folder Pictures, without *.tmp files"
            )
        ],
        complaint: { $0.sourceComplaint(to: "back up") }, run: Commands.backup)
}

extension AnyFlag {
    static let device = Flag<String?>(
        "device", .text("NAME", .repository(.device)), short: "d",
        help: "the phone or computer that the files belong to")
    static let host = Flag<String?>(
        "host", .text("NAME", .repository(.host)), help: "record this machine name")
    static let time = Flag<CivilTime?>("time", .time, help: "record this time instead of now")
    static let parent = Flag<String?>(
        "parent", .text("SNAPSHOT", .repository(.snapshot)), help: "compare with this snapshot")
    static let ignoreCtime = Flag<Bool>("ignore-ctime", help: "ignore the inode's change time")
    static let ignoreInode = Flag<Bool>(
        "ignore-inode", help: "ignore inode numbers and change times")
    static let skipIfUnchanged = Flag<Bool>(
        "skip-if-unchanged", help: "make no snapshot when nothing has changed")
    static let archive = Flag<Bool>(
        "archive", help: "keep files that are gone from the source; later backups continue the archive")
    static let noArchive = Flag<Bool>(
        "no-archive", help: "end the archive: store only the files that exist now")
    static let allowEmpty = Flag<Bool>(
        "allow-empty", help: "accept that a PATH has no files any more, or less than half of them")
}

extension Commands {
    static func backup(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let source = try BackupSource(invocation, context)
        let exclusions = try exclusions(invocation, source, context)
        let access = try RepositoryAccess.open(
            invocation, context: context, withoutDefault: invocation.has(.dryRun) ? .useNullStore : .create)
        warnOfPlace(access, source, context)
        // The list of snapshots is needed only for paths that are missing or lead through links. Most backups have none
        // and do not read the list.
        let known =
            source.missing.isEmpty && source.written.isEmpty
            ? [] : try access.repository.snapshots().readable
        let request = try request(invocation, source, access.repository, known, context)
        let isEndTold = noteEndedArchive(request, source, known, context)
        try expectWholeArchive(request, access.repository)
        if !request.isDryRun { access.removeStaleTemporaries() }

        let reporter = context.progress(for: invocation)
        let output = BackupOutput(invocation, context, reporter)
        let backup = Backup(
            access.repository, of: source.tree, exclusions: exclusions,
            ownFolder: source.isStream ? nil : access.ownFolder, onEvent: output.note,
            onEntry: invocation.verbosity >= 1 ? output.noteEntry : nil, stop: context.stop)
        let totals = source.countTotals(
            exclusions, reporter, context, note: output.totals.count, finish: output.totals.finish)
        let counters = ProgressCounters()
        let ticker = Ticker(reporter) { output.show(counters.current) }
        defer {
            ticker.stop()
            reporter.finish()
            totals?.join()
        }
        let report: BackupReport
        do {
            report = try backup.run(request, progress: counters)
        } catch let error as StoreError where error.kind == .full {
            throw FullDisk(error).inBackup(
                access.location.place, unread: output.unreadBytes(counters.current),
                checkpoint: output.lastCheckpointName,
                snapshots: try? access.repository.store.list(ObjectNames.snapshots).count)
        }
        if !request.isDryRun {
            access.repository.store.renewReserve()
            if let made = report.snapshot { access.repository.noteSeen(made) }
        }
        ticker.stop()
        // The user has been warned about patterns that can match nothing.
        let useless = report.unmatchedPatterns.filter { $0.objection(beneath: source.roots) == nil }
        try output.summarize(report, uselessPatterns: useless)
        if !isEndTold { noteOtherArchive(request, report, context) }
        if report.wasInterrupted { return .interrupted }
        if report.snapshot == nil, !report.wasUnchanged, !request.isDryRun {
            throw CommandFailure(code: .failed, message: "nothing could be read, so no snapshot was made")
        }
        if let first = report.damagedPacks.first {
            let packs = Formatting.count(UInt64(report.damagedPacks.count), "pack", "packs")
            throw CommandFailure(
                code: .damage,
                message: "this snapshot needs \(packs) that cannot be used, so not all of it can be restored "
                    + "(\(first.object): \(first.reason)). Run: bakstore check")
        }
        try expectNoKnownDamage(access.repository)
        return report.counters.failedItems > 0 || !report.doubts.shrunken.isEmpty ? .incomplete : .done
    }

    /// Throws if an earlier check on this machine found damage in packs that the index still names. The new snapshot
    /// may rely on those packs.
    static func expectNoKnownDamage(_ repository: Repository) throws {
        let damaged = try repository.packsFoundDamaged()
        guard let first = damaged.first else { return }
        let packs = Formatting.count(UInt64(damaged.count), "damaged pack", "damaged packs")
        throw CommandFailure(
            code: .damage,
            message:
                "an earlier check found \(packs) (\(ObjectNames.pack(first))\(damaged.count > 1 ? " first" : "")). The data in a "
                + "damaged pack still counts as stored, so some files may be impossible to restore. "
                + "Run `bakstore repair packs`, then run this command again"
        )
    }

    static func exclusions(
        _ invocation: Invocation, _ source: BackupSource, _ context: CommandContext
    ) throws -> BackupExclusions {
        var exclusions = BackupExclusions()
        let reader = PatternReader(
            home: context.environment.home, folder: Machine.realPath([UInt8(ascii: ".")]),
            roots: source.roots, remark: { context.remark($0) })
        for use in invocation.uses {
            switch use.flag {
            case .exclude, .iexclude:
                exclusions.patterns.append(
                    try reader.read(
                        use.value, origin: use.flag.spelling, ignoringCase: use.flag == .iexclude))
            case .excludeFile:
                exclusions.patterns += try reader.list(
                    try BackupSource.readFile(use.value, .excludeFile, context),
                    name: "--exclude-file \(Formatting.name(use.value))")
            default: break
            }
        }
        exclusions.marks += invocation[.excludeIfPresent]
        if invocation.has(.excludeCaches) { exclusions.marks.append(.cacheDirectory) }
        exclusions.largestFile = invocation[.excludeLargerThan]
        exclusions.oneFileSystem = invocation.has(.oneFileSystem)
        exclusions.honoursIgnoreFiles = !invocation.has(.noIgnoreFiles)
        exclusions.tellsUnmatchedLines = invocation.verbosity >= 1
        // Root backs up files of other users. So `.bakignore` files that belong to other users are reported.
        if Machine.isRoot { exclusions.trustedOwner = 0 }
        return exclusions
    }

    /// Returns the snapshot's paths. They include a missing path if earlier snapshots of the device have it. The new
    /// snapshot then has the same paths as those, so the backup compares it with them and notices the loss. A missing
    /// path that no snapshot has may be a typing error, so it is left out.
    private static func paths(
        _ source: BackupSource, of device: String, _ snapshots: [CommitRecord]
    ) -> [[UInt8]] {
        guard !source.missing.isEmpty else { return source.roots }
        let (found, named) = (Set(source.roots), Set(source.roots + source.missing))
        let known = snapshots.map { ($0.device, Set($0.paths)) }.filter {
            $0.0 == device && found.isSubset(of: $0.1) && named.isSuperset(of: $0.1)
        }
        let most = known.max { $0.1.count < $1.1.count }
        return most.map { $0.1.sorted { PathOrder.precedes($0, $1) } } ?? source.roots
    }

    private static func request(
        _ invocation: Invocation, _ source: BackupSource, _ repository: Repository,
        _ known: [CommitRecord], _ context: CommandContext
    ) throws -> BackupRequest {
        let host = invocation[.host] ?? Machine.hostName
        let device = invocation[.device] ?? context.environment.device ?? host
        var request = BackupRequest(
            paths: paths(source, of: device, known), host: host, device: device,
            user: Machine.userName, program: programName)
        request.tags = invocation.tags
        request.time = invocation[.time]?.timestamp(localOffset: context.localOffset)
        if let name = invocation[.parent] {
            request.parent = .snapshot(try context.findSnapshot(name, in: repository, invocation).id)
        } else if invocation.has(.force) {
            request.parent = .none
        }
        request.ignoresInode = invocation.has(.ignoreInode)
        request.ignoresCtime = invocation.has(.ignoreCtime) || invocation.has(.ignoreInode)
        request.skipsIfUnchanged = invocation.has(.skipIfUnchanged)
        request.archive =
            invocation.has(.archive)
            ? .yes : invocation.has(.noArchive) || invocation.has(.stdin) ? .no : .asBefore
        request.allowsEmpty = invocation.has(.allowEmpty)
        request.isDryRun = invocation.has(.dryRun)
        request.compression = invocation[.compression]
        request.workerCount = Machine.workerCount
        request.readConcurrency = invocation[.readConcurrency]
        return request
    }

    /// Throws if this machine has seen a snapshot of the archive that is gone now. Otherwise the backup would continue
    /// the archive without the files that only the lost snapshot has, and rules would remove the lost snapshot once it
    /// is back.
    private static func expectWholeArchive(_ request: BackupRequest, _ repository: Repository) throws {
        guard request.archive != .no, repository.isOlder, let older = try repository.olderState() else {
            return
        }
        let lost = older.lost.filter { $0.isOf(device: request.device, paths: request.paths) }
        guard let last = lost.last else { return }
        if request.archive == .asBefore, !lost.contains(where: \.isArchive) {
            let before = try repository.snapshots().readable.last {
                $0.isComplete && $0.device == request.device && Set($0.paths) == Set(request.paths)
            }
            guard before?.isArchive == true else { return }
        }
        throw CommandFailure(
            code: .damage,
            message:
                "snapshot \(last.id.short), which this machine has seen, is missing, and the archive would lose the files that "
                + "only this snapshot has. Put the newer copy of the repository back. To continue with the present one, "
                + "run `bakstore check --accept-older`. To back up without the archive, add --no-archive")
    }

    /// Warns if this backup does not continue the archive of a PATH, and returns true if it has warned. A PATH that has
    /// become a link, or now lies beneath one, counts as another path than before.
    private static func noteEndedArchive(
        _ request: BackupRequest, _ source: BackupSource, _ known: [CommitRecord],
        _ context: CommandContext
    ) -> Bool {
        guard request.archive == .asBefore, !source.written.isEmpty else { return false }
        let all = known.filter { $0.device == request.device && $0.isComplete }
        guard all.last(where: { Set($0.paths) == Set(request.paths) })?.isArchive != true else {
            return false
        }
        var isTold = false
        for path in source.written {
            guard let last = all.last(where: { $0.paths.contains(path) }), last.isArchive else { continue }
            context.complain(
                "\(Formatting.name(path.absolute)) leads to another folder now, so its archive (snapshot \(last.id.short)) does not "
                    + "continue here. Files that you delete from now on are not kept. Begin a new archive with "
                    + "--archive, or add --no-archive")
            isTold = true
        }
        return isTold
    }

    /// Warns if the paths of a first backup overlap with those of an archive. A backup continues an archive only if it
    /// has exactly the archive's paths, so this backup is not an archive. That may be a slip: the shell expanded a
    /// pattern, or the medium takes two spellings for one path.
    private static func noteOtherArchive(
        _ request: BackupRequest, _ report: BackupReport, _ context: CommandContext
    ) {
        guard !report.otherArchives.isEmpty else { return }
        func inode(_ path: [UInt8]) -> [UInt64]? {
            Machine.status(path.absolute).map { [$0.device, $0.inode] }
        }
        let inodes = Set(request.paths.compactMap(inode))
        let paths = request.paths.sorted { PathOrder.precedes($0, $1) }
        /// Returns a path of the archive that is one of the backup's paths, lies beneath one, or has one beneath it.
        func overlap(_ archive: CommitRecord) -> [UInt8]? {
            archive.paths.first { path in
                let next = PathOrder.firstIndex(of: paths.count, notBefore: path) { paths[$0] }
                return next < paths.count && PathOrder.isAtOrBeneath(paths[next], path)
                    || next > 0 && PathOrder.isAtOrBeneath(path, paths[next - 1])
                    || inode(path).map(inodes.contains) == true
            }
        }
        for archive in report.otherArchives {
            guard let path = overlap(archive) else { continue }
            let isOfDevice = archive.device == request.device
            let device = isOfDevice ? "" : " of device \(Formatting.line(archive.device))"
            context.complain(
                "this is the first backup of exactly these paths\(isOfDevice ? "" : " for this device"), and not an archive: the archive of "
                    + "\(Formatting.name(path.absolute)) (snapshot \(archive.id.short)\(device)) does not continue here. Files that "
                    + "you delete from now on are not kept. Name the same \(isOfDevice ? "paths" : "--device") as before, begin a new "
                    + "archive with --archive, or add --no-archive")
            return
        }
    }

    /// Warns before the first backup if the repository lies in memory or on the disk of the files. A backup on the disk
    /// of the originals helps after a slip of the hand, but not if the disk is lost. The warning is not repeated before
    /// later backups.
    private static func warnOfPlace(
        _ access: RepositoryAccess, _ source: BackupSource, _ context: CommandContext
    ) {
        let (repository, path) = (access.location.description, Array(access.location.description.utf8))
        // Most backups are not the first. For them, this listing of names is the only check.
        guard Machine.names(inFolder: "\(repository)/\(ObjectNames.snapshots)")?.isEmpty ?? true else {
            return
        }
        if Disks().isInMemory(path) {
            context.remark(
                "the repository \(repository) is in this machine's memory and is lost when the machine is switched off"
            )
        } else if !source.isStream,
            source.roots.contains(where: { Machine.areOnOneDevice(path, $0.absolute) == true })
        {
            context.remark(
                "the repository \(repository) is on the same disk as the files. Keep a copy on another disk, too"
            )
        }
    }
}
