// VouchedRemoval: protects files that safe-to-delete called safe. Before a removal takes the last snapshot of such
// files, it names them and asks.

import BakCore
import BakFormat
import BakRepository

/// The content that safe-to-delete called safe and that a removal would take.
struct VouchedRemoval {
    private let invocation: Invocation
    private let context: CommandContext
    private let repository: Repository
    private let outlook: VouchOutlook
    /// True if this run removes snapshots. False if it is a prune that makes an earlier removal final.
    private let removes: Bool
    /// True if the repository has a vouch, which says that safe-to-delete called files safe.
    private let isAsked: Bool
    /// Without `-v`, at most this many files are named.
    private static let namedFiles = 10

    init(
        _ repository: Repository, removing removed: [ID128], _ invocation: Invocation,
        _ context: CommandContext
    ) throws {
        (self.repository, self.invocation, self.context) = (repository, invocation, context)
        removes = !removed.isEmpty
        isAsked = try repository.hasVouches()
        guard isAsked else {
            outlook = VouchOutlook()
            return
        }
        let gone = Set(removed)
        outlook = try repository.outlook(
            ifOnly: try repository.snapshots().readable.filter { !gone.contains($0.id) })
    }

    /// Names the files that would be lost. Throws unless the user accepts the loss.
    func expect() throws {
        for vouch in outlook.unreadable {
            context.complain("\(vouch.error). It is unknown which files it called safe to delete")
        }
        try name(outlook.endangered)
        let losses = try [endangered(), unknown()].compactMap { $0 }
        guard !losses.isEmpty else { return }
        let loss = losses.map(\.text).joined(separator: ", and ")
        if invocation.has(.dryRun) || invocation.has(.yes) { return context.remark(loss) }
        let advice = losses.map(\.advice).joined(separator: ". ")
        let refusal = CommandFailure(
            code: .failed,
            message: "\(loss). Nothing was removed. \(advice). If you accept to lose them, add --yes")
        if invocation.has(.json) { throw refusal }
        guard let agrees = try context.agrees(to: "\(loss). Go on?")
        else { throw refusal }
        guard agrees else {
            throw CommandFailure(code: .failed, message: "nothing was removed. \(advice)")
        }
    }

    /// Describes the files that no snapshot would have any more; nil if there are none.
    private func endangered() -> (text: String, advice: String)? {
        let files = outlook.endangered
        guard let last = files.map(\.time).max() else { return nil }
        let count = UInt64(files.count)
        return (
            "\(Formatting.count(count, "file", "files")) that safe-to-delete called safe, last on \(date(last)), \(Formatting.word(count, "is", "are")) "
                + (removes
                    ? "in no snapshot after this"
                    : "only in removed snapshots, whose data this deletes"),
            removes
                ? "To keep them, tag a snapshot that has them, for example with "
                    + "`bakstore tag \(files[0].snapshot.short) --add keep`, and add the rule --keep-tag keep"
                : "To keep them, take the snapshot back with `bakstore forget --undo \(files[0].snapshot.short)`"
        )
    }

    /// Describes what may be lost because vouches cannot be read: an unreadable vouch may be about any snapshot. Nil if
    /// nothing may be lost.
    private func unknown() throws -> (text: String, advice: String)? {
        guard !outlook.unreadable.isEmpty, try mayLoseUnknown() else { return nil }
        let records = Formatting.count(
            UInt64(outlook.unreadable.count), "record of files", "records of files")
        let obstructed = outlook.unreadable.filter(\.isObstructed)
        return (
            "\(records) that safe-to-delete called safe cannot be read, and those files may be "
                + (removes
                    ? "in no snapshot after this"
                    : "only in removed snapshots, whose data this deletes"),
            obstructed.isEmpty
                ? "Run safe-to-delete again on those of the files that still exist"
                : "Move away the item in the place of \(obstructed[0].error.object)"
        )
    }

    private func mayLoseUnknown() throws -> Bool { try removes || repository.canTakeAnyBack() }

    /// Records that the snapshots have been removed.
    func settle() throws {
        try repository.settle(outlook)
        // The user has accepted the loss of the files of these vouches. Without the vouches, the next removal does not
        // ask again.
        if !outlook.unreadable.isEmpty, try invocation.has(.yes) || mayLoseUnknown() {
            try repository.drop(outlook.unreadable)
        }
        if isAsked { try repository.renewVouches() }
    }

    private func name(_ files: [EndangeredFile]) throws {
        let isJSON = invocation.has(.json)
        let named = isJSON || invocation.verbosity >= 1 ? files.count : Self.namedFiles
        for file in files.prefix(named) {
            if isJSON {
                try context.tell(.vouchedFile) { json in
                    json.member("item", bytes: file.path.absolute)
                    json.member(
                        "called_safe",
                        CivilTime.rfc3339(file.time, offsetSeconds: context.localOffset(file.time)))
                    json.member("snapshot_id", file.snapshot.description)
                }
            } else {
                context.remark(
                    "\(Formatting.name(file.path.absolute)): called safe to delete on \(date(file.time)), because snapshot \(file.snapshot.short) has it"
                )
            }
        }
        if files.count > named {
            context.remark("and \(Formatting.count(UInt64(files.count - named))) more; -v names each")
        }
    }

    private func date(_ time: Timestamp) -> String {
        String(CivilTime(time, offsetSeconds: context.localOffset(time)).text.prefix(10))
    }
}
