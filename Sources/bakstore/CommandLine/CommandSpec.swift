// CommandSpec: describes a command: its names, operands, flags, exit codes and examples, and the code that runs it.
// Parsing, help, suggestions, completions, the man page and the reference are all made from it. Each spec is beside its
// command's code, in `Commands/Command+<Name>.swift`.

/// One command.
struct CommandSpec: Sendable {
    /// Its main spelling.
    var name: CommandName
    /// Other spellings.
    var aliases: [String] = []
    /// One line that says what it does.
    var summary: String
    /// Its operands; nil if only its subcommands take any.
    var operand: Operand?
    /// Its subcommands: words that may come first among the operands, each with operands of its own.
    var subcommands: [Subcommand] = []
    /// Its own flags, beside the global ones.
    var flags: [AnyFlag] = []
    /// Flags, each with the flags that contradict it.
    var conflicts: [(flag: AnyFlag, others: [AnyFlag])] = []
    /// Its flags that a profile may set. Each command has its own list, because in another command the same flag may
    /// choose among snapshots, and a profile must never do that.
    var profileFlags: [AnyFlag] = []
    /// True if flags choose among snapshots as an alternative to naming them.
    var choosesSnapshots = false
    /// True if the command changes nothing in the repository that it opens. Such a command also opens a repository in
    /// which a link or another item has the place of a folder, because it may still find the objects that it needs.
    var onlyReads = false
    /// False if the command is about the program itself, and needs neither repository nor profile.
    var usesRepository = true
    /// The meanings of its exit codes beyond `ExitCode.meaning`.
    var exitCodes: [(code: ExitCode, meaning: String)] = []
    /// Text for the reader of its help, beyond the flags.
    var notes = ""
    /// The notes, and how to name a snapshot if the command takes one.
    var description: String {
        let takesSnapshot = ([operand] + subcommands.map(\.operand)).contains {
            $0?.usage.contains("SNAPSHOT") == true
        }
        let naming =
            "SNAPSHOT is latest, latest~1 for the one before it, and so on, or the first characters of an id."
        return [notes, takesSnapshot ? naming : ""].filter { !$0.isEmpty }.joined(separator: "\n")
    }
    /// Command lines to copy, each with its meaning; at least one.
    var examples: [(line: String, meaning: String)]
    /// Says what is wrong with a command line as a whole; nil if nothing is.
    var complaint: @Sendable (_ invocation: Invocation) -> String? = { _ in nil }
    /// Runs the command.
    var run: @Sendable (_ invocation: Invocation, _ context: CommandContext) throws -> ExitCode

    /// Every flag that it takes.
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

    /// How many operands it takes. A subcommand counts as one.
    var operandCount: ClosedRange<Int> {
        let counts =
            [operand?.count].compactMap(\.self)
            + subcommands.map { subcommand in
                let count = subcommand.operand?.count ?? 0...0
                return 1...(count.upperBound == .max ? .max : count.upperBound + 1)
            }
        return (counts.map(\.lowerBound).min() ?? 0)...(counts.map(\.upperBound).max() ?? 0)
    }

    /// The subcommand with that name.
    func subcommand(_ word: [UInt8]) -> Subcommand? {
        subcommands.first { word.elementsEqual($0.name.utf8) }
    }
}

/// A word that may come first after a command.
struct Subcommand: Sendable {
    var name: String
    /// One line that says what it does.
    var summary: String
    /// Its operands; nil if it takes none.
    var operand: Operand?

    /// The word and its operands as the usage line shows them.
    var usage: String { name + (operand.map { " " + $0.usage } ?? "") }
}

/// The operands of a command.
struct Operand: Sendable {
    /// Their form in the usage line, such as `[SNAPSHOT...]`.
    var usage: String
    /// The possible numbers of operands.
    var count: ClosedRange<Int>
    /// How a shell completes each operand.
    var completion: Completion

    init(_ usage: String, _ completion: Completion, _ count: ClosedRange<Int>) {
        (self.usage, self.completion, self.count) = (usage, completion, count)
    }
}

/// How a shell completes a word.
enum Completion: Sendable, Equatable {
    case nothing
    /// A file or folder of this machine.
    case file
    case folder
    /// A program and its arguments.
    case program
    /// One of these words.
    case words([String])
    /// The name of a command.
    case command
    /// The words that `bakstore generate words KIND` prints, from the repository or the configuration.
    case repository(RepositoryWords)
}
