// `bakstore init`: makes a repository.

import BakCodec
import BakEngine
import BakRepository

extension Commands {
    static func initialize(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let location = try RepositoryAccess.locate(invocation, context: context)
        var options = try options(invocation, context)
        if let algorithm = invocation.text(.id).flatMap({ IDAlgorithm($0) }) {
            options.idAlgorithm = algorithm
        }
        if let size = invocation.size(.packSize) { options.packBytes = Int(size) }
        if let compression = invocation.compression { options.compression = compression }
        let repository = try RepositoryAccess.create(location, options: options, context: context)
        if invocation.has(.json) {
            try context.printJSON { json in
                json.member("message_type", "initialized")
                json.member("id", repository.config.id.description)
                json.member("repository", location.path)
            }
        } else if !invocation.has(.quiet) {
            try context.print(
                "made repository \(repository.config.id.short) in \(Formatting.line(location.path))")
        }
        return .done
    }

    /// The defaults, or with `--copy-chunker-params` what makes the repository like the one of `--from-repo`.
    private static func options(
        _ invocation: Invocation, _ context: CommandContext
    ) throws -> Repository.Options {
        guard invocation.has(.copyChunkerParams) == invocation.has(.fromRepo) else {
            throw UsageError("--copy-chunker-params and --from-repo need each other", command: .initialize)
        }
        guard invocation.has(.fromRepo) else { return Repository.Options(classes: defaultChunkClasses) }
        guard !invocation.has(.id) else {
            throw UsageError("--id and --copy-chunker-params contradict each other", command: .initialize)
        }
        let source = try RepositoryAccess.openSource(invocation, context: context).repository
        return Repository.Options(like: source.config)
    }
}
