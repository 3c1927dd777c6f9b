// `bakstore generate`: prints manual pages, completions and the reference, all made from the command specs. It also
// prints the words that completions ask for, such as the snapshots of a repository.

import BakCodec
import BakCore
import BakRepository
import BakStorage

extension CommandSpec {
    static let generate = CommandSpec(
        name: .generate, summary: "print manual pages and shell completions",
        subcommands: [
            Subcommand(
                name: "man", summary: "the manual page of the program, or of a command",
                operand: Operand("[COMMAND]", .command, 0...1)),
            Subcommand(name: "bash", summary: "completions for bash"),
            Subcommand(name: "zsh", summary: "completions for zsh"),
            Subcommand(name: "fish", summary: "completions for fish"),
            Subcommand(name: "reference", summary: "every command with its flags, as Markdown"),
            Subcommand(
                name: "words",
                summary: "the values for completions, one per line; never asks for a password",
                operand: Operand(
                    "KIND", .words(RepositoryWords.allCases.map(\.rawValue)), 1...1)),
        ],
        usesRepository: false,
        notes: """
            Write completions for bash to ~/.local/share/bash-completion/completions/bakstore, for fish to
            ~/.config/fish/completions/bakstore.fish, and for zsh to a file _bakstore in a folder of $fpath. KIND is one of
            snapshot, tag, device, host and profile.
            """,
        examples: [("bakstore generate man backup", "prints the manual page of backup, for man -l")],
        run: Commands.generate)
}

/// The kinds of words that completions ask for.
enum RepositoryWords: String, CaseIterable, Sendable {
    case snapshot, tag, device, host, profile
}

extension Commands {
    static func generate(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let words = invocation.operands.map { String(decoding: $0, as: UTF8.self) }
        guard let subcommand = CommandSpec.generate.subcommand(invocation.operands[0]),
            (subcommand.operand?.count ?? 0...0).contains(words.count - 1)
        else {
            throw UsageError("generate takes one of: \(CommandSpec.generate.operands)", command: .generate)
        }
        switch subcommand.name {
        case "man": try context.write(Array(page(words.dropFirst().first).utf8))
        case "bash": try context.write(Array(BashCompletion.script.utf8))
        case "zsh": try context.write(Array(ZshCompletion.script.utf8))
        case "fish": try context.write(Array(FishCompletion.script.utf8))
        case "reference": try context.write(Array(ReferencePage.text.utf8))
        default:
            guard let kind = RepositoryWords(rawValue: words[1]) else {
                throw UsageError(
                    "generate words takes one of: "
                        + RepositoryWords.allCases.map(\.rawValue).joined(separator: ", "), command: .generate
                )
            }
            for word in try found(kind, invocation, context) { try context.print(Formatting.line(word)) }
        }
        return .done
    }

    private static func page(_ name: String?) throws(UsageError) -> String {
        guard let name else { return ManPage.program }
        guard let command = CommandTable.find(name) else {
            throw UsageError("there is no command '\(Formatting.line(name))'", command: .generate)
        }
        return ManPage.command(command)
    }

    /// Returns the words of a kind, each once.
    private static func found(
        _ kind: RepositoryWords, _ invocation: Invocation, _ context: CommandContext
    ) throws -> [String] {
        if kind == .profile { return try context.profiles().map(\.name) }
        var context = context
        context.terminal = UnattendedConsole(base: context.terminal)
        let repository = try RepositoryAccess.open(
            try context.environment.complete(invocation), context: context, writesNothing: true
        ).repository
        let snapshots = try repository.snapshotList().readable
        let all =
            switch kind {
            case .snapshot: ["latest"] + snapshots.reversed().map(\.id.short)
            case .tag: snapshots.flatMap(\.tags)
            case .device: snapshots.map(\.device)
            case .host, .profile: snapshots.map(\.host)
            }
        var seen: Set<String> = []
        return all.filter { seen.insert($0).inserted }
    }
}

/// A console without a user: questions get no answer.
private struct UnattendedConsole: Console {
    let base: any Console

    var outputIsClosed: Bool { base.outputIsClosed }
    var outputIsTerminal: Bool { base.outputIsTerminal }
    var errorIsTerminal: Bool { false }
    var width: Int { base.width }
    var isASCII: Bool { base.isASCII }

    func writeOutput(_ bytes: [UInt8]) throws(OutputError) { try base.writeOutput(bytes) }
    func flushOutput() throws(OutputError) { try base.flushOutput() }
    func writeError(_ bytes: [UInt8]) { base.writeError(bytes) }
    func ask(_ question: String, stop: StopSignal) -> String? { nil }
    func askPassword(_ question: String, stop: StopSignal) throws(SourceError) -> SecretBytes? { nil }
}
