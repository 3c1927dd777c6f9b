// `bakstore repair`: brings back everything that is not lost, and names everything that is. It changes and deletes
// nothing except damaged records of snapshots that have spares.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository

extension CommandSpec {
    static let repair = CommandSpec(
        name: .repair, summary: "recover intact data after damage",
        subcommands: [
            Subcommand(name: "index", summary: "rebuild the index from the packs"),
            Subcommand(
                name: "packs", summary: "copy intact data out of damaged packs",
                operand: Operand("[PACK...]", .nothing, 0...Int.max)),
            Subcommand(
                name: "snapshots",
                summary: "restore records from their spares, and make intact snapshots of damaged ones"),
        ],
        flags: [.alone, .dryRun], exitCodes: [(.damage, "some data is still lost; the output names it")],
        notes: """
            check says which of the three is needed. A repair changes or deletes only damaged records of snapshots, and only
            if there are spares. If data is still lost, the repair names the files and ends with exit code 4.
            """,
        examples: [("bakstore repair packs -n", "shows what could be saved from damaged packs")],
        run: Commands.repair)
}

extension Commands {
    static func repair(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let words = invocation.operands.map { String(decoding: $0, as: UTF8.self) }
        guard let kind = Repair(rawValue: words[0]) else {
            throw UsageError(
                "cannot repair '\(words[0])'. Name index, packs or snapshots", command: .repair)
        }
        guard kind == .packs || words.count == 1 else {
            throw UsageError("repair \(kind.rawValue) takes no other arguments", command: .repair)
        }
        var request = RepairRequest(host: Machine.hostName, program: "bakstore \(programVersion)")
        request.isDryRun = invocation.has(.dryRun)
        request.isAlone = invocation.has(.alone)
        request.workerCount = Machine.workerCount
        request.packs = try words.dropFirst().map { word in
            // A check names packs by their paths, so a path is accepted, too.
            guard let id = ID128(word.split(separator: "/").last ?? "") else {
                throw UsageError("'\(Formatting.line(word))' is not the id of a pack", command: .repair)
            }
            return id
        }
        let access = try RepositoryAccess.open(invocation, context: context)
        access.removeStaleTemporaries()
        let reporter = context.progress(for: invocation)
        let output = RepairOutput(invocation, context, reporter, kind)
        defer { reporter.finish() }
        let repair: RepositoryRepair.Type =
            switch kind {
            case .index: RepairIndex.self
            case .packs: RepairPacks.self
            case .snapshots: RepairSnapshots.self
            }
        let report: RepairReport
        do {
            report = try repair.init(
                access.repository, request, onEvent: output.note, stop: context.stop
            ).run()
        } catch let error as CorruptionError where error.isRefused {
            // This user may not read the object, but another user may. A repair would give up its data, so it is
            // refused.
            throw CommandFailure(code: .failed, message: "\(error). Nothing was repaired")
        } catch let error as CorruptionError where kind != .index && !error.needsNewerProgram {
            throw CommandFailure(
                code: .damage,
                message: "\(error). First run: \(context.command("repair index"))")
        }
        reporter.finish()
        try output.summarize(report)
        if report.wasInterrupted { return .interrupted }
        return report.isWhole ? .done : .damage
    }
}

/// Prints a repair's findings and its summary. Called from any thread.
private final class RepairOutput: Reporter, @unchecked Sendable {
    private let kind: Repair

    init(
        _ invocation: Invocation, _ context: CommandContext, _ reporter: ProgressReporter, _ kind: Repair
    ) {
        self.kind = kind
        super.init(invocation, context, reporter)
    }

    @Sendable func note(_ event: RepairEvent) {
        switch event {
        case .step(let step): tellStep("checking \(step)")
        case .progress(let done, let total): show(done, of: total)
        case .damage(let object, let reason):
            say(.damage, object: object, "\(object): \(reason)", reason: reason)
        case .salvaged(let pack, let blobs, let total):
            say(
                Message(.salvaged, "\(ObjectNames.pack(pack)): \(blobs) of \(total) blobs are intact") {
                    json in
                    json.member("pack", pack.description)
                    json.member("blobs", blobs)
                    json.member("total_blobs", total)
                })
        case .lostFile(let snapshot, let path, let reason):
            say(.lostFile, snapshot: snapshot, "LOST ", path: path, reason: reason)
        case .lostSnapshot(let snapshot, let reason):
            say(.lostSnapshot, snapshot: snapshot, reason: reason)
        case .replaced(let snapshot, let copy, let lost, let isNew): replaced(snapshot, copy, lost, isNew)
        case .broughtBack(let snapshot, let copy):
            let verb = invocation.has(.dryRun) ? "would be" : "was"
            let name = copy.map { ", as \($0.short)" } ?? ""
            say(
                Message(.broughtBack, "snapshot \(snapshot.short) \(verb) brought back unchanged\(name)") {
                    json in
                    json.member("snapshot_id", snapshot.description)
                    if let copy { json.member("new_snapshot_id", copy.description) }
                })
        }
    }

    private func replaced(_ snapshot: ID128, _ copy: ID128?, _ lostFiles: Int, _ isNew: Bool) {
        let files = Formatting.count(UInt64(lostFiles), "file", "files")
        let made =
            copy.map { isNew ? "made \($0.short) from it" : "\($0.short) was made from it before" }
            ?? "a snapshot would be made from it"
        let advice =
            ". When you no longer need the damaged one, run: \(context.command("forget \(snapshot.short)"))"
        let text = "snapshot \(snapshot.short): \(made), without \(files)\(copy == nil ? "" : advice)"
        say(
            Message(.replaced, text) { json in
                json.member("snapshot_id", snapshot.description)
                if let copy { json.member("new_snapshot_id", copy.description) }
                json.member("lost_files", lostFiles)
                json.member("is_new", isNew)
            })
    }

    // MARK: The end

    func summarize(_ report: RepairReport) throws {
        if invocation.has(.json) { return try tellSummary(report) }
        if invocation.has(.quiet) { return }
        if report.wasInterrupted {
            return try context.print(
                "interrupted before the end. Nothing was changed, except as listed above")
        }
        guard report.wasNeeded else {
            try context.print("nothing to repair")
            return try printRest(report)
        }
        let isDry = invocation.has(.dryRun)
        let would = isDry ? "would be " : ""
        func count(_ number: Int, _ singular: String, _ plural: String) -> String {
            Formatting.count(UInt64(number), singular, plural)
        }
        switch kind {
        case .index:
            try context.print(
                "the index \(would)rebuilt from \(count(report.packs, "pack", "packs")): "
                    + "\(count(report.foundBlobs, "blob", "blobs")) found again, "
                    + "\(count(report.lostBlobs, "blob", "blobs")) lost")
        case .packs:
            try context.print(
                "\(count(report.damagedPacks, "damaged pack", "damaged packs")) of \(Formatting.count(UInt64(report.packs))): "
                    + "\(count(report.salvagedBlobs, "blob", "blobs")) \(would)copied out of them "
                    + "(\(Formatting.size(report.writtenBytes))), \(count(report.lostBlobs, "blob", "blobs")) lost"
            )
        case .snapshots:
            if report.broughtBack > 0 {
                try context.print(
                    "\(count(report.broughtBack, "snapshot", "snapshots")) \(would)brought back as before")
            }
            if report.newSnapshots > 0 || report.broughtBack == 0 {
                try context.print(
                    "\(count(report.newSnapshots, "new snapshot", "new snapshots")) \(would)made from damaged ones"
                )
            }
        }
        try printRest(report)
        if isDry { try context.print("dry run: nothing was changed") }
    }

    /// Prints what is still lost, and what to do about it.
    private func printRest(_ report: RepairReport) throws {
        if report.needsIndexRepair {
            try context.print(
                "the index does not list the data in some packs. Run: \(context.command("repair index"))"
            )
        }
        guard report.lostFiles > 0 || report.affectedSnapshots > 0 else {
            if report.isWhole { try context.print("no snapshot lacks data") }
            return
        }
        let files = Formatting.count(UInt64(report.lostFiles), "file", "files")
        let snapshots = Formatting.count(UInt64(report.affectedSnapshots), "snapshot", "snapshots")
        try context.print("STILL LOST: \(files) in \(snapshots)")
        if kind == .snapshots { return }
        let next =
            kind == .index ? "repair packs" : "repair snapshots"
        try context.print(
            "the next backup stores the files again that you still have. After it, run: "
                + context.command(next))
    }

    private func tellSummary(_ report: RepairReport) throws {
        try context.tell(.summary) { json in
            json.member("repaired", kind.rawValue)
            json.member("was_needed", report.wasNeeded)
            json.member("dry_run", invocation.has(.dryRun))
            json.member("packs", report.packs)
            json.member("damaged_packs", report.damagedPacks)
            json.member("found_blobs", report.foundBlobs)
            json.member("lost_blobs", report.lostBlobs)
            json.member("salvaged_blobs", report.salvagedBlobs)
            json.member("bytes_written", report.writtenBytes)
            json.member("new_snapshots", report.newSnapshots)
            json.member("snapshots_brought_back", report.broughtBack)
            json.member("lost_files", report.lostFiles)
            json.member("affected_snapshots", report.affectedSnapshots)
            json.member("needs_index_repair", report.needsIndexRepair)
            json.member("total_duration", reporter.secondsElapsed)
        }
    }
}
