// ManPage: writes manual pages in the language of man(7): one for the program, and one for each command.

/// Manual pages, made from the commands' specifications.
enum ManPage {
    /// The page of the program, `bakstore.1`.
    static var program: String {
        let commands = CommandTable.commands
        return page(
            "bakstore", "backs up files and stores duplicates only once",
            [
                ("SYNOPSIS", ".B bakstore\n.I COMMAND\n[\\fIFLAGS\\fR]"),
                (
                    "DESCRIPTION",
                    lines(
                        """
                        bakstore stores files in a repository. It splits them into content-defined chunks, stores each chunk once, and
                        compresses data when it helps. Each backup is a snapshot: all files as they were at that time.
                        Without --repo, bakstore uses the default repository of this user.
                        """)
                ),
                (
                    "COMMANDS",
                    items(commands.map { ("\\fB\(text("bakstore-\($0.name.rawValue)"))\\fR(1)", $0.summary) })
                ),
                ("FLAGS OF EVERY COMMAND", flags(Flags.global)),
                ("EXIT STATUS", items(ExitCode.allCases.map { ("\\fB\($0.rawValue)\\fR", $0.meaning) })),
                (
                    "ENVIRONMENT",
                    items(Environment.variables.map { ("\\fB\(text($0.name))\\fR", $0.meaning) })
                ),
                (
                    "FILES",
                    items([
                        ("~/.config/bakstore/config.toml", "profiles, which set defaults"),
                        ("~/.local/share/bakstore/default", "the default repository"),
                        ("~/.cache/bakstore", "caches, which can be rebuilt from the repositories"),
                    ])
                ),
                ("EXAMPLES", examples(CommandSpec.backup.examples + CommandSpec.restore.examples)),
                ("SEE ALSO", references(commands.map { "bakstore-\($0.name.rawValue)" })),
            ])
    }

    /// The page of a command, such as `bakstore-backup.1`.
    static func command(_ command: CommandSpec) -> String {
        let name = command.name.rawValue
        var sections = [
            (
                "SYNOPSIS",
                ".B \(text("bakstore \(name)"))\n"
                    + (command.operands.isEmpty ? "" : lines(command.operands) + "\n")
                    + "[\\fIFLAGS\\fR]"
            )
        ]
        if !command.aliases.isEmpty {
            sections.append(("ALIASES", lines(command.aliases.joined(separator: ", "))))
        }
        if !command.description.isEmpty { sections.append(("DESCRIPTION", lines(command.description))) }
        if !command.subcommands.isEmpty {
            sections.append(
                ("SUBCOMMANDS", items(command.subcommands.map { ("\\fB\(text($0.usage))\\fR", $0.summary) })))
        }
        if !command.flags.isEmpty { sections.append(("FLAGS", flags(command.flags))) }
        sections.append(("FLAGS OF EVERY COMMAND", flags(Flags.global)))
        let known = Set(command.exitCodes.map(\.code))
        let codes =
            command.exitCodes
            + ExitCode.allCases.filter { !known.contains($0) }.map { ($0, $0.meaning) }
        sections.append(
            (
                "EXIT STATUS",
                items(
                    codes.sorted { $0.code.rawValue < $1.code.rawValue }.map {
                        ("\\fB\($0.code.rawValue)\\fR", $0.meaning)
                    })
            ))
        sections.append(("EXAMPLES", examples(command.examples)))
        sections.append(("SEE ALSO", references(["bakstore"])))
        return page("bakstore-\(name)", command.summary, sections)
    }

    // MARK: Pieces of a page

    private static func page(
        _ name: String, _ summary: String, _ sections: [(title: String, body: String)]
    ) -> String {
        let head =
            ".TH \"\(text(name.uppercased()))\" 1 \"\" \"\(text(programName))\" \"\(text("bakstore manual"))\""
        let parts = [head, ".SH NAME\n\(text(name)) \\- \(text(summary))"]
        // Patterns and paths must not be hyphenated (`.nh`). Lines without hyphenation look better ragged (`.ad l`).
        return ([parts[0], ".nh", ".ad l", parts[1]] + sections.map { ".SH \"\($0.title)\"\n\($0.body)" })
            .joined(separator: "\n") + "\n"
    }

    private static func flags(_ flags: [AnyFlag]) -> String {
        items(
            flags.map { flag in
                let short = flag.short.map { "\\fB\\-\($0)\\fR, " } ?? ""
                let value = flag.value.map { " \\fI\(text($0.placeholder))\\fR" } ?? ""
                let repeated = flag.isRepeatable && flag.value != nil ? "; may be repeated" : ""
                return ("\(short)\\fB\(text(flag.spelling))\\fR\(value)", flag.help + repeated)
            })
    }

    private static func items(_ items: [(title: String, body: String)]) -> String {
        items.map { ".TP\n\($0.title)\n\(lines($0.body))" }.joined(separator: "\n")
    }

    private static func examples(_ examples: [(line: String, meaning: String)]) -> String {
        items(examples.map { ("\\fB\(text($0.line))\\fR", $0.meaning) })
    }

    private static func references(_ names: [String]) -> String {
        names.map { "\\fB\(text($0))\\fR(1)" }.joined(separator: ",\n")
    }

    /// Text in lines that the formatter does not mistake for requests.
    private static func lines(_ words: String) -> String {
        words.split(separator: "\n").map { line in
            let line = text(String(line))
            return line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + line : line
        }.joined(separator: "\n")
    }

    /// Text within a line, with all characters escaped that mean something to the formatter.
    private static func text(_ words: String) -> String {
        var result = ""
        for character in words {
            switch character {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "'": result += "\\(aq"
            case "\"": result += "\\(dq"
            case "~": result += "\\(ti"
            case "^": result += "\\(ha"
            case "`": result += "\\(ga"
            default: result.append(character)
            }
        }
        return result
    }
}
