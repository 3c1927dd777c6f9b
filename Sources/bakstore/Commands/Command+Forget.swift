// `bakstore forget`: removes snapshots, by name or by rules, and takes them back.

import BakRepository

extension CommandSpec {
    static let forget = CommandSpec(
        name: .forget, summary: "remove snapshots, by name or by rules",
        operand: Operand("[SNAPSHOT...]", .repository(.snapshot), 0...Int.max),
        flags: Flags.joined(Flags.retention, [.undo, .prune], Flags.pruning, [.dryRun]),
        profileFlags: Flags.joined(Flags.rulesOfProfiles, [.maxUnused, .maxRepackSize]),
        exitCodes: [
            (.failed, "you did not agree, or a snapshot cannot be taken back"),
            (.incomplete, "no snapshot matches a filter"),
            (.damage, "damaged records of snapshots were found and kept"),
        ],
        notes: """
            A snapshot stays if any rule keeps it. Without a rule nothing is removed. --dry-run shows for each snapshot
            whether it would stay, and why. prune frees the space. Until then --undo takes back the named snapshots, or
            those that were removed last. forget asks before it removes the last snapshot of a device and paths, unless
            --yes is given.
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
        "undo", help: "take back removed snapshots, until a prune deletes their data")
    static let prune = Flag<Bool>("prune", help: "also free the space, as prune does")
}

extension Commands {
    static func forget(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        if invocation.has(.undo) { return try takeBack(invocation, context: context) }
        let access = try RepositoryAccess.open(invocation, context: context)
        let request = try RetentionRequest(invocation, access.repository, context)
        return try remove(request, thenPrune: invocation.has(.prune), access, invocation, context)
    }
}
