// `bakstore forget`: removes snapshots, by name or by rules, and takes them back.

import BakRepository

extension CommandSpec {
    static let forget = CommandSpec(
        name: .forget, summary: "remove snapshots, by name or by rules",
        operand: Operand("[SNAPSHOT...]", .repository(.snapshot), 0...Int.max),
        flags: Flags.joined(Flags.retention, [.undo, .prune], Flags.pruning, [.dryRun]),
        profileFlags: Flags.joined(Flags.rulesOfProfiles, [.maxUnused, .maxRepackSize]),
        exitCodes: [
            (.failed, "it was not agreed to, or something cannot be taken back"),
            (.incomplete, "a filter takes none of the snapshots"),
            (.damage, "records of snapshots are damaged and stay"),
        ],
        notes: """
            A snapshot stays when any rule keeps it; without a rule nothing is removed. --dry-run says for each
            snapshot what would become of it and why. Space comes back with prune. Until then --undo takes back
            what is named, or what was removed last. The last snapshot of a device and paths goes only after a
            question, or with --yes.
            """,
        examples: [
            (
                "bakstore forget --keep-daily 7 --keep-weekly 4 --keep-monthly 12 -n",
                "shows what these rules would keep, and why"
            )
        ],
        complaint: \.retentionComplaint, run: Commands.forget)
}

extension AnyFlag {
    static let undo = Flag<Bool>(
        "undo", help: "take back snapshots that were removed, until a prune makes it final")
    static let prune = Flag<Bool>("prune", help: "give the space back, too, as prune does")
}

extension Commands {
    static func forget(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        if invocation.has(.undo) { return try takeBack(invocation, context: context) }
        let access = try RepositoryAccess.open(invocation, context: context)
        let request = try RetentionRequest(invocation, access.repository, context)
        return try remove(request, thenPrune: invocation.has(.prune), access, invocation, context)
    }
}
