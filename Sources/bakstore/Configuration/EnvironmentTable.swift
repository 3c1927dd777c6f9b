// EnvironmentTable: lists the environment variables that the program reads. `Environment` reads them.

/// An environment variable.
struct EnvironmentVariable: Sendable {
    var name: String
    /// One line for people.
    var meaning: String
}

extension Environment {
    /// Every variable that the program reads, its own first.
    static let variables: [EnvironmentVariable] = [
        ("BAKSTORE_REPOSITORY", "the repository, when --repo is not given"),
        (
            "BAKSTORE_REPOSITORY_FILE",
            "a file whose first line names the repository; set only one of the two"
        ),
        ("BAKSTORE_PASSWORD_FILE", "a file with the password of an encrypted repository"),
        ("BAKSTORE_PASSWORD_COMMAND", "a command that prints the password"),
        (
            "BAKSTORE_PASSWORD",
            "the password itself, which programs that you start can read; set only one of the three"
        ),
        ("BAKSTORE_FROM_PASSWORD_FILE", "a file with the password of the repository of --from-repo"),
        ("BAKSTORE_FROM_PASSWORD_COMMAND", "a command that prints that password"),
        ("BAKSTORE_FROM_PASSWORD", "the password itself; set only one of the three"),
        (
            "BAKSTORE_CACHE_DIR",
            "the folder for caches (default: bakstore in the user's cache folder)"
        ),
        ("BAKSTORE_DEVICE", "the name for --device"),
        (
            "BAKSTORE_PROGRESS_FPS",
            "how often per second the progress line is drawn, 0.01 to 60 (default: 10)"
        ),
        (
            "BAKSTORE_KERNEL",
            "the instructions that find chunk borders: avx512, avx2, sse4.1, neon or scalar (default: the fastest)"
        ),
        ("COLUMNS", "the width of tables and help, if it is less than the terminal reports"),
        ("LC_ALL", "in a locale without UTF-8, such as C, only ASCII is printed"),
        ("LC_CTYPE", "the same, if LC_ALL is not set"),
        ("LANG", "the same, if neither of the two is set"),
        ("XDG_DATA_HOME", "the folder above the default repository (default: ~/.local/share)"),
        ("XDG_CACHE_HOME", "the folder above the cache (default: ~/.cache)"),
        ("XDG_CONFIG_HOME", "the folder above the configuration, bakstore/config.toml (default: ~/.config)"),
        ("XDG_STATE_HOME", "the folder above the list of known repositories (default: ~/.local/state)"),
        ("HOME", "the home folder, which ~ means in profiles"),
    ].map { EnvironmentVariable(name: $0, meaning: $1) }
}
