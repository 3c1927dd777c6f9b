// ShellWords: the parts that the completions of all shells share.

/// Flags in the form that the completions need.
enum ShellWords {
    /// Every flag that takes a value, each once.
    static var valuedFlags: [AnyFlag] {
        var flags: [AnyFlag] = []
        for flag in CommandTable.commands.flatMap(\.allFlags) where flag.value != nil && !flags.contains(flag)
        {
            flags.append(flag)
        }
        return flags
    }

    /// The flags that name a repository. The completions pass them on to `generate words`.
    static let namingFlags: [AnyFlag] = [.repo, .profile, .passwordFile, .passwordCommand]

    /// The long and short spelling of a flag.
    static func spellings(_ flag: AnyFlag) -> [String] {
        [flag.spelling] + (flag.short.map { ["-\($0)"] } ?? [])
    }

    /// Text in single quotes. Bash, zsh and fish read it alike if it has neither quotes nor backslashes.
    static func quoted(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
