// `bakstore version`: the program's version.

extension CommandSpec {
    static let version = CommandSpec(
        name: .version, summary: "print the version", usesRepository: false,
        examples: [("bakstore version", "prints the version")], run: Commands.version)
}

extension Commands {
    static func version(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        if invocation.has(.json) {
            try context.printJSON { json in
                json.member("message_type", "version")
                json.member("version", programVersion)
            }
        } else {
            try context.print("bakstore \(programVersion)")
        }
        return .done
    }
}
