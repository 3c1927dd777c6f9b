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

    /// Flags that cannot be combined in any command.
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
        "repo", .place("FOLDER"), short: "r",
        help: "the repository (default: the default repository of this user)"
    )
    static let profile = Flag<String?>(
        "profile", .text("NAME", .repository(.profile)), short: "P",
        help: "use defaults from this profile of the configuration")
    static let passwordFile = Flag<String?>(
        "password-file", .place("FILE"), help: "read the repository's password from a file")
    static let passwordCommand = Flag<String?>(
        "password-command", .command, help: "take the repository's password from a command's output")
    static let verbose = Flag<Int>(
        counted: "verbose", "v", help: "name new, changed and left-out items; -vv names every file")
    static let quiet = Flag<Bool>("quiet", "q", help: "print only errors and the requested data")
    static let json = Flag<Bool>("json", help: "write JSON, one object per line")
    static let help = Flag<Bool>("help", "h", help: "explain the command and exit")
    static let version = Flag<Bool>("version", help: "print the version and exit")
}

extension AnyFlag {
    static let dryRun = Flag<Bool>("dry-run", "n", help: "show what would be done, and change nothing")
    /// A flag of every command that takes the name of a snapshot.
    static let skipDamaged = Flag<Bool>(
        "skip-damaged", help: "if the newest snapshot cannot be read, let latest mean the newest one that can"
    )
    static let withoutGone = Flag<Bool>(
        "without-gone", help: "leave out the gone files of an archive")
    static let compression = Flag<CompressionMode?>(
        "compression", .compression, help: "auto, off, fast, max, lz4 or zstd:1 to zstd:19")
    static let yes = Flag<Bool>("yes", "y", help: "do not ask")
    static let force = Flag<Bool>(
        "force", "f", help: "read every file again, without comparing with a snapshot")
    static let alone = Flag<Bool>(
        "alone",
        help:
            "confirm that no other program uses the repository now; for disks that cannot keep programs apart"
    )
    static let exclude = Flag<[[UInt8]]>(
        "exclude", each: .pattern, help: "leave out items that match the pattern")
    static let iexclude = Flag<[[UInt8]]>(
        "iexclude", each: .pattern, help: "like --exclude, but ignoring case")
    static let maxDuration = Flag<UInt64?>(
        "max-duration", .duration,
        help: "work for at most this long, such as 30m; the next prune continues from there")
    static let fromRepo = Flag<String?>(
        "from-repo", .place("FOLDER"),
        help: "the repository to take settings from, with --copy-chunker-params")
    static let fromPasswordFile = Flag<String?>(
        "from-password-file", .place("FILE"), help: "read the password of --from-repo from a file")
    static let fromPasswordCommand = Flag<String?>(
        "from-password-command", .command,
        help: "take the password of --from-repo from a command's output")
}
