// `bakstore benchmark`: reads a library and says how large a repository of it would be. It stores nothing: the only
// file that it ever writes is the report that --html names.

import BakAnalysis
import BakCore
import BakEngine
import BakPosix
import BakRepository

extension CommandSpec {
    static let benchmark = CommandSpec(
        name: .benchmark, summary: "measure how much space a backup would take",
        operand: Operand("PATH...", .file, 0...Int.max),
        flags: Flags.joined(
            Flags.exclusions, Flags.lists, [.readConcurrency, .compression, .since, .skipDamaged, .html]),
        onlyReads: true, exitCodes: [(.incomplete, "some items could not be read")],
        notes: """
            benchmark reads every file once and stores nothing. It needs no repository. With --repo it uses the chunk sizes
            and the compression of that repository, otherwise those of a new one. Ctrl-C ends it and prints the results
            so far.
            """,
        examples: [
            (
                "bakstore benchmark ~/Pictures --html report.html",
                "shows what takes space, which files are duplicates, and how large a backup would be"
            )
        ],
        complaint: { $0.sourceComplaint(to: "measure") }, run: Commands.benchmark)
}

extension AnyFlag {
    static let since = Flag<String?>(
        "since", .text("SNAPSHOT", .repository(.snapshot)),
        help: "also measure the files that changed since then, with container hints and without")
    static let html = Flag<String?>(
        "html", .place("FILE"), help: "write a report with charts to this file, for a browser")
}

extension Commands {
    static func benchmark(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let source = try BackupSource(invocation, context)
        let exclusions = try exclusions(invocation, source, context)
        // Fails now rather than after hours of reading.
        if let page = invocation[.html] {
            try RepositoryAccess.expectNone(around: page)
            try BenchmarkPage.expectPlace(page)
        }
        let (settings, baseline) = try settings(invocation, context)
        let reporter = context.progress(for: invocation)
        let output = BenchmarkOutput(invocation, context, reporter)
        let benchmark = try LibraryBenchmark(
            settings, of: source.tree, roots: source.roots, exclusions: exclusions, baseline: baseline,
            onEvent: output.note, stop: context.stop)
        let totals = source.countTotals(
            exclusions, reporter, context, note: output.totals.count, finish: output.totals.finish)
        let ticker = Ticker(reporter) { output.show(benchmark.progress) }
        defer {
            ticker.stop()
            reporter.finish()
            totals?.join()
        }
        let report = try benchmark.run(
            workerCount: Machine.workerCount, readConcurrency: invocation[.readConcurrency])
        ticker.stop()
        reporter.finish()
        let findings = BenchmarkFindings(
            report: report, roots: source.roots.map(\.absolute), baseline: baseline?.snapshot,
            time: context.text(context.clock.now()))
        if let page = invocation[.html] {
            try SmallFile.replace(path: page, Array(BenchmarkPage(findings).html.utf8))
        }
        try output.show(findings)
        if let page = invocation[.html] {
            context.remark("wrote the report \(page). Open it in a browser")
        }
        if report.wasInterrupted { return .interrupted }
        return report.failedItems > 0 ? .incomplete : .done
    }

    /// Returns an empty repository with the settings that apply, and the snapshot to compare with.
    private static func settings(
        _ invocation: Invocation, _ context: CommandContext
    ) throws -> (Repository, LibraryBaseline?) {
        var options = Repository.Options(classes: defaultChunkClasses)
        // A repository's secret decides where chunks end. A constant secret gives the same figures in every run.
        options.secret = (0..<32).map { UInt8($0) }
        var baseline: LibraryBaseline?
        // The disk of a repository that a profile or the environment names may not be connected. So such a repository
        // is opened only if --since needs it.
        let isNamed = invocation.has(.repo) && !invocation.profileFlags.contains(.repo)
        if invocation.has(.since) || isNamed {
            let repository = try RepositoryAccess.open(
                invocation, context: context, writesNothing: true
            ).repository
            options = Repository.Options(like: repository.config)
            options.compression = repository.config.compression
            options.inlineBytes = repository.config.inlineBytes
            baseline = try invocation[.since].map {
                LibraryBaseline(
                    try context.findSnapshot($0, in: repository, invocation), in: repository)
            }
        }
        options.compression = invocation[.compression] ?? options.compression
        // Only lists of files go into packs here, so the smallest packs are enough.
        options.packBytes = 1 << 20
        let measured = try Repository.onNullStore(
            options, location: .folder("nowhere"), time: context.clock, random: SystemRandom())
        return (measured, baseline)
    }
}
