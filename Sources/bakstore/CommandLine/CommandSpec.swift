// CommandSpec: what a command is: its names, operands, flags, exit codes and examples, and the code that runs it.
// Parsing, help, suggestions, completions, the man page and the reference are all made from it. Each stands beside its
// command's code, in `Commands/Command+<Name>.swift`.

/// One command.
struct CommandSpec: Sendable {
    /// Its main spelling.
    var name: CommandName
    /// Other spellings.
    var aliases: [String] = []
    /// One line that says what it does.
    var summary: String
    /// What it takes besides flags; nil where only its subcommands do.
    var operand: Operand?
    /// Its subcommands: words that may come first, each with operands of its own.
    var subcommands: [Subcommand] = []
    /// Its own flags, beside the global ones.
    var flags: [AnyFlag] = []
    /// Flags, each with those that contradict it.
    var conflicts: [(flag: AnyFlag, others: [AnyFlag])] = []
    /// Its flags that a profile may set. In other commands the same flag may choose among snapshots, which is never
    /// done unasked.
    var profileFlags: [AnyFlag] = []
    /// True if flags choose among the snapshots that it may be given the names of.
    var choosesSnapshots = false
    /// True if it changes nothing in the repository that it opens, nor has to say what could not be changed.
    var onlyReads = false
    /// False for a command that speaks of the program itself, and needs neither repository nor profile.
    var usesRepository = true
    /// What its exit codes mean beyond `ExitCode.meaning`.
    var exitCodes: [(code: ExitCode, meaning: String)] = []
    /// What a reader should know beyond the flags.
    var notes = ""
    /// Command lines to copy, and what each does; at least one.
    var examples: [(line: String, meaning: String)]
    /// What is wrong with a command line as a whole; nil when nothing is.
    var complaint: @Sendable (_ invocation: Invocation) -> String? = { _ in nil }
    /// Does its work.
    var run: @Sendable (_ invocation: Invocation, _ context: CommandContext) throws -> ExitCode

    /// Every flag that it understands.
    var allFlags: [AnyFlag] { flags + Flags.global }
    /// Flags without which it cannot run.
    var requiredFlags: [AnyFlag] { flags.filter(\.isRequired) }
    /// Every spelling of its name.
    var spellings: [String] { [name.rawValue] + aliases }
    /// The example that help shows.
    var example: (line: String, meaning: String) { examples[0] }

    /// Its operands as the usage line shows them.
    var operands: String {
        ([operand?.usage].compactMap(\.self) + subcommands.map(\.usage)).joined(separator: " | ")
    }

    /// How many operands it takes, a subcommand being one of them.
    var operandCount: ClosedRange<Int> {
        let counts =
            [operand?.count].compactMap(\.self)
            + subcommands.map { subcommand in
                let count = subcommand.operand?.count ?? 0...0
                return 1...(count.upperBound == .max ? .max : count.upperBound + 1)
            }
        return (counts.map(\.lowerBound).min() ?? 0)...(counts.map(\.upperBound).max() ?? 0)
    }

    /// The subcommand of that name.
    func subcommand(_ word: [UInt8]) -> Subcommand? {
        subcommands.first { word.elementsEqual($0.name.utf8) }
    }
}

/// A word that may come first behind a command.
struct Subcommand: Sendable {
    var name: String
    /// One line that says what it does.
    var summary: String
    /// What comes behind it; nil for nothing.
    var operand: Operand?

    /// The word and its operands as the usage line shows them.
    var usage: String { name + (operand.map { " " + $0.usage } ?? "") }
}

/// What a command takes besides flags.
struct Operand: Sendable {
    /// What the usage line shows, such as `[SNAPSHOT...]`.
    var usage: String
    /// How many there may be.
    var count: ClosedRange<Int>
    /// What a shell may complete each with.
    var completion: Completion

    init(_ usage: String, _ completion: Completion, _ count: ClosedRange<Int>) {
        (self.usage, self.completion, self.count) = (usage, completion, count)
    }
}

/// What a shell may complete a word with.
enum Completion: Sendable, Equatable {
    case nothing
    /// A file or folder of this machine.
    case file
    case folder
    /// A program, and what it takes.
    case program
    /// One of these.
    case words([String])
    /// The name of a command.
    case command
    /// What `bakstore generate words KIND` prints: what is in the repository, or in the configuration.
    case repository(RepositoryWords)
}
