// ShellWords: what the completions of all shells are made of.

/// Flags as the completions need them.
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

    /// The flags that say which repository is meant, which `generate words` is given, too.
    static let namingFlags: [AnyFlag] = [.repo, .profile, .passwordFile, .passwordCommand]

    /// How a flag may be written.
    static func spellings(_ flag: AnyFlag) -> [String] {
        [flag.spelling] + (flag.short.map { ["-\($0)"] } ?? [])
    }

    /// Text in single quotes, as bash, zsh and fish all read it if it has neither quotes nor backslashes.
    static func quoted(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
