// Flags: every flag that some command takes: its spellings, its value and its line of help.
//
// Always holds: a flag of one name means the same, and takes the same kind of value, in every command.

import BakCodec
import BakCore
import BakEngine
import BakFormat
import BakRepository

/// The flags by their long spelling, so that a command cannot ask for one that does not exist.
enum FlagName: String, CaseIterable {
    case passwordFile = "password-file"
    case passwordCommand = "password-command"
    case fromPasswordFile = "from-password-file"
    case fromPasswordCommand = "from-password-command"
    case newPasswordFile = "new-password-file"
    case newPasswordCommand = "new-password-command"
    case encryption, name
    case withoutKey = "without-key"
    case repo, profile, verbose, quiet, json, help, version
    case id, compression
    case packSize = "pack-size"
    case tag, device, host, time, path, latest, all
    case exclude, iexclude, include, iinclude
    case excludeFile = "exclude-file"
    case excludeCaches = "exclude-caches"
    case excludeIfPresent = "exclude-if-present"
    case excludeLargerThan = "exclude-larger-than"
    case oneFileSystem = "one-file-system"
    case noIgnoreFiles = "no-ignore-files"
    case filesFrom = "files-from"
    case filesFromRaw = "files-from-raw"
    case stdin
    case stdinFilename = "stdin-filename"
    case parent, force
    case since, html
    case ignoreCtime = "ignore-ctime"
    case ignoreInode = "ignore-inode"
    case skipIfUnchanged = "skip-if-unchanged"
    case skipDamaged = "skip-damaged"
    case acceptOlder = "accept-older"
    case archive
    case noArchive = "no-archive"
    case allowEmpty = "allow-empty"
    case withoutGone = "without-gone"
    case readConcurrency = "read-concurrency"
    case dryRun = "dry-run"
    case long, recursive, groups
    case withGroup = "with-group"
    case target, overwrite
    case ignoreFreeSpace = "ignore-free-space"
    case privileged
    case readData = "read-data"
    case readDataSubset = "read-data-subset"
    case maxDuration = "max-duration"
    case fromRepo = "from-repo"
    case copyChunkerParams = "copy-chunker-params"
    case keepLast = "keep-last"
    case keepHourly = "keep-hourly"
    case keepDaily = "keep-daily"
    case keepWeekly = "keep-weekly"
    case keepMonthly = "keep-monthly"
    case keepYearly = "keep-yearly"
    case keepWithin = "keep-within"
    case keepWithinHourly = "keep-within-hourly"
    case keepWithinDaily = "keep-within-daily"
    case keepWithinWeekly = "keep-within-weekly"
    case keepWithinMonthly = "keep-within-monthly"
    case keepWithinYearly = "keep-within-yearly"
    case keepTag = "keep-tag"
    case keepID = "keep-id"
    case groupBy = "group-by"
    case unsafeAllowRemoveAll = "unsafe-allow-remove-all"
    case sameDiskIsFine = "same-disk-is-fine"
    case prune, undo
    case maxUnused = "max-unused"
    case maxRepackSize = "max-repack-size"
    case add, remove, set
    case yes
    case alone, shared
}

/// What a flag's value must be.
enum ValueKind: Sendable {
    /// Any bytes but none at all; the text names it in help.
    case bytes(String)
    /// UTF-8 text that is not empty.
    case text(String)
    /// Words with commas between; none at all where that may be.
    case labels(mayBeNone: Bool = false)
    /// A command line for the shell.
    case command
    /// A file or folder of this machine, of a name in UTF-8 unless it is taken as the bytes that it is. An input may be `-`.
    case place(String, isText: Bool = true, isInput: Bool = false)
    /// A size within a range of bytes.
    case size(ClosedRange<UInt64>)
    /// A whole number within a range.
    case count(ClosedRange<Int>)
    /// A stretch of time, such as `30m`.
    case duration
    /// A part of what is stored.
    case subset
    /// One of a few words.
    case choice([String])
    /// A compression mode.
    case compression
    /// A date and time.
    case time
    /// A path pattern.
    case pattern
    /// A marker file.
    case mark
    /// How many snapshots are kept: a number or `unlimited`.
    case keepCount
    /// Text that a parser takes: its name in help, and what it must be when it does not.
    case parsed(String, expected: String, @Sendable (String) -> Bool)

    /// The value's name in help.
    var placeholder: String {
        switch self {
        case .bytes(let name), .text(let name), .place(let name, _, _): name
        case .labels: "TAG[,TAG]"
        case .command: "COMMAND"
        case .size: "SIZE"
        case .count: "N"
        case .duration: "DURATION"
        case .subset: "n/t|x%|SIZE"
        case .choice(let words): words.joined(separator: "|")
        case .compression: "MODE"
        case .time: "TIME"
        case .pattern: "PATTERN"
        case .mark: "NAME[:HEADER]"
        case .keepCount: "N"
        case .parsed(let name, _, _): name
        }
    }

    /// What is allowed, when `value` is not; nil when it is.
    func complaint(about value: [UInt8]) -> String? {
        let text = String(validating: value, as: UTF8.self)
        switch self {
        case .bytes(let name):
            return value.isEmpty ? "must be a \(name), not empty" : NameSlip.objection(to: value)
        case .text(let name):
            return (text ?? "").isEmpty
                ? "must be a \(name) in UTF-8, not empty" : NameSlip.objection(to: value)
        case .labels(let mayBeNone):
            guard let text, mayBeNone && value.isEmpty || !Labels.split(text).isEmpty else {
                return "must be a TAG, or several with commas between, in UTF-8"
            }
            return NameSlip.objection(to: value)
        case .command:
            return (text ?? "").contains { !$0.isWhitespace } ? nil : "must be a COMMAND in UTF-8, not empty"
        case .place(let name, let isText, let isInput):
            if value.isEmpty { return "must be a \(name), not empty" }
            if isInput, value == [UInt8(ascii: "-")] { return nil }
            return isText && text == nil ? PlaceName.notText : PlaceName.objection(to: value)
        case .size(let range):
            guard let size = text.flatMap(ByteSize.parse) else {
                return "must be a size such as 500K, 1.5M or 2GiB"
            }
            if range.contains(size) { return nil }
            return
                "must lie between \(ByteSize.text(range.lowerBound)) and \(ByteSize.text(range.upperBound))"
        case .count(let range):
            if let number = text.flatMap({ Int($0) }), range.contains(number) { return nil }
            return range.upperBound == .max
                ? "must be a whole number from \(range.lowerBound) up"
                : "must be a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .duration:
            return text.flatMap(Duration.parse) == nil
                ? "must be a time such as 45s, 30m, 2h or 1h30m, at least a second" : nil
        case .subset:
            return text.flatMap { PackSubset($0) } == nil
                ? "must be a part such as 2/5, a share such as 10% or a size such as 20G" : nil
        case .choice(let words):
            return words.contains { $0 == text } ? nil : "must be \(words.joinedAsChoice)"
        case .compression:
            return text.flatMap { CompressionMode($0) } == nil
                ? "must be auto, off, fast, max, lz4 or zstd:1 to zstd:19" : nil
        case .time:
            return text.flatMap(CivilTime.init) == nil
                ? "must be a date and time such as '2025-12-31 23:59:59' or 2025-12-31T23:59:59Z" : nil
        case .pattern:
            do throws(PatternError) {
                _ = try PathPattern(value, origin: "")
                return nil
            } catch { return error.reason }
        case .mark:
            return FolderMark(value) == nil ? "must be a file's NAME, or NAME:HEADER, without a slash" : nil
        case .keepCount:
            return text.flatMap(KeepCount.parse) == nil
                ? "must be a whole number from 0 up, or unlimited (-1)" : nil
        case .parsed(_, let expected, let isValid): return text.map(isValid) == true ? nil : expected
        }
    }
}

extension ValueKind {
    /// What may be chosen among, where a placeholder in help does not list it.
    var choices: String? {
        switch self {
        case .bytes, .text, .labels, .command, .place, .choice, .pattern: nil
        default: complaint(about: [])
        }
    }

    /// What a value that there is no complaint about stands for.
    func meaning(of value: [UInt8]) -> [UInt8] {
        if case .place = self { PlaceName.path(value) } else { value }
    }
}

extension [String] {
    /// `a, b or c`.
    var joinedAsChoice: String {
        count < 2 ? joined() : dropLast().joined(separator: ", ") + " or " + self[count - 1]
    }
}

/// One flag.
struct Flag: Sendable {
    var name: FlagName
    var short: Character?
    /// What its value is; nil for a switch.
    var value: ValueKind?
    /// Whether it may be given more than once.
    var isRepeatable = false
    /// One line for people.
    var help: String

    /// The long spelling with its dashes.
    var spelling: String { "--" + name.rawValue }

    init(
        _ name: FlagName, _ short: Character? = nil, _ value: ValueKind? = nil, repeatable: Bool = false,
        help: String
    ) {
        self.name = name
        self.short = short
        self.value = value
        isRepeatable = repeatable
        self.help = help
    }
}

/// The flags of each command.
enum Flags {
    static let global: [Flag] = [
        Flag(.repo, "r", .place("FOLDER"), help: "the repository; without it, the default one of this user"),
        Flag(
            .profile, "P", .text("NAME"),
            help: "take what is not given from this profile of the configuration"),
        Flag(
            .passwordFile, nil, .place("FILE"),
            help: "read the repository's password from a file"),
        Flag(
            .passwordCommand, nil, .command,
            help: "take the repository's password from what a command prints"),
        Flag(.verbose, "v", repeatable: true, help: "say more; twice: name every file"),
        Flag(.quiet, "q", help: "print nothing but errors, and what was asked for"),
        Flag(.json, help: "write JSON, one object a line"),
        Flag(.help, "h", help: "explain the command and exit"),
        Flag(.version, help: "print the version and exit"),
    ]

    static let compression = Flag(
        .compression, nil, .compression, help: "auto, off, fast, max, lz4 or zstd:1 to zstd:19")
    static let dryRun = Flag(.dryRun, "n", help: "say what would be done, and do nothing")
    private static let tag = Flag(
        .tag, nil, .labels(), repeatable: true, help: "a label for the snapshot")
    private static let exclude = Flag(
        .exclude, nil, .pattern, repeatable: true, help: "leave out what matches the pattern")
    private static let iexclude = Flag(
        .iexclude, nil, .pattern, repeatable: true, help: "like --exclude, upper and lower case alike")

    /// For the repository of --from-repo.
    static let sourcePassword: [Flag] = [
        Flag(
            .fromPasswordFile, nil, .place("FILE"),
            help: "read the password of --from-repo from a file"),
        Flag(
            .fromPasswordCommand, nil, .command,
            help: "take the password of --from-repo from what a command prints"),
    ]

    /// Pairs that contradict each other in every command.
    static let conflicts: [(FlagName, FlagName)] = [
        (.quiet, .verbose), (.passwordFile, .passwordCommand), (.fromPasswordFile, .fromPasswordCommand),
        (.newPasswordFile, .newPasswordCommand),
    ]

    static let key: [Flag] = [
        Flag(
            .newPasswordFile, nil, .place("FILE"),
            help: "add, passwd: read the new password from a file"),
        Flag(
            .newPasswordCommand, nil, .command,
            help: "add, passwd: take the new password from what a command prints"),
        Flag(
            .name, nil,
            .parsed("NAME", expected: "must be a NAME of at most \(KeySlotNote.nameBytes) bytes, not empty") {
                !$0.isEmpty && $0.utf8.count <= KeySlotNote.nameBytes
                    && NameSlip.objection(to: Array($0.utf8)) == nil
            }, help: "add, passwd: what to call the key slot (default: the user's name)"),
    ]

    static let initialize: [Flag] =
        [
            Flag(.shared, help: "let the members of the folder's group use the repository, too"),
            Flag(
                .encryption, nil, .choice(["auto"] + SealMethod.allCases.map(\.description)),
                help:
                    "encrypt with a password; auto takes the cipher that suits the processor (default: none)"),
            Flag(
                .id, nil, .choice(["xxh3", "sha256"]),
                help:
                    "how content is named: xxh3, or sha256 if strangers' files come in (default with --shared)"
            ),
            Flag(
                .packSize, nil, .size(1 << 20...1 << 30),
                help: "size of a stored object, 1M to 1G (default: 32M)"
            ),
            compression,
            Flag(
                .fromRepo, nil, .place("FOLDER"),
                help: "the repository to be like, with --copy-chunker-params"),
            Flag(
                .copyChunkerParams,
                help: "cut and name content as that one does, so that copy need not code it again"),
            Flag(.yes, "y", help: "make it where another repository was, which is not there now"),
        ] + sourcePassword

    static let backup: [Flag] = [
        tag,
        Flag(.device, "d", .text("NAME"), help: "the phone or computer that the files belong to"),
        Flag(.host, nil, .text("NAME"), help: "the machine's name to record"),
        Flag(.time, nil, .time, help: "the time to record instead of now"),
        exclude, iexclude,
        Flag(
            .excludeFile, nil, .place("FILE", isText: false, isInput: true), repeatable: true,
            help: "read patterns to leave out, one a line"),
        Flag(.excludeCaches, help: "leave out what lies in folders with a CACHEDIR.TAG"),
        Flag(
            .excludeIfPresent, nil, .mark, repeatable: true,
            help: "leave out what lies in folders with this file"),
        Flag(.excludeLargerThan, nil, .size(0...UInt64.max), help: "leave out files larger than this"),
        Flag(.oneFileSystem, "x", help: "stay on the file system of each PATH"),
        Flag(.noIgnoreFiles, help: "take what .bakignore files leave out, too"),
        Flag(
            .filesFrom, nil, .place("FILE", isText: false, isInput: true), repeatable: true,
            help: "read paths to back up, one a line; - is standard input"),
        Flag(
            .filesFromRaw, nil, .place("FILE", isText: false, isInput: true), repeatable: true,
            help: "the same, each path ended by a NUL byte"),
        Flag(.stdin, help: "back up standard input as one file"),
        Flag(.stdinFilename, nil, .bytes("NAME"), help: "the name of that file (default: stdin)"),
        Flag(.parent, nil, .text("SNAPSHOT"), help: "the snapshot to compare with"),
        skipDamaged,
        Flag(.force, "f", help: "read every file again, compare with no snapshot"),
        Flag(.ignoreCtime, help: "do not look at the inode's change time"),
        Flag(.ignoreInode, help: "do not look at inode numbers and change times"),
        Flag(.skipIfUnchanged, help: "make no snapshot when nothing has changed"),
        Flag(.archive, help: "keep what is not there any more, marked as gone; later backups go on so"),
        Flag(.noArchive, help: "end the archive: keep only what is there"),
        Flag(.allowEmpty, help: "it is meant that a PATH has no files any more, or less than half of them"),
        Flag(
            .readConcurrency, nil, .count(1...64),
            help: "how many files are read at once, 1 to 64 (default: as suits the disk)"),
        compression, dryRun,
    ]

    /// Flags of backup that choose among files: with --stdin there is nothing to choose.
    static let ofFilesOnly: [FlagName] = [
        .filesFrom, .filesFromRaw, .exclude, .iexclude, .excludeFile, .excludeCaches, .excludeIfPresent,
        .excludeLargerThan, .oneFileSystem, .noIgnoreFiles, .skipIfUnchanged, .archive, .noArchive,
    ]

    /// Flags of backup that mean nothing where nothing is stored.
    private static let ofStoringOnly: [FlagName] = [.skipIfUnchanged, .archive, .noArchive]

    /// Wherever a snapshot can be named.
    static let skipDamaged = Flag(
        .skipDamaged, help: "latest means the newest snapshot that can be read, also if a newer one cannot")

    static let withoutGone = Flag(
        .withoutGone, help: "of an archive, leave out what its source has no more")

    static let archive: [Flag] = [
        Flag(.force, "f", help: "also what the source still has: it comes back with the next backup"),
        Flag(.yes, "y", help: "do not ask"), skipDamaged, dryRun,
    ]

    /// What chooses among files, and how they are read.
    static let benchmark: [Flag] =
        backup.filter {
            ofFilesOnly.contains($0.name) && !ofStoringOnly.contains($0.name)
                || [.readConcurrency, .compression].contains($0.name)
        } + [
            Flag(
                .since, nil, .text("SNAPSHOT"),
                help: "also say what files that changed since would cost, with container hints and without"),
            skipDamaged,
            Flag(
                .html, nil, .place("FILE"),
                help: "write a report with charts to this file, for a browser"),
        ]

    static let alone = Flag(
        .alone, help: "no other program uses the repository now: for disks that cannot keep several apart")

    static let repair: [Flag] = [alone, dryRun]

    static let copy: [Flag] =
        [Flag(.fromRepo, nil, .place("FOLDER"), help: "the repository to copy from (needed)")]
        + sourcePassword + snapshots.filter { $0.name != .all } + [dryRun]

    /// Flags that choose among snapshots.
    static let choosing: [Flag] =
        [
            Flag(.tag, nil, .labels(), repeatable: true, help: "only with all of these tags"),
            Flag(.host, nil, .text("NAME"), repeatable: true, help: "only of this machine"),
            Flag(.device, "d", .text("NAME"), repeatable: true, help: "only of this phone or computer"),
            Flag(
                .path, nil, .place("PATH", isText: false), repeatable: true,
                help: "only those that hold this backed-up path"
            ),
        ]

    static let snapshots: [Flag] =
        choosing + [
            Flag(.latest, nil, .count(1...Int.max), help: "only the last N of each device and set of paths"),
            Flag(.all, help: "also interrupted ones that later ones made up for"), skipDamaged,
        ]

    static let list: [Flag] = [
        Flag(.long, "l", help: "show permissions, owner, size and time"),
        Flag(.recursive, "R", help: "show what lies beneath as well"),
        Flag(.groups, help: "show only files that belong together: live photos, raw and JPEG, sidecars"),
        withoutGone, skipDamaged,
    ]

    static let restore: [Flag] = [
        Flag(.target, "t", .place("FOLDER"), help: "where to restore to (needed)"),
        Flag(.include, nil, .pattern, repeatable: true, help: "restore only what matches the pattern"),
        Flag(.iinclude, nil, .pattern, repeatable: true, help: "like --include, upper and lower case alike"),
        exclude, iexclude,
        Flag(
            .withGroup, help: "also restore what belongs together with a file: a live photo's film, sidecars"),
        Flag(
            .overwrite, nil, .choice(["always", "if-changed", "if-newer", "never"]),
            help: "what to do with files that are there already (default: always)"),
        Flag(
            .privileged,
            help: "bring set-id bits, capabilities, security attributes and device files back, too"),
        Flag(.ignoreFreeSpace, help: "begin even if the target says that it has not the room"),
        withoutGone, skipDamaged, dryRun,
    ]

    static let check: [Flag] = [
        Flag(.withoutKey, help: "of an encrypted repository, check what can be checked without its password"),
        Flag(.readData, help: "read and verify all stored data, not only its index"),
        Flag(
            .acceptOlder, help: "it is meant that the repository is older than when this machine last saw it"),
        Flag(
            .readDataSubset, nil, .subset,
            help: "read a part: the n-th of t, a share or a size; what was not read for longest first"),
        Flag(
            .maxDuration, nil, .duration,
            help: "read for so long, such as 30m; the next check goes on from there"),
    ]
}
