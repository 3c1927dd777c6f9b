// `bakstore check`: looks for damage in the repository.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository

extension CommandSpec {
    static let check = CommandSpec(
        name: .check, aliases: ["verify"], summary: "look for damage in the repository",
        flags: [
            .withoutKey, .readData, .acceptOlder, .readDataSubset,
            .maxDuration.described(
                "read for at most this long, such as 30m; the next check continues from there"),
        ],
        conflicts: [(.readData, [.readDataSubset]), (.withoutKey, [.readDataSubset, .maxDuration])],
        exitCodes: [(.damage, "damage was found; the output names the affected files and says what to do")],
        notes: """
            If check finds damage, the exit code is 4, and the last lines say what to do. --max-duration alone reads as
            much of the stored data as that time allows.
            """,
        examples: [("bakstore check --read-data", "reads and verifies everything that is stored")],
        run: Commands.check)
}

extension AnyFlag {
    static let withoutKey = Flag<Bool>(
        "without-key", help: "check an encrypted repository without its password, as far as possible")
    static let readData = Flag<Bool>("read-data", help: "read and verify all stored data, not only its index")
    static let acceptOlder = Flag<Bool>(
        "accept-older", help: "accept that the repository is older than when this machine last saw it")
    static let readDataSubset = Flag<PackSubset?>(
        "read-data-subset", .subset,
        help:
            "read a part of the data: part n of t, a share or a size; data that was read longest ago comes first"
    )
}

extension Commands {
    static func check(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        if invocation.has(.withoutKey) { return try checkWithoutKey(invocation, context) }
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let reporter = context.progress(for: invocation)
        let output = CheckOutput(invocation, context, reporter)
        var depth = CheckDepth.structure
        if let subset = invocation[.readDataSubset] {
            depth = .readData(subset)
        } else if invocation.has(.readData) || invocation.has(.maxDuration) {
            depth = .readData
        }
        let check = RepositoryCheck(
            repository, depth: depth, workerCount: Machine.workerCount,
            maximumSeconds: invocation[.maxDuration], onEvent: output.note,
            stop: context.stop)
        defer { reporter.finish() }
        let report = try check.run()
        reporter.finish()
        try output.summarize(report, depth, isOlder: repository.isOlder)
        if report.wasInterrupted { return .interrupted }
        if !report.isClean { return .damage }
        guard report.unsupportedObjects == 0 else {
            let objects = Formatting.count(UInt64(report.unsupportedObjects), "object was", "objects were")
            throw CommandFailure(
                code: .failed,
                message: "\(objects) made by a newer bakstore. Use that version to check them, and the "
                    + "snapshots that need them")
        }
        return .done
    }
}

extension Commands {
    fileprivate static func checkWithoutKey(
        _ invocation: Invocation, _ context: CommandContext
    ) throws -> ExitCode {
        let location = try RepositoryAccess.locate(invocation, context: context)
        let (store, _, method) = try RepositoryAccess.recognizedStore(location, context)
        guard method != .none else {
            throw CommandFailure(
                code: .failed, message: "\(location) is not encrypted. Leave out --without-key")
        }
        try store.expectFolders(ObjectNames.folders)
        let reporter = context.progress(for: invocation)
        let output = CheckOutput(invocation, context, reporter)
        defer { reporter.finish() }
        let report = try KeylessCheck(
            store, readsData: invocation.has(.readData), onEvent: output.note,
            stop: context.stop
        ).run()
        reporter.finish()
        try output.summarize(report, readsData: invocation.has(.readData))
        if report.wasInterrupted { return .interrupted }
        return report.damagedObjects > 0 ? .damage : .done
    }
}

/// Prints a check's findings and its summary. Called from the check's threads.
private final class CheckOutput: Reporter, @unchecked Sendable {
    @Sendable func note(_ event: CheckEvent) {
        switch event {
        case .step(let step): tellStep("checking \(step)")
        case .progress(let done, let total): show(done, of: total)
        case .damage(let object, let reason): say(.damage, object, "", reason)
        case .unreadable(let object, let reason): say(.unreadable, object, "cannot be read: ", reason)
        case .unsupported(let object, let reason):
            say(.unsupported, object, "it was made by a newer program: ", reason)
        case .harmless(let object, let reason): say(.harmless, object, "harmless damage: ", reason)
        case .unused(let object, let reason):
            guard invocation.verbosity >= 1 || invocation.has(.json) else { return }
            say(.unused, object: object, "\(object) is not used: \(reason)", reason: reason)
        case .affectedFile(let snapshot, let path, let reason):
            say(.affectedFile, snapshot: snapshot, path: path, reason: reason)
        case .affectedSnapshot(let snapshot, let reason):
            say(.affectedSnapshot, snapshot: snapshot, reason: reason)
        }
    }

    private func say(_ type: Message.Kind, _ object: String, _ kind: String, _ reason: String) {
        say(type, object: object, "\(object): \(kind)\(reason)", reason: reason)
    }

    // MARK: The end

    /// - Parameter isOlder: true if this machine has seen a newer state of the repository. Then nothing is repaired
    ///   until the user accepts the older one.
    func summarize(_ report: CheckReport, _ depth: CheckDepth, isOlder: Bool) throws {
        if invocation.has(.json) { return try tellSummary(report) }
        if invocation.has(.quiet) { return }
        var looked = "checked \(Formatting.count(UInt64(report.snapshots), "snapshot", "snapshots")), "
        looked += "\(Formatting.count(UInt64(report.packs), "pack", "packs")), "
        looked += Formatting.count(UInt64(report.blobs), "blob", "blobs")
        if depth != .structure {
            looked += "; read and verified \(Formatting.size(report.verifiedBytes))"
        } else if report.verifiedBytes > 0 {
            let size = Formatting.size(report.verifiedBytes)
            looked += "; read again \(size) that an earlier check found damaged"
        }
        try context.print("\(looked); \(Formatting.duration(seconds: reporter.secondsElapsed))")
        if depth != .structure { try printCoverage(report) }
        if report.unusedPacks > 0 {
            let packs = Formatting.count(UInt64(report.unusedPacks), "pack", "packs")
            let isOne = report.unusedPacks == 1
            let meaning =
                report.repairs.contains(.index)
                ? "\(isOne ? "is" : "are") not listed in the readable part of the index. Its repair examines "
                    + (isOne ? "it" : "them")
                : "\(isOne ? "belongs" : "belong") to no snapshot (left by interrupted runs, or given up by a repair). "
                    + "This is harmless, and a prune removes data that no snapshot needs"
            try context.print("\(packs), \(Formatting.size(report.unusedBytes)), \(meaning)")
        }
        if report.wasInterrupted { return try context.print("interrupted before the end") }
        guard !report.isClean else {
            let isAll = report.unsupportedObjects == 0 && report.harmlessObjects == 0
            let result = "no damage found" + (isAll ? "" : " in the rest")
            // Without this hint the user would believe that everything was read.
            guard depth == .structure, !report.hasReadAll else {
                return try context.print(report.hasReadAll ? result : "\(result) in the data that was read")
            }
            return try context.print(
                "\(result), but the data in the packs was not read. To read and verify it, run: "
                    + context.command("check --read-data"))
        }
        try printDamage(report, isOlder: isOlder)
    }

    func summarize(_ report: KeylessReport, readsData: Bool) throws {
        let unchecked =
            "not checked without the password: missing objects, "
            + (readsData ? "" : "the data in packs (see --read-data), ") + "and the data that snapshots need"
        if invocation.has(.json) {
            return try context.tell(.summary) { json in
                json.member("objects", report.objects)
                json.member("packs", report.packs)
                json.member("bytes_stored", report.packBytes)
                json.member("bytes_verified", report.verifiedBytes)
                json.member("num_errors", report.damagedObjects)
                json.member("unchecked", unchecked)
                json.member("total_duration", reporter.secondsElapsed)
            }
        }
        if invocation.has(.quiet) { return }
        var looked = "checked \(Formatting.count(UInt64(report.packs), "pack", "packs")) and "
        looked += Formatting.count(UInt64(report.objects), "other object", "other objects")
        if readsData { looked += "; read and verified \(Formatting.size(report.verifiedBytes))" }
        try context.print("\(looked); \(Formatting.duration(seconds: reporter.secondsElapsed))")
        if report.wasInterrupted { return try context.print("interrupted before the end") }
        try context.print(unchecked)
        guard report.damagedObjects > 0 else { return try context.print("no damage found") }
        let damaged = Formatting.count(UInt64(report.damagedObjects), "object", "objects")
        try context.print("DAMAGE: \(damaged). To see what this affects, run check with the password")
    }

    /// Prints how much of the stored data this check and earlier ones have read, and since when.
    private func printCoverage(_ report: CheckReport) throws {
        if report.ranOutOfTime {
            try context.print("the time limit was reached. The next check continues from here")
        }
        let (read, stored) = (
            report.everReadBytes + report.faultyReadBytes, report.packBytes - report.missingBytes
        )
        guard read > 0 else { return }
        let share = Formatting.percent(read, of: stored)
        let since = report.readSince.map { " since \(context.text($0))" } ?? ""
        try context.print(
            "\(share) of the stored data was read\(since)\(read < stored ? ", the rest never" : "")")
    }

    private func printDamage(_ report: CheckReport, isOlder: Bool) throws {
        let kinds = [
            (report.damagedObjects, "damaged"), (report.unreadableObjects, "unreadable"),
            (report.unsupportedObjects, "newer"),
        ]
        let found = kinds.filter { $0.0 > 0 }.map { count, kind in
            Formatting.count(UInt64(count), "\(kind) object", "\(kind) objects")
        }.joined(separator: ", ")
        let files = Formatting.count(UInt64(report.affectedFiles), "file", "files")
        let snapshots = Formatting.count(UInt64(report.affectedSnapshots), "snapshot", "snapshots")
        let unlisted = Formatting.count(UInt64(report.unlistedSnapshots), "snapshot", "snapshots")
        let parts = [
            found, "\(files) affected in \(snapshots)",
            report.unlistedSnapshots > 0 ? "\(unlisted) with an incomplete list of files" : "",
        ]
        let damage = parts.filter { !$0.isEmpty }.joined(separator: "; ")
        let rest =
            report.hasReadAll
            ? "Everything else can be restored" : "The data in the other packs was not read (see --read-data)"
        try context.print("DAMAGE: \(damage). \(rest)")
        if report.hasRefused {
            return try context.print(
                "what to do: give this user permission to read the unreadable objects named above, and check again. Until then nothing "
                    + "counts as lost, and nothing is repaired")
        }
        if !report.hopelessSnapshots.isEmpty {
            let ids = report.hopelessSnapshots.map(\.short).joined(separator: " ")
            try context.print(
                "no repair can bring back the lost data of \(ids). A new backup may bring it back, or another repository that "
                    + "has it (\(context.command("copy --from-repo REPO SNAPSHOT"))). If not, give it up with: "
                    + context.command("forget \(ids)"))
        }
        if !report.damagedMarkers.isEmpty {
            let ids = report.damagedMarkers.map(\.short).joined(separator: " ")
            try context.print(
                "it is unknown whether \(ids) was removed. To keep it, run `\(context.command("forget --undo \(ids)"))`. To "
                    + "remove it, run `\(context.command("forget \(ids)"))`")
        }
        if report.damagedVouches > 0 {
            try context.print(
                "some records of files that safe-to-delete called safe cannot be read. Run it again on those files that "
                    + "still exist, then delete the unreadable records with: \(context.command("prune --yes"))"
            )
        }
        var steps = report.repairsInOrder.map { context.command("repair \($0.rawValue)") }
        // If the sources still have the lost content, a new backup stores it again. This heals the snapshots, too.
        if report.lacksContent, !steps.isEmpty {
            steps.insert("back up again", at: steps.count - (report.repairs.contains(.snapshots) ? 1 : 0))
        }
        if isOlder, !report.repairs.isEmpty {
            steps.insert(
                "put back the newer copy, or accept this one with: "
                    + context.command("check --accept-older"), at: 0)
        }
        if report.obstructions > 0 {
            steps.insert("move away the items that are in the place of objects", at: 0)
        }
        guard !steps.isEmpty else { return }
        try context.print("what to do, in this order: \(steps.joined(separator: "; "))")
    }

    private func tellSummary(_ report: CheckReport) throws {
        try context.tell(.summary) { json in
            json.member("snapshots", report.snapshots)
            json.member("packs", report.packs)
            json.member("blobs", report.blobs)
            json.member("bytes_verified", report.verifiedBytes)
            json.member("packs_verified", report.verifiedPacks)
            json.member("bytes_stored", report.packBytes)
            json.member("bytes_ever_verified", report.everReadBytes)
            if let since = report.readSince { json.member("verified_since", context.json(since)) }
            json.member("ran_out_of_time", report.ranOutOfTime)
            json.member("unused_packs", report.unusedPacks)
            json.member("unused_bytes", report.unusedBytes)
            json.member("num_errors", report.damagedObjects)
            json.member("unreadable_objects", report.unreadableObjects)
            json.member("unsupported_objects", report.unsupportedObjects)
            json.member("harmless_objects", report.harmlessObjects)
            json.member("obstructions", report.obstructions)
            json.member("affected_files", report.affectedFiles)
            json.member("affected_snapshots", report.affectedSnapshots)
            json.member("unlisted_snapshots", report.unlistedSnapshots)
            json.array("hopeless_snapshots") { array in
                for id in report.hopelessSnapshots { array.element(id.description) }
            }
            json.array("repairs") { array in
                for repair in report.repairsInOrder {
                    array.element(context.command("repair \(repair.rawValue)"))
                }
            }
            json.member("total_duration", reporter.secondsElapsed)
        }
    }
}
