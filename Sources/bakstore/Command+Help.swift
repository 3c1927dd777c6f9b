// `bakstore help`, `bakstore COMMAND --help`: the command table in words.

extension Commands {
    static func help(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        guard let operand = invocation.operands.first else {
            try printText(HelpText.overview(), context)
            return .done
        }
        let name = String(decoding: operand, as: UTF8.self)
        guard let command = CommandTable.find(name) else {
            let near = Suggestion.nearest(to: name, among: CommandTable.commands.flatMap(\.spellings))
            throw UsageError(
                "there is no command '\(Formatting.name(operand))'"
                    + (near.map { "; did you mean \($0)?" } ?? ""),
                command: .help)
        }
        try printText(HelpText.command(command), context)
        return .done
    }

    private static func printText(_ text: String, _ context: CommandContext) throws {
        guard context.isJSON else { return try context.print(text) }
        try context.printJSON { json in
            json.member("message_type", "help")
            json.member("text", text)
        }
    }
}

/// Help as text, made from the command table.
enum HelpText {
    /// What the program is and which commands it has.
    static func overview() -> String {
        var table = TextTable([.left, .left])
        for command in CommandTable.commands {
            let aliases = command.aliases.isEmpty ? "" : " (\(command.aliases.joined(separator: ", ")))"
            table.append(["  " + command.name.rawValue + aliases, command.summary])
        }
        return """
            bakstore keeps copies of files, each part stored once.

            usage: bakstore COMMAND [FLAGS]

            commands:
            \(table.lines().joined(separator: "\n"))

            flags of every command:
            \(flags(Flags.global))

            first backup: bakstore backup ~/Pictures
            more about a command: bakstore COMMAND --help
            """
    }

    /// How one command is used.
    static func command(_ command: Command) -> String {
        let head = ["bakstore", command.name.rawValue, command.operands, "[FLAGS]"]
        var sections = [
            "bakstore \(command.name.rawValue): \(command.summary)",
            "usage: " + head.filter { !$0.isEmpty }.joined(separator: " "),
        ]
        if !command.aliases.isEmpty { sections[1] += "\nalias: " + command.aliases.joined(separator: ", ") }
        if !command.flags.isEmpty { sections.append("flags:\n" + flags(command.flags)) }
        sections.append("flags of every command:\n" + flags(Flags.global))
        if !command.notes.isEmpty { sections.append(command.notes) }
        sections.append("example:\n  \(command.example.line)\n      \(command.example.meaning)")
        return sections.joined(separator: "\n\n")
    }

    private static func flags(_ flags: [Flag]) -> String {
        var table = TextTable([.left, .left])
        for flag in flags {
            let short = flag.short.map { "-\($0), " } ?? "    "
            let value = flag.value.map { " " + $0.placeholder } ?? ""
            let repeatable = flag.isRepeatable && flag.value != nil ? "; may be repeated" : ""
            table.append(["  " + short + flag.spelling + value, flag.help + repeatable])
        }
        return table.lines().joined(separator: "\n")
    }
}
