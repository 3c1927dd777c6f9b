// Flags: the flags that every command takes, and those that several commands share. A flag of only one command is in
// that command's file. Flags that choose among snapshots are beside `SnapshotFilter`, and rules are in
// `Flags+Retention`.

import BakEngine

/// Groups of flags.
enum Flags {
    /// The flags of every command.
    static let global: [AnyFlag] = [
        .repo, .profile, .passwordFile, .passwordCommand, .verbose, .quiet, .json, .help, .version,
    ]

    /// The flags for the password of the --from-repo repository.
    static let sourcePassword: [AnyFlag] = [.fromPasswordFile, .fromPasswordCommand]

    /// Flags that contradict each other in every command.
    static let conflicts: [(flag: AnyFlag, others: [AnyFlag])] = [
        (.quiet, [.verbose]), (.passwordFile, [.passwordCommand]),
        (.fromPasswordFile, [.fromPasswordCommand]), (.newPasswordFile, [.newPasswordCommand]),
    ]

    /// Joins several lists of flags.
    static func joined(_ lists: [AnyFlag]...) -> [AnyFlag] { lists.flatMap(\.self) }

    /// The flags of every command that a profile may set.
    static let ofProfiles: [AnyFlag] = [.passwordFile, .passwordCommand]
}

extension AnyFlag {
    static let repo = Flag<String?>(
        "repo", .repository, short: "r", help: "the repository; without it, the default one of this user"
    )
    static let profile = Flag<String?>(
        "profile", .text("NAME", .repository(.profile)), short: "P",
        help: "use defaults from this profile of the configuration")
    static let passwordFile = Flag<String?>(
        "password-file", .place("FILE"), help: "read the repository's password from a file")
    static let passwordCommand = Flag<String?>(
        "password-command", .command, help: "take the repository's password from what a command prints")
    static let verbose = Flag<Int>(counted: "verbose", "v", help: "say more; twice: name every file")
    static let quiet = Flag<Bool>("quiet", "q", help: "print nothing but errors, and what was asked for")
    static let json = Flag<Bool>("json", help: "write JSON, one object a line")
    static let help = Flag<Bool>("help", "h", help: "explain the command and exit")
    static let version = Flag<Bool>("version", help: "print the version and exit")
}

extension AnyFlag {
    static let dryRun = Flag<Bool>("dry-run", "n", help: "say what would be done, and do nothing")
    /// For every command that takes the name of a snapshot.
    static let skipDamaged = Flag<Bool>(
        "skip-damaged", help: "latest means the newest snapshot that can be read, also if a newer one cannot")
    static let withoutGone = Flag<Bool>(
        "without-gone", help: "of an archive, leave out what its source has no more")
    static let compression = Flag<CompressionMode?>(
        "compression", .compression, help: "auto, off, fast, max, lz4 or zstd:1 to zstd:19")
    static let yes = Flag<Bool>("yes", "y", help: "do not ask")
    static let force = Flag<Bool>("force", "f", help: "read every file again, compare with no snapshot")
    static let alone = Flag<Bool>(
        "alone", help: "no other program uses the repository now: for disks that cannot keep several apart")
    static let exclude = Flag<[[UInt8]]>(
        "exclude", each: .pattern, help: "leave out what matches the pattern")
    static let iexclude = Flag<[[UInt8]]>(
        "iexclude", each: .pattern, help: "like --exclude, upper and lower case alike")
    static let maxDuration = Flag<UInt64?>(
        "max-duration", .duration,
        help: "work for at most so long, such as 30m; the next prune goes on from there")
    static let fromRepo = Flag<String?>(
        "from-repo", .repository, help: "the repository to be like, with --copy-chunker-params")
    static let fromPasswordFile = Flag<String?>(
        "from-password-file", .place("FILE"), help: "read the password of --from-repo from a file")
    static let fromPasswordCommand = Flag<String?>(
        "from-password-command", .command,
        help: "take the password of --from-repo from what a command prints")
}
