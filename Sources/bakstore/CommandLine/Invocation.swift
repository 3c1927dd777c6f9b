// Invocation: a command line after parsing. Every value in it has been validated, so reading one cannot fail.

/// A command line that the program cannot understand or carry out; exit code 2.
struct UsageError: Error, Equatable {
    /// The error, in one line without a full stop.
    var message: String
    /// The command whose help says more.
    var command: CommandName?

    init(_ message: String, command: CommandName? = nil) {
        self.message = message
        self.command = command
    }
}

/// One use of a flag.
struct FlagUse: Equatable {
    var flag: AnyFlag
    /// Empty for a switch.
    var value: [UInt8]
}

/// A parsed command line.
struct Invocation {
    var command: CommandName
    /// The uses of flags, in the order of the command line.
    var uses: [FlagUse] = []
    /// The words that are neither command nor flag, as bytes, because paths need not be UTF-8.
    var operands: [[UInt8]] = []
    /// The profile that completed the command line; nil if none did.
    var profile: Profile?
    /// The flags that come from the profile.
    var profileFlags: Set<AnyFlag> = []

    /// True if the flag was given.
    func has(_ flag: AnyFlag) -> Bool { uses.contains { $0.flag == flag } }

    /// The value of a flag: the one that was given, or else its default.
    subscript<Value>(_ flag: Flag<Value>) -> Value { flag.value(of: allBytes(flag)) }

    /// Every value of a flag in its original bytes, in order.
    func allBytes(_ flag: AnyFlag) -> [[UInt8]] { uses.filter { $0.flag == flag }.map(\.value) }

    /// The last value of a flag in its original bytes; nil if the flag was not given.
    func bytes(_ flag: AnyFlag) -> [UInt8]? { uses.last { $0.flag == flag }?.value }

    /// All labels of all `--tag` flags, each label once, in order.
    var tags: [String] {
        var tags: [String] = []
        for tag in tagSets.joined() where !tags.contains(tag) { tags.append(tag) }
        return tags
    }

    /// The labels of each `--tag` by itself. A command that chooses snapshots takes `--tag a,b --tag c` as (a and b) or
    /// c.
    var tagSets: [[String]] { self[.tag] }

    /// The amount of output: -1 with --quiet, else the number of -v.
    var verbosity: Int { has(.quiet) ? -1 : self[.verbose] }
}
