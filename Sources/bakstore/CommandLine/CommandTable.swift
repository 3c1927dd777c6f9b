// CommandTable: lists the commands. Each command's spec is beside its code.

/// The commands by their main spelling, in help's order.
enum CommandName: String, CaseIterable, Sendable {
    case initialize = "init"
    case backup, snapshots, ls, restore, cat, copy, stats, benchmark, check, repair
    case safeToDelete = "safe-to-delete"
    case forget, prune, tag, archive, key, generate, version, help

    /// The command's description. The program builds only the description of the command that it runs, unless help or a
    /// mistyped word needs the others.
    var spec: CommandSpec {
        switch self {
        case .initialize: .initialize
        case .backup: .backup
        case .snapshots: .snapshots
        case .ls: .ls
        case .restore: .restore
        case .cat: .cat
        case .copy: .copy
        case .stats: .stats
        case .benchmark: .benchmark
        case .check: .check
        case .repair: .repair
        case .safeToDelete: .safeToDelete
        case .forget: .forget
        case .prune: .prune
        case .tag: .tag
        case .archive: .archive
        case .key: .key
        case .generate: .generate
        case .version: .version
        case .help: .help
        }
    }
}

/// All commands.
enum CommandTable {
    /// The commands in help's order.
    static var commands: [CommandSpec] { CommandName.allCases.map(\.spec) }

    /// The command with that spelling or alias.
    static func find(_ spelling: String) -> CommandSpec? {
        CommandName(rawValue: spelling)?.spec ?? commands.first { $0.aliases.contains(spelling) }
    }
}
