// `bakstore help`, `bakstore COMMAND --help`: print the command table as text.

extension CommandSpec {
    static let help = CommandSpec(
        name: .help, summary: "explain a command", operand: Operand("[COMMAND]", .command, 0...1),
        usesRepository: false, examples: [("bakstore help backup", "explains backup and its flags")],
        run: Commands.help)
}

extension Commands {
    static func help(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        guard let operand = invocation.operands.first else {
            try printText(HelpText(context.helpWidth).overview(), context)
            return .done
        }
        let name = String(decoding: operand, as: UTF8.self)
        guard let command = CommandTable.find(name) else {
            let near = Suggestion.nearest(to: name, among: CommandTable.commands.flatMap(\.spellings))
            throw UsageError(
                "there is no command '\(Formatting.name(operand))'"
                    + (near.map { ". Did you mean \($0)?" } ?? ""),
                command: .help)
        }
        try printText(HelpText(context.helpWidth).command(command), context)
        return .done
    }

    private static func printText(_ text: String, _ context: CommandContext) throws {
        guard context.isJSON else { return try context.print(text) }
        try context.tell(.help) { $0.member("text", text) }
    }
}

extension CommandContext {
    /// The width of help texts; nil for programs, which get lines of any length.
    fileprivate var helpWidth: Int? { isJSON ? nil : terminal.outputWidth }
}
