// Commands: runs a command line and returns the exit code. Each command's work is in `Command+<Name>.swift`.

import BakCore
import BakPosix
import BakStorage

/// The version of this program.
let programVersion = "0.1.0"

/// The program and its version, as a repository's records name them.
let programName = "bakstore \(programVersion)"

enum Commands {
    /// Runs the command that the user asked for.
    static func run(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let spec = invocation.command.spec
        let repositories = !spec.usesRepository ? 0 : invocation.has(.fromRepo) ? 2 : 1
        if let lack = Machine.lackOfOpenFiles(repositories: repositories) {
            throw CommandFailure(code: .failed, message: lack)
        }
        return try spec.run(invocation, context)
    }

    /// The whole program: parses the words, runs the command, and reports failures.
    static func main(
        _ words: [[UInt8]], terminal: any Console, clock: any TimeSource,
        variable: (String) -> [UInt8]?, localOffset: @escaping @Sendable (Timestamp) -> Int,
        keyCache: any KeyCache, stop: StopSignal
    ) -> ExitCode {
        let isASCII = Environment.isASCII(variable)
        var suggestions = SuggestedCommands()
        do {
            var known: Environment?
            let invocation = try ArgumentParser.parse(words) { invocation throws(UsageError) in
                let environment = try Environment(variable)
                known = environment
                suggestions = SuggestedCommands(invocation, isASCII: isASCII)
                return try environment.complete(invocation)
            }
            let context = CommandContext(
                terminal: isASCII
                    ? ASCIIConsole(base: terminal, isJSON: invocation.has(.json)) : terminal,
                plainTerminal: terminal, environment: try known ?? Environment(variable), clock: clock,
                localOffset: localOffset, keyCache: keyCache, stop: stop, isQuiet: invocation.has(.quiet),
                isJSON: invocation.has(.json), suggestions: suggestions)
            let code = try run(invocation, context: context)
            do throws(OutputError) {
                try terminal.flushOutput()
            } catch {
                // If the reader has closed the output, this is no failure: the exit code still says what the command
                // has done.
                if error != .closed { throw error }
            }
            return code
        } catch OutputError.closed {
            return .done
        } catch {
            let report = ErrorReport(error, suggestions)
            // Search the words for the flag, because parsing them may have failed.
            let asJSON = words.prefix { !$0.elementsEqual("--".utf8) }.contains(Array("--json".utf8))
            let terminal: any Console =
                isASCII ? ASCIIConsole(base: terminal, isJSON: asJSON) : terminal
            terminal.writeError(report.line(asJSON: asJSON))
            return report.code
        }
    }
}

extension CommandContext {
    /// Every profile of this user.
    func profiles() throws(UsageError) -> [Profile] {
        try environment.profiles { path throws(SourceError) in
            try SmallFile.readRegular(path: path, limit: ConfigFile.sizeLimit)
        } ?? []
    }
}

extension Environment {
    /// Completes an invocation from the user's profile.
    func complete(_ invocation: Invocation) throws(UsageError) -> Invocation {
        let profile = try profile(for: invocation) { path throws(SourceError) in
            try SmallFile.readRegular(path: path, limit: ConfigFile.sizeLimit)
        }
        return profile.map(invocation.completed) ?? invocation
    }
}
