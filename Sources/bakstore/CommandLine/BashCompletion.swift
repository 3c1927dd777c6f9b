// BashCompletion: makes the script that completes command lines in bash.
//
// Always holds: the script needs only bash. It gets words from a repository by running `bakstore generate words`, a
// command that never asks for a password.

/// A script for bash, made from the commands' specifications.
enum BashCompletion {
    static var script: String {
        let all = ShellWords.valuedFlags.flatMap(ShellWords.spellings)
        return """
            # Completes the words of bakstore in bash. Made by: bakstore generate bash
            _bakstore_words() {
                local IFS=$'\\n'
                mapfile -t COMPREPLY < <(compgen -W "$("${words[0]/#\\~/$HOME}" generate words "$1" "${named[@]}" 2>/dev/null </dev/null)" -- "$current")
            }
            _bakstore_list() {
                mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
            }
            _bakstore_files() {
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
            }
            _bakstore() {
                COMPREPLY=()
                local words=() current= previous= command= subcommand= index=0 flag value
                local named=()
                # What the shell has divided at = or : belongs together.
                for ((index = 0; index <= COMP_CWORD; index++)); do
                    if ((index > 1)) && [[ ${COMP_WORDS[index]} == [=:]* || ${COMP_WORDS[index - 1]} == [=:] ]]; then
                        words[${#words[@]} - 1]+=${COMP_WORDS[index]}
                    else
                        words+=("${COMP_WORDS[index]}")
                    fi
                done
                current=${words[${#words[@]} - 1]}
                for ((index = 1; index < ${#words[@]} - 1; index++)); do
                    flag=${words[index]}
                    previous=
                    case $flag in
                        --*=*)
                            value=${flag#*=}
                            flag=${flag%%=*}
                            ;;
                        \(all.joined(separator: "|")))
                            ((++index))
                            value=${words[index]}
                            ((index < ${#words[@]} - 1)) || previous=$flag
                            ;;
                        -*) continue ;;
                        *)
                            if [[ ! $command ]]; then command=$flag; elif [[ ! $subcommand ]]; then subcommand=$flag; fi
                            continue
                            ;;
                    esac
                    case $flag in
                        \(ShellWords.namingFlags.flatMap(ShellWords.spellings).joined(separator: "|"))) [[ $previous ]] || named+=("$flag" "$value") ;;
                    esac
                done
                if [[ $current == --*=* ]]; then
                    previous=${current%%=*}
                    current=${current#*=}
                fi
                case $previous in
            \(values)
                esac
                if [[ $current == -* ]]; then
                    case $command in
            \(flags)
                    esac
                    return
                fi
                case $command in
                    "") _bakstore_list "\(CommandTable.commands.flatMap(\.spellings).joined(separator: " "))" ;;
            \(operands)
                esac
            }
            complete -F _bakstore bakstore

            """
    }

    /// The cases that complete the values of flags.
    private static var values: String {
        ShellWords.valuedFlags.map { flag in
            let names = ShellWords.spellings(flag).joined(separator: "|")
            let action = action(flag.value?.completion ?? .nothing)
            return "        \(names)) \(action.isEmpty ? "" : action + "; ")return ;;"
        }.joined(separator: "\n")
    }

    private static var flags: String {
        let groups = CommandTable.commands.map { command in
            "            \(command.spellings.joined(separator: "|"))) _bakstore_list \"\(words(command.allFlags))\" ;;"
        }
        return (groups + ["            *) _bakstore_list \"\(words(Flags.global))\" ;;"]).joined(
            separator: "\n")
    }

    private static func words(_ flags: [AnyFlag]) -> String { flags.map(\.spelling).joined(separator: " ") }

    private static var operands: String {
        CommandTable.commands.compactMap { command in
            let names = command.spellings.joined(separator: "|")
            let first = command.operand.map { action($0.completion) } ?? ""
            guard !command.subcommands.isEmpty else {
                return first.isEmpty ? nil : "        \(names)) \(first) ;;"
            }
            let subcommands = command.subcommands.map(\.name).joined(separator: " ")
            var cases = ["                \"\") _bakstore_list \"\(subcommands)\" ;;"]
            for subcommand in command.subcommands {
                let call = subcommand.operand.map { action($0.completion) } ?? ""
                if !call.isEmpty { cases.append("                \(subcommand.name)) \(call) ;;") }
            }
            return
                "        \(names))\n            case $subcommand in\n\(cases.joined(separator: "\n"))\n            esac\n            ;;"
        }.joined(separator: "\n")
    }

    /// The call that completes a word; empty if the word cannot be completed.
    private static func action(_ completion: Completion) -> String {
        switch completion {
        case .nothing: ""
        case .file: "_bakstore_files -f"
        case .folder: "_bakstore_files -d"
        case .program: "_bakstore_files -c"
        case .words(let words): "_bakstore_list \"\(words.joined(separator: " "))\""
        case .command:
            "_bakstore_list \"\(CommandTable.commands.map(\.name.rawValue).joined(separator: " "))\""
        case .repository(let kind): "_bakstore_words \(kind.rawValue)"
        }
    }
}
