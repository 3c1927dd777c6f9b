// `bakstore backup`: stores files and folders as a new snapshot.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage

extension Commands {
    static func backup(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let exclusions = try exclusions(invocation)
        let tree = try source(invocation)
        let access = try RepositoryAccess.open(
            invocation, context: context, creatingDefault: !invocation.has(.dryRun))
        warnOfSharedDisk(invocation, access, tree.roots, context)
        let request = try request(invocation, tree.roots, access.repository, context)

        let reporter = context.progress(for: invocation)
        let output = BackupOutput(invocation, context, reporter)
        let repositoryFolder = Machine.realPath(access.location.path).map { Array($0.utf8.dropFirst()) }
        let backup = Backup(
            access.repository, of: tree, exclusions: exclusions, ownFolder: repositoryFolder,
            onEvent: output.note, onEntry: invocation.verbosity >= 1 ? output.noteEntry : nil,
            isCancelled: { Interruption.isRequested })
        let totals = countTotals(tree, exclusions, reporter, output)
        let board = ProgressBoard()
        let ticker = Ticker(reporter) { output.show(board.current) }
        defer {
            ticker.stop()
            reporter.finish()
            totals?.join()
        }
        let report = try backup.run(request, progress: board)
        ticker.stop()
        try output.summarize(report)
        if report.wasInterrupted { return .interrupted }
        return report.counters.failedItems > 0 ? .incomplete : .done
    }

    private static func exclusions(_ invocation: Invocation) throws -> BackupExclusions {
        var exclusions = BackupExclusions()
        for use in invocation.uses {
            switch use.name {
            case .exclude, .iexclude:
                exclusions.patterns.append(
                    try PathPattern(
                        use.value, origin: "--\(use.name.rawValue)", ignoringCase: use.name == .iexclude))
            case .excludeFile:
                exclusions.patterns += try PathPattern.list(
                    try readFile(use.value, "--exclude-file"),
                    origin: "--exclude-file \(Formatting.name(use.value))")
            case .excludeIfPresent: FolderMark(use.value).map { exclusions.marks.append($0) }
            default: break
            }
        }
        if invocation.has(.excludeCaches) { exclusions.marks.append(.cacheDirectory) }
        exclusions.largestFile = invocation.size(.excludeLargerThan)
        exclusions.oneFileSystem = invocation.has(.oneFileSystem)
        return exclusions
    }

    private static func readFile(_ path: [UInt8], _ flag: String) throws -> [UInt8] {
        do {
            return try SmallFile.read(path: String(decoding: path, as: UTF8.self), limit: 64 << 20)
        } catch {
            throw UsageError("\(flag) \(Formatting.name(path)): \(error)", command: .backup)
        }
    }

    /// The tree to back up: operands, and the paths that files list.
    private static func source(_ invocation: Invocation) throws -> FileTree {
        var paths = invocation.operands
        for file in invocation.allBytes(.filesFrom) {
            paths += try readFile(file, "--files-from").split(separator: UInt8(ascii: "\n")).map {
                Array($0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0)
            }.filter { !$0.isEmpty && $0.first != UInt8(ascii: "#") }
        }
        for file in invocation.allBytes(.filesFromRaw) {
            paths += try readFile(file, "--files-from-raw").split(separator: 0).map(Array.init)
        }
        guard !paths.isEmpty else {
            throw UsageError("backup needs at least one PATH", command: .backup)
        }
        return try FileTree(roots: paths)
    }

    private static func request(
        _ invocation: Invocation, _ roots: [[UInt8]], _ repository: Repository, _ context: CommandContext
    ) throws -> BackupRequest {
        let host = invocation.text(.host) ?? Machine.hostName
        var request = BackupRequest(
            paths: roots, host: host, device: invocation.text(.device) ?? context.environment.device ?? host,
            user: Machine.userName, program: "bakstore \(programVersion)")
        request.tags = invocation.tags
        request.time = invocation.time?.timestamp(localOffset: context.localOffset)
        if let name = invocation.text(.parent) {
            request.parent = .snapshot(try repository.findSnapshot(name).id)
        } else if invocation.has(.force) {
            request.parent = .none
        }
        request.ignoresInode = invocation.has(.ignoreInode)
        request.ignoresCtime = invocation.has(.ignoreCtime) || invocation.has(.ignoreInode)
        request.skipsIfUnchanged = invocation.has(.skipIfUnchanged)
        request.isDryRun = invocation.has(.dryRun)
        request.compression = invocation.compression
        request.workerCount = invocation.count(.readConcurrency) ?? max(2, Machine.processorCount)
        return request
    }

    /// A backup beside its originals survives a slip of the hand, but not the loss of the disk.
    private static func warnOfSharedDisk(
        _ invocation: Invocation, _ access: RepositoryAccess, _ roots: [[UInt8]], _ context: CommandContext
    ) {
        guard !invocation.has(.quiet), !invocation.has(.json) else { return }
        let shared = roots.contains { root in
            Machine.areOnOneDevice(access.location.path, "/" + String(decoding: root, as: UTF8.self)) == true
        }
        if shared {
            context.remark(
                "note: the repository \(access.location.path) is on the same disk as the files; keep a copy elsewhere"
            )
        }
    }

    /// Walks the source a second time, where someone watches, to know how much there is.
    private static func countTotals(
        _ tree: FileTree, _ exclusions: BackupExclusions, _ reporter: ProgressReporter, _ output: BackupOutput
    ) -> Thread? {
        guard reporter.isShown else { return nil }
        return Thread {
            let filter = SourceFilter(exclusions, roots: tree.roots, tree: tree)
            try? tree.walk { event in
                if reporter.isFinished || Interruption.isRequested { return .stop }
                guard case .entry(let path, let stat) = event else { return .proceed }
                switch filter.decide(path, stat) {
                case .exclude: return .skipChildren
                case .includeWithoutContents: return .skipChildren
                case .include:
                    output.noteTotal(stat)
                    return .proceed
                }
            }
            output.finishTotals()
        }
    }
}
