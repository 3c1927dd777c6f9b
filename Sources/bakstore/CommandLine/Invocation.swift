// Invocation: a command line after parsing. Every value in it has been validated, so reading one cannot fail.

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
    var flag: AnyFlag
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
    var profileFlags: Set<AnyFlag> = []

    /// True if the flag was given.
    func has(_ flag: AnyFlag) -> Bool { uses.contains { $0.flag == flag } }

    /// What the flag stands for as it was given, or as it was not.
    subscript<Value>(_ flag: Flag<Value>) -> Value { flag.value(of: allBytes(flag)) }

    /// Every value of a flag as it was given, in order.
    func allBytes(_ flag: AnyFlag) -> [[UInt8]] { uses.filter { $0.flag == flag }.map(\.value) }

    /// The flag's value as it was given; nil when it was not.
    func bytes(_ flag: AnyFlag) -> [UInt8]? { uses.last { $0.flag == flag }?.value }

    /// The labels of every `--tag`, each once, in order.
    var tags: [String] {
        var tags: [String] = []
        for tag in tagSets.joined() where !tags.contains(tag) { tags.append(tag) }
        return tags
    }

    /// The labels of each `--tag`: `--tag a,b --tag c` asks for (a and b) or c where snapshots are chosen.
    var tagSets: [[String]] { self[.tag] }

    /// How talkative to be: -1 with --quiet, 0, or the number of -v.
    var verbosity: Int { has(.quiet) ? -1 : self[.verbose] }
}
