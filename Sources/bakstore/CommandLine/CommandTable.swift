// CommandTable: the one description of every command, from which parsing, help, suggestions, completions and
// the man page are made.

/// The commands by their main spelling.
enum CommandName: String, CaseIterable {
    case initialize = "init"
    case backup, snapshots, ls, restore, cat, copy, stats, check, repair, forget, prune, tag, version, help
    case benchmark, archive
    case safeToDelete = "safe-to-delete"
    case key

    /// Whether it changes nothing in the repository that it opens, nor has to say what could not be changed.
    var onlyReads: Bool {
        switch self {
        case .snapshots, .ls, .restore, .cat, .stats, .benchmark: true
        default: false
        }
    }
}

/// How many operands a command takes.
enum OperandCount {
    case exactly(Int)
    case upTo(Int)
    case between(Int, Int)
    case any

    func allows(_ count: Int) -> Bool {
        switch self {
        case .exactly(let number): count == number
        case .upTo(let most): count <= most
        case .between(let least, let most): (least...most).contains(count)
        case .any: true
        }
    }
}

/// One command.
struct Command: Sendable {
    var name: CommandName
    var aliases: [String] = []
    /// One line that says what it does.
    var summary: String
    /// Its operands as the usage line shows them.
    var operands = ""
    var operandCount = OperandCount.exactly(0)
    /// Its own flags, beside the global ones.
    var flags: [Flag] = []
    /// Flags without which it cannot run.
    var requiredFlags: [FlagName] = []
    /// Pairs of flags that contradict each other.
    var conflicts: [(FlagName, FlagName)] = []
    /// What a reader should know beyond the flags.
    var notes = ""
    /// A command line to copy, and what it does.
    var example: (line: String, meaning: String)

    /// Every flag that it understands.
    var allFlags: [Flag] { flags + Flags.global }
    /// Whether flags choose among the snapshots that it may be given the names of.
    var choosesSnapshots: Bool { [.snapshots, .copy, .tag].contains(name) }
    /// Every spelling of its name.
    var spellings: [String] { [name.rawValue] + aliases }
}

/// All commands, in the order of help.
enum CommandTable {
    static let commands: [Command] = [
        Command(
            name: .initialize, summary: "make a new, empty repository", flags: Flags.initialize,
            notes: """
                Without --repo the default repository is made; backup does that by itself. With --encryption nothing can
                be read without the password: keep it in a safe place.
                """,
            example: ("bakstore init --repo /mnt/usb/backup", "makes a repository on a USB disk")),
        Command(
            name: .backup, aliases: ["create"], summary: "store files and folders as a new snapshot",
            operands: "PATH...", operandCount: .any, flags: Flags.backup,
            conflicts: [(.force, .parent), (.force, .skipIfUnchanged), (.archive, .noArchive)]
                + Flags.ofFilesOnly.map { (.stdin, $0) },
            notes: """
                What could not be read is listed with its reason, and the exit code is then 3. What patterns, sizes
                and .bakignore files left out is counted at the end; -v names it, and what has gone since the last backup.
                """,
            example: (
                "bakstore backup ~/Pictures --exclude '*.tmp' --tag photos",
                "stores the folder Pictures, without *.tmp files"
            )),
        Command(
            name: .snapshots, aliases: ["list"], summary: "list the snapshots",
            operands: "[SNAPSHOT...]", operandCount: .any, flags: Flags.snapshots,
            example: ("bakstore snapshots --device phone --latest 3", "shows the phone's last three")),
        Command(
            name: .ls, summary: "list the files of a snapshot", operands: "SNAPSHOT[:PATH]",
            operandCount: .exactly(1), flags: Flags.list, conflicts: [(.long, .groups)],
            example: ("bakstore ls -l latest:home/me/Pictures", "lists one folder of the newest snapshot")),
        Command(
            name: .restore, aliases: ["extract"], summary: "bring files back from a snapshot",
            operands: "SNAPSHOT[:PATH]", operandCount: .exactly(1), flags: Flags.restore,
            requiredFlags: [.target],
            notes: "With --dry-run it names what would be restored and what kept, and writes nothing.",
            example: (
                "bakstore restore latest --target ~/restored --include '*.jpg' -n",
                "shows which pictures would come back, without writing any"
            )),
        Command(
            name: .cat, summary: "print a file of a snapshot, or a part of the repository",
            operands: "SNAPSHOT:PATH | config | snapshot ID | index ID | pack ID | session ID | chunk ID",
            operandCount: .between(1, 2), flags: [Flags.skipDamaged],
            example: ("bakstore cat latest:home/me/notes.txt", "prints a file as it was")),
        Command(
            name: .copy, summary: "copy snapshots from another repository", operands: "[SNAPSHOT...]",
            operandCount: .any, flags: Flags.copy, requiredFlags: [.fromRepo],
            notes: """
                Without a SNAPSHOT all complete ones are copied. What has been copied before is left out, so an
                interrupted copy is finished by the same command. SNAPSHOT is one of --from-repo.
                """,
            example: (
                "bakstore copy --from-repo /mnt/usb/backup --repo /mnt/nas/backup latest",
                "copies the newest snapshot from the USB disk to the server"
            )),
        Command(
            name: .stats, summary: "show how much a snapshot or the repository holds", operands: "[SNAPSHOT]",
            operandCount: .upTo(1), flags: [Flags.skipDamaged],
            example: ("bakstore stats", "shows the space taken and what deduplication saved")),
        Command(
            name: .benchmark, summary: "say what a repository would make of a library",
            operands: "PATH...", operandCount: .any, flags: Flags.benchmark,
            notes: """
                Everything is read once and nothing is stored; no repository is needed. With --repo its chunk sizes and
                its compression count, else those of a new one. Ctrl-C ends it with what was found so far.
                """,
            example: (
                "bakstore benchmark ~/Pictures --html report.html",
                "shows what takes the space, what is double, and how large a backup would be"
            )),
        Command(
            name: .check, aliases: ["verify"], summary: "look for damage in the repository",
            flags: Flags.check,
            conflicts: [(.readData, .readDataSubset)]
                + [.readDataSubset, .maxDuration].map { (.withoutKey, $0) },
            notes: """
                The exit code is 4 when damage was found; what to do about it is said at the end. --max-duration alone
                reads all that can be read in that time.
                """,
            example: ("bakstore check --read-data", "reads and verifies everything that is stored")),
        Command(
            name: .repair, summary: "bring back what is not lost after damage",
            operands: "index | packs [PACK...] | snapshots", operandCount: .between(1, .max),
            flags: Flags.repair,
            notes: """
                check says which of the three is needed. Nothing that is there is changed or deleted but damaged records
                of snapshots, for which there are spares; what is still lost is named, and the exit code is then 4.
                """,
            example: ("bakstore repair packs -n", "says what could be saved out of damaged packs")),
        Command(
            name: .safeToDelete, summary: "say which files a backup has, so that they may be deleted",
            operands: "PATH...", operandCount: .between(1, Int.max), flags: Flags.deletion,
            notes: """
                Each file is read, its content looked for in the complete snapshots, and read back and verified. A file is
                safe only if a snapshot that has it stays by the rules given here and those of every profile of
                this repository. The exit code is 0 only when all may be deleted; what must be kept is listed, with
                the date until which it is kept. Nothing is deleted.
                """,
            example: (
                "bakstore safe-to-delete /media/phone/DCIM",
                "says whether all the phone's photos are backed up"
            )),
        Command(
            name: .forget, summary: "remove snapshots, by name or by rules", operands: "[SNAPSHOT...]",
            operandCount: .any, flags: Flags.forget,
            notes: """
                A snapshot stays when any rule keeps it; without a rule nothing is removed. --dry-run says for each
                snapshot what would become of it and why. Space comes back with prune. Until then --undo takes back
                what is named, or what was removed last. The last snapshot of a device and paths goes only after a
                question, or with --yes.
                """,
            example: (
                "bakstore forget --keep-daily 7 --keep-weekly 4 --keep-monthly 12 -n",
                "shows what these rules would keep, and why"
            )),
        Command(
            name: .prune, summary: "give back the space of what no snapshot needs", flags: Flags.prune,
            notes: """
                With rules, on the command line or in the profile, snapshots are removed first, as forget does. Backups
                may run meanwhile. Interrupted, it is finished by the next one.
                """,
            example: (
                "bakstore prune --keep-daily 7 --keep-monthly 12 -n",
                "shows which snapshots these rules keep, and what space comes back"
            )),
        Command(
            name: .tag, summary: "change the tags of snapshots", operands: "[SNAPSHOT...]",
            operandCount: .any, flags: Flags.tagging, conflicts: [(.set, .add), (.set, .remove)],
            notes: """
                Without a SNAPSHOT, those that the other flags choose. A changed snapshot has a new id: it is stored
                beside the old one, which is then removed.
                """,
            example: ("bakstore tag latest --add keep", "adds a tag that --keep-tag keep keeps")),
        Command(
            name: .archive, summary: "take gone files out of an archive",
            operands: "remove SNAPSHOT:PATH...", operandCount: .between(1, .max), flags: Flags.archive,
            notes: """
                backup --archive keeps what its source has no more. What is removed here is missing from a new snapshot,
                which the next backup goes on from; earlier snapshots still have it, as long as they stay.
                """,
            example: (
                "bakstore archive remove latest:home/me/Pictures/blurred.jpg",
                "drops one photo that was deleted long ago"
            )),
        Command(
            name: .key, summary: "list and change the passwords of an encrypted repository",
            operands: "list | add | remove ID | passwd", operandCount: .between(1, 2), flags: Flags.key,
            notes: """
                A repository has one key and a slot for each password that opens it. A removed password opens it no more;
                whoever has read the key before, or kept a copy of the slot, still can.
                """,
            example: (
                "bakstore key add --name laptop", "asks for a further password that opens the repository"
            )),
        Command(
            name: .version, summary: "print the version", example: ("bakstore version", "prints the version")),
        Command(
            name: .help, summary: "explain a command", operands: "[COMMAND]", operandCount: .upTo(1),
            example: ("bakstore help backup", "explains backup and its flags")),
    ]

    /// The command of that spelling or alias.
    static func find(_ spelling: String) -> Command? {
        commands.first { $0.spellings.contains(spelling) }
    }

    /// The command of that name.
    static func command(_ name: CommandName) -> Command {
        commands.first { $0.name == name }!
    }
}
