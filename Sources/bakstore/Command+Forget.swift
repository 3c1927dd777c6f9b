// `bakstore forget`: removes snapshots, by name or by rules.

import BakCore
import BakPosix
import BakRepository

extension Commands {
    static func forget(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let request = try RetentionRequest(invocation, repository, context)
        let output = RetentionOutput(invocation, context, request)
        try output.show()
        if !invocation.has(.dryRun), !request.removed.isEmpty {
            try repository.forget(
                request.removed, host: Machine.hostName, program: "bakstore \(programVersion)")
        }
        if invocation.has(.json) {
            try context.printJSON { json in
                json.member("message_type", "summary")
                output.members(of: &json)
                if invocation.has(.dryRun) { json.member("dry_run", true) }
            }
        } else if !invocation.has(.quiet) {
            let frees = invocation.has(.dryRun) || request.removed.isEmpty
            try context.print(
                output.summary + (frees ? "" : "; their space comes back with: bakstore prune"))
        }
        return request.unreadable.isEmpty ? .done : .damage
    }
}
