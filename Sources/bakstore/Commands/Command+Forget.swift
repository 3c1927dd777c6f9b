// `bakstore forget`: removes snapshots, by name or by rules, and takes them back.

import BakRepository

extension Commands {
    static func forget(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        if invocation.has(.undo) { return try takeBack(invocation, context: context) }
        let access = try RepositoryAccess.open(invocation, context: context)
        let request = try RetentionRequest(invocation, access.repository, context)
        return try remove(request, thenPrune: invocation.has(.prune), access, invocation, context)
    }
}
