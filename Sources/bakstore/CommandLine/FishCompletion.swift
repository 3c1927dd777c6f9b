// FishCompletion: makes the script that completes command lines in fish.

/// A script for fish, made from the commands' specifications.
enum FishCompletion {
    static var script: String {
        let commands = CommandTable.commands
        let all = commands.flatMap(\.spellings).joined(separator: " ")
        var lines = [
            """
            # Completes the words of bakstore in fish. Made by: bakstore generate fish
            function __bakstore_words
                set -l typed (commandline -opc)
                set -l named
                for index in (seq 2 (count $typed))
                    switch $typed[$index]
                        case \(ShellWords.namingFlags.map { "'\($0.spelling)=*'" }.joined(separator: " "))
                            set -a named $typed[$index]
                        case \(ShellWords.namingFlags.flatMap(ShellWords.spellings).joined(separator: " "))
                            set -a named $typed[$index] $typed[(math $index + 1)]
                    end
                end
                $typed[1] generate words $argv[1] $named 2>/dev/null </dev/null
            end
            function __bakstore_needs_command
                not __fish_seen_subcommand_from \(all)
            end
            complete -c bakstore -f
            """
        ]
        for command in commands {
            for name in command.spellings {
                lines.append(
                    "complete -c bakstore -n __bakstore_needs_command -a \(name) -d \(quoted(command.summary))"
                )
            }
        }
        lines += Flags.global.map { line($0, condition: nil) }
        for command in commands {
            let condition = "__fish_seen_subcommand_from \(command.spellings.joined(separator: " "))"
            if let operand = command.operand {
                lines += action(operand.completion).map { "complete -c bakstore -n '\(condition)' \($0)" }
            }
            for subcommand in command.subcommands {
                lines.append(
                    "complete -c bakstore -n '\(condition)' -a \(subcommand.name) -d \(quoted(subcommand.summary))"
                )
                guard let operand = subcommand.operand else { continue }
                lines += action(operand.completion).map {
                    "complete -c bakstore -n '\(condition); and __fish_seen_subcommand_from \(subcommand.name)' \($0)"
                }
            }
            lines += command.flags.map { line($0, condition: condition) }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func line(_ flag: AnyFlag, condition: String?) -> String {
        var words = ["complete -c bakstore"]
        if let condition { words.append("-n '\(condition)'") }
        if let short = flag.short { words.append("-s \(short)") }
        words.append("-l \(flag.word)")
        if let form = flag.value { words.append("-r"); words += action(form.completion) }
        return (words + ["-d \(quoted(flag.help))"]).joined(separator: " ")
    }

    /// The arguments of `complete` for a kind of word; none if nothing completes it.
    private static func action(_ completion: Completion) -> [String] {
        switch completion {
        case .nothing: []
        case .file: ["-F"]
        case .folder: ["-a '(__fish_complete_directories)'"]
        case .program: ["-a '(__fish_complete_command)'"]
        case .words(let words): ["-a '\(words.joined(separator: " "))'"]
        case .command: ["-a '\(CommandTable.commands.map(\.name.rawValue).joined(separator: " "))'"]
        case .repository(let kind): ["-a '(__bakstore_words \(kind.rawValue))'"]
        }
    }

    /// Text in single quotes, escaped for fish.
    private static func quoted(_ text: String) -> String {
        "'" + text.map { "'\\".contains($0) ? "\\\($0)" : String($0) }.joined() + "'"
    }
}
