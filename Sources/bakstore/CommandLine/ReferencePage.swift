// ReferencePage: writes `docs/reference.md`: every command with its flags, as Markdown.

/// The reference, made from the commands' specifications.
enum ReferencePage {
    /// The page, which ends with a newline.
    static var text: String {
        let commands = CommandTable.commands
        let sections =
            [
                """
                # Reference

                Every command with its flags, exit codes and examples. `generate reference` makes this page;
                the [manual](manual.md) explains what they are for.
                """,
                "## The commands\n\n"
                    + table(
                        ["command", "what it does"],
                        commands.map { ["[`\($0.name.rawValue)`](#\($0.name.rawValue))", cell($0.summary)] }),
                "## Flags of every command\n\n" + flags(Flags.global),
            ] + commands.map(section) + [
                "## Exit codes\n\n"
                    + table(
                        ["code", "meaning"], ExitCode.allCases.map { ["\($0.rawValue)", cell($0.meaning)] }),
                "## Environment\n\n"
                    + table(
                        ["variable", "meaning"],
                        Environment.variables.map { ["`\($0.name)`", cell($0.meaning)] }),
            ]
        return sections.joined(separator: "\n\n") + "\n"
    }

    private static func section(_ command: CommandSpec) -> String {
        let name = command.name.rawValue
        let usage = ["bakstore", name, command.operands, "[FLAGS]"].filter { !$0.isEmpty }
        var parts = [
            "## \(name)", sentence(command.summary) + aliases(command),
            "    " + usage.joined(separator: " "),
        ]
        if !command.description.isEmpty { parts.append(escaped(command.description)) }
        if !command.subcommands.isEmpty {
            parts.append(
                table(
                    ["subcommand", "what it does"],
                    command.subcommands.map { ["`\($0.usage)`".withoutBars, cell($0.summary)] }))
        }
        if !command.flags.isEmpty { parts.append(flags(command.flags)) }
        if !command.exitCodes.isEmpty {
            parts.append(
                table(
                    ["exit code", "meaning here"],
                    command.exitCodes.map { ["\($0.code.rawValue)", cell($0.meaning)] }))
        }
        for example in command.examples {
            parts.append("Example: \(escaped(example.meaning)):\n\n    \(example.line)")
        }
        return parts.joined(separator: "\n\n")
    }

    private static func aliases(_ command: CommandSpec) -> String {
        guard !command.aliases.isEmpty else { return "" }
        return " Also called \(command.aliases.map { "`\($0)`" }.joined(separator: ", "))."
    }

    private static func flags(_ flags: [AnyFlag]) -> String {
        table(
            ["flag", "meaning"],
            flags.map { flag in
                let short = flag.short.map { "`-\($0)`, " } ?? ""
                let value = flag.value.map { " " + $0.placeholder } ?? ""
                let repeated = flag.isRepeatable && flag.value != nil ? "; may be repeated" : ""
                return [short + "`\(flag.spelling)\(value)`".withoutBars, cell(flag.help + repeated)]
            })
    }

    // MARK: Markdown

    private static func table(_ header: [String], _ rows: [[String]]) -> String {
        let rule = header.map { _ in "---" }
        return ([header] + [rule] + rows).map { cells in
            cells == rule ? "|---|---|" : "| " + cells.joined(separator: " | ") + " |"
        }.joined(separator: "\n")
    }

    private static func cell(_ text: String) -> String { escaped(text).withoutBars }

    /// Text with all characters escaped that mean something to Markdown.
    private static func escaped(_ text: String) -> String {
        text.map { "*_<>`[]".contains($0) ? "\\\($0)" : String($0) }.joined()
    }

    private static func sentence(_ text: String) -> String {
        escaped(text.prefix(1).uppercased() + text.dropFirst()) + "."
    }
}

extension String {
    /// Text with every bar escaped, so that it does not end a table's cell.
    fileprivate var withoutBars: String {
        split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
    }
}
