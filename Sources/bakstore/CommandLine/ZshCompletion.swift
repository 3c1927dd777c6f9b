// ZshCompletion: makes the script that completes command lines in zsh.

/// A script for zsh, made from the commands' specifications.
enum ZshCompletion {
    static var script: String {
        """
        #compdef bakstore
        # Completes the words of bakstore in zsh. Made by: bakstore generate zsh
        _bakstore_words() {
            local -a named found
            local index
            for ((index = 2; index < $#typed; index++)); do
                case $typed[index] in
                    \(ShellWords.namingFlags.map { "\($0.spelling)=*" }.joined(separator: "|"))) named+=("$typed[index]") ;;
                    \(ShellWords.namingFlags.flatMap(ShellWords.spellings).joined(separator: "|"))) named+=("$typed[index]" "$typed[index + 1]") ;;
                esac
            done
            found=(${(f)"$($typed[1] generate words $1 $named 2>/dev/null </dev/null)"})
            compadd -S '' -a found
        }
        _bakstore_commands() {
            local -a commands=(
        \(commands)
            )
            _describe command commands
        }
        _bakstore() {
            local context state state_descr line
            local -a typed=("${words[@]}")
            typeset -A opt_args
            _arguments -C \\
        \(arguments(Flags.global)) \\
                '1: :_bakstore_commands' '*:: :->operands'
            [[ $state == operands ]] || return
            case $line[1] in
        \(cases)
            esac
        }
        # Autoloaded, or read with source.
        if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _bakstore "$@"; else compdef _bakstore bakstore; fi

        """
    }

    private static var commands: String {
        CommandTable.commands.flatMap { command in
            command.spellings.map { "        \(ShellWords.quoted("\($0):\(command.summary)"))" }
        }.joined(separator: "\n")
    }

    private static var cases: String {
        CommandTable.commands.map { command in
            var parts = ["                _arguments -s \\\n\(arguments(command.allFlags))"]
            if command.subcommands.isEmpty {
                if let operand = command.operand {
                    let place = operand.count.upperBound == 1 ? "1" : "*"
                    parts.append(
                        "                '\(place):\(label(operand.usage)):\(action(operand.completion))'")
                }
            } else {
                let names = command.subcommands.map(\.name).joined(separator: " ")
                parts.append("                '1:subcommand:(\(names))'")
                if let operand = command.subcommands.lazy.compactMap(\.operand).first {
                    parts.append("                '*:\(label(operand.usage)):\(action(operand.completion))'")
                }
            }
            return "        \(command.spellings.joined(separator: "|")))\n"
                + parts.joined(separator: " \\\n") + "\n            ;;"
        }.joined(separator: "\n")
    }

    private static func arguments(_ flags: [AnyFlag]) -> String {
        flags.flatMap { flag in
            ShellWords.spellings(flag).map { name in
                let others = ShellWords.spellings(flag).joined(separator: " ")
                let isLong = name.hasPrefix("--")
                let start = flag.isRepeatable ? "*" : "(\(others))"
                let end =
                    flag.value.map { form in
                        ":\(label(form.placeholder)):\(action(form.completion))"
                    } ?? ""
                let mark = flag.value == nil ? "" : isLong ? "=" : "+"
                return "        " + ShellWords.quoted("\(start)\(name)\(mark)[\(label(flag.help))]\(end)")
            }
        }.joined(separator: " \\\n")
    }

    /// Text escaped for a place between colons or in brackets.
    private static func label(_ text: String) -> String {
        text.map { ":[]\\".contains($0) ? "\\\($0)" : String($0) }.joined()
    }

    private static func action(_ completion: Completion) -> String {
        switch completion {
        case .nothing: " "
        case .file: "_files"
        case .folder: "_directories"
        case .program: "_command_names -e"
        case .words(let words): "(\(words.map(label).joined(separator: " ")))"
        case .command: "_bakstore_commands"
        case .repository(let kind): "_bakstore_words \(kind.rawValue)"
        }
    }
}
