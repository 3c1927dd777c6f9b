// `bakstore prune`: frees space, after removing snapshots if rules are given.

import BakCore
import BakPosix
import BakRepository
import BakStorage

extension CommandSpec {
    static let prune = CommandSpec(
        name: .prune, summary: "free the space of data that no snapshot needs",
        flags: Flags.joined(Flags.pruning, Flags.retention, [.dryRun]),
        profileFlags: Flags.joined(Flags.rulesOfProfiles, [.maxUnused, .maxRepackSize]),
        exitCodes: [
            (.incomplete, "no snapshot matches a filter"),
            (.damage, "damaged packs or records were found and kept"),
            (
                .storeUnable,
                "the repository is read-only, or its disk cannot keep several programs apart (see --alone)"
            ),
        ],
        notes: """
            With rules, on the command line or in the profile, prune first removes snapshots, as forget does. Backups may
            run at the same time. The next prune finishes an interrupted one.
            """,
        examples: [
            (
                "bakstore prune --keep-daily 7 --keep-monthly 12 -n",
                "shows which snapshots these rules keep, and how much space would be freed"
            )
        ],
        complaint: \.retentionComplaint, run: Commands.prune)
}

extension Commands {
    static func prune(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let access = try RepositoryAccess.open(invocation, context: context)
        let removes = invocation.hasRules || invocation.has(.unsafeAllowRemoveAll)
        let request = removes ? try RetentionRequest(invocation, access.repository, context) : nil
        return try remove(request, thenPrune: true, access, invocation, context)
    }

    /// Shows the decisions, removes the snapshots, and frees their space if `prunes` is true.
    static func remove(
        _ request: RetentionRequest?, thenPrune prunes: Bool, _ access: RepositoryAccess,
        _ invocation: Invocation, _ context: CommandContext
    ) throws -> ExitCode {
        do {
            return try removeWithRoom(request, thenPrune: prunes, access, invocation, context)
        } catch let error as StoreError where error.kind == .full {
            throw FullDisk(error).inRemoval
        }
    }

    private static func removeWithRoom(
        _ request: RetentionRequest?, thenPrune prunes: Bool, _ access: RepositoryAccess,
        _ invocation: Invocation, _ context: CommandContext
    ) throws -> ExitCode {
        let isDryRun = invocation.has(.dryRun)
        let decisions = request.map { RetentionOutput(invocation, context, $0) }
        try decisions?.show()
        let removed = request?.removed ?? []
        if let request { try RemovalConsent(invocation, context).expect(request) }
        let vouched =
            prunes || !removed.isEmpty
            ? try VouchedRemoval(access.repository, removing: removed, invocation, context) : nil
        try vouched?.expect()
        if !isDryRun, !removed.isEmpty {
            try access.repository.forget(removed, host: Machine.hostName, program: programName)
        }
        if !isDryRun { try vouched?.settle() }
        guard prunes else {
            try decisions?.summarize()
            return request?.exitCode ?? .done
        }
        if let decisions, !invocation.has(.json), !invocation.has(.quiet) {
            try context.print(decisions.summary)
        }
        if !isDryRun { access.removeStaleTemporaries() }
        let reporter = context.progress(for: invocation)
        let output = PruneOutput(invocation, context, reporter)
        defer { reporter.finish() }
        var options = PruneOptions(invocation)
        options.alsoForgotten = isDryRun ? Set(removed) : []
        let prune = Prune(
            access.repository, options, host: Machine.hostName, program: programName, onEvent: output.note,
            stop: context.stop)
        let report = try prune.run()
        if !isDryRun {
            if report.deletedPacks > 0 { try access.repository.dropGivenUpVouches() }
            access.repository.store.renewReserve()
        }
        reporter.finish()
        try output.summarize(report, decisions)
        if report.wasInterrupted { return .interrupted }
        let isDamaged = report.damagedPacks > 0 || report.snapshotsInDoubt > 0
        return isDamaged ? .damage : request?.exitCode ?? .done
    }
}

extension PruneOptions {
    /// Takes the options from an invocation.
    init(_ invocation: Invocation) {
        self.init()
        if let allowance = invocation[.maxUnused] { maxUnused = allowance }
        maxRepackBytes = invocation[.maxRepackSize]
        maxDurationNanoseconds = invocation[.maxDuration].map {
            $0.multipliedClamped(by: 1_000_000_000)
        }
        workerCount = Machine.workerCount
        isDryRun = invocation.has(.dryRun)
        isAlone = invocation.has(.alone)
        pause = { nanoseconds in
            let monitor = Monitor()
            monitor.locked { monitor.wait(milliseconds: Int(clamping: nanoseconds / 1_000_000)) }
        }
    }
}

extension UInt64 {
    /// Returns the product, or the largest number if the product overflows.
    fileprivate func multipliedClamped(by factor: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}

extension PruneOptions.Allowance {
    /// Parses `5%`, `0`, `10G` or `unlimited`.
    @Sendable static func parse(_ text: String) -> PruneOptions.Allowance? {
        if text == "unlimited" { return .unlimited }
        guard text.hasSuffix("%") else { return ByteSize.parse(text).map { .bytes($0) } }
        let number = text.dropLast()
        guard number.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2e }),
            let share = Double(number), share < 100
        else { return nil }
        return .percent(share)
    }
}
