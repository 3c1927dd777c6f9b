// `bakstore version`: prints the program's version.

extension CommandSpec {
    static let version = CommandSpec(
        name: .version, summary: "print the version", usesRepository: false,
        examples: [("bakstore version", "prints the version")], run: Commands.version)
}

extension Commands {
    static func version(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        try context.tell(
            Message(.version, "bakstore \(programVersion)") { $0.member("version", programVersion) })
        return .done
    }
}
