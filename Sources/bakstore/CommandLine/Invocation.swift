// Invocation: a command line after parsing. Every value in it has been validated, so reading one cannot fail.

import BakCore
import BakEngine

/// A use of the program that cannot be understood or carried out; exit code 2.
struct UsageError: Error, Equatable {
    /// What is wrong, in one line without a full stop.
    var message: String
    /// The command whose help would say more.
    var command: CommandName?

    init(_ message: String, command: CommandName? = nil) {
        self.message = message
        self.command = command
    }
}

/// A flag as it was given.
struct FlagUse: Equatable {
    var name: FlagName
    /// Empty for a switch.
    var value: [UInt8]
}

/// What the user asked for.
struct Invocation {
    var command: CommandName
    /// In the order of the command line.
    var uses: [FlagUse] = []
    /// What is neither command nor flag, as bytes: paths need not be UTF-8.
    var operands: [[UInt8]] = []
    /// What the command line left open was taken from it.
    var profile: Profile?
    /// The flags that come from the profile.
    var profileFlags: Set<FlagName> = []

    /// Whether the flag was given.
    func has(_ flag: FlagName) -> Bool { uses.contains { $0.name == flag } }

    /// How often the flag was given.
    func occurrences(of flag: FlagName) -> Int { uses.count { $0.name == flag } }

    /// Every value of a repeatable flag, in order.
    func allBytes(_ flag: FlagName) -> [[UInt8]] { uses.filter { $0.name == flag }.map(\.value) }

    /// Every value of a repeatable flag as text.
    func allTexts(_ flag: FlagName) -> [String] {
        allBytes(flag).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The flag's value as bytes; nil when it was not given.
    func bytes(_ flag: FlagName) -> [UInt8]? { uses.last { $0.name == flag }?.value }

    /// The flag's value as text.
    func text(_ flag: FlagName) -> String? { bytes(flag).map { String(decoding: $0, as: UTF8.self) } }

    /// The flag's value in bytes of size.
    func size(_ flag: FlagName) -> UInt64? { text(flag).flatMap(ByteSize.parse) }

    /// The flag's value as a number.
    func count(_ flag: FlagName) -> Int? { text(flag).flatMap { Int($0) } }

    /// The flag's value in seconds.
    func seconds(_ flag: FlagName) -> UInt64? { text(flag).flatMap(Duration.parse) }

    /// The value of `--compression`.
    var compression: CompressionMode? { text(.compression).flatMap { CompressionMode($0) } }

    /// The value of `--time`; it is local time unless it names a zone.
    var time: CivilTime? { text(.time).flatMap(CivilTime.init) }

    /// The labels of every `--tag`, each once, in order.
    var tags: [String] {
        var tags: [String] = []
        for tag in tagSets.joined() where !tags.contains(tag) { tags.append(tag) }
        return tags
    }

    /// The labels of each `--tag`: `--tag a,b --tag c` asks for (a and b) or c where snapshots are chosen.
    var tagSets: [[String]] { allTexts(.tag).map(Labels.split) }

    /// How talkative to be: -1 with --quiet, 0, or the number of -v.
    var verbosity: Int { has(.quiet) ? -1 : occurrences(of: .verbose) }
}
