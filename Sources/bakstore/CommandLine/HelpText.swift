// HelpText: writes help from the commands' specifications.

/// Help for a terminal of some width. Without a width, lines are not wrapped.
struct HelpText {
    private let width: Int?

    init(_ width: Int?) { self.width = width }

    /// The help of the program, with its commands.
    func overview() -> String {
        let commands = CommandTable.commands.map { command in
            let aliases = command.aliases.isEmpty ? "" : " (\(command.aliases.joined(separator: ", ")))"
            return (name: command.name.rawValue + aliases, help: command.summary)
        }
        return [
            paragraph("bakstore backs up files and stores duplicates only once."),
            paragraph("usage: bakstore COMMAND [FLAGS]", indent: 7),
            "commands:\n" + table(commands),
            paragraph("flags of every command:") + "\n" + flags(Flags.global),
            paragraph("first backup: bakstore backup ~/Pictures", indent: 4) + "\n"
                + paragraph("more about a command: bakstore COMMAND --help", indent: 4),
        ].joined(separator: "\n\n")
    }

    /// The help of one command.
    func command(_ command: CommandSpec) -> String {
        let head = ["bakstore", command.name.rawValue, command.operands, "[FLAGS]"]
        var sections = [
            paragraph("bakstore \(command.name.rawValue): \(command.summary)"),
            paragraph("usage: " + head.filter { !$0.isEmpty }.joined(separator: " "), indent: 7),
        ]
        if !command.aliases.isEmpty {
            sections[1] += "\n" + paragraph("alias: " + command.aliases.joined(separator: ", "), indent: 7)
        }
        if !command.flags.isEmpty { sections.append("flags:\n" + flags(command.flags)) }
        sections.append(paragraph("flags of every command:") + "\n" + flags(Flags.global))
        if !command.description.isEmpty { sections.append(paragraph(command.description)) }
        sections.append(
            "example:\n" + paragraph(command.example.line, start: "  ", indent: 6) + "\n"
                + paragraph(command.example.meaning, start: "      ", indent: 6))
        return sections.joined(separator: "\n\n")
    }

    private func flags(_ flags: [AnyFlag]) -> String {
        table(
            flags.map { flag in
                let short = flag.short.map { "-\($0), " } ?? "    "
                let value = flag.value.map { " " + $0.placeholder } ?? ""
                let repeatable = flag.isRepeatable && flag.value != nil ? "; may be repeated" : ""
                return (short + flag.spelling + value, flag.help + repeatable)
            })
    }

    // MARK: Lines

    /// Names, each with its help beside it, or beneath it if the name is too long.
    private func table(_ rows: [(name: String, help: String)]) -> String {
        let longest = rows.map { TextWidth.of($0.name) }.max() ?? 0
        let column = 4 + min(longest, width.map { max(14, $0 * 2 / 5) - 4 } ?? longest)
        return rows.map { name, help in
            let used = 2 + TextWidth.of(name)
            if used + 2 <= column {
                let padding = String(repeating: " ", count: column - used)
                return paragraph(help, start: "  " + name + padding, indent: column)
            }
            return paragraph(name, start: "  ", indent: 6) + "\n"
                + paragraph(help, start: String(repeating: " ", count: column), indent: column)
        }.joined(separator: "\n")
    }

    /// Text wrapped at words to the width. Lines after the first are indented.
    private func paragraph(_ text: String, start: String = "", indent: Int = 0) -> String {
        guard let width else { return start + text }
        var lines: [String] = []
        var line = start
        var isFresh = true
        for word in text.split(whereSeparator: { $0 == " " || $0 == "\n" }).flatMap({
            pieces(of: $0, width - indent)
        }) {
            if !isFresh, TextWidth.of(line) + 1 + TextWidth.of(word) > width {
                lines.append(line)
                line = String(repeating: " ", count: indent)
                isFresh = true
            }
            line += (isFresh ? "" : " ") + word
            isFresh = false
        }
        return (lines + [line]).joined(separator: "\n")
    }

    /// A word, or its parts if the word is too long for a line. A part ends after a `|` if possible.
    private func pieces(of word: Substring, _ room: Int) -> [String] {
        var pieces: [String] = []
        var rest = word
        while TextWidth.of(String(rest)) > room {
            let part = rest.prefix(max(1, room))
            let end = part.lastIndex(of: "|").map { part.index(after: $0) } ?? part.endIndex
            pieces.append(String(rest[..<end]))
            rest = rest[end...]
        }
        return pieces + [String(rest)]
    }
}
