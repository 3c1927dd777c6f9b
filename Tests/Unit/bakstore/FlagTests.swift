// Flags and their values, as commands read them.

import BakEngine
import Testing

@testable import bakstore

@Suite struct FlagTests {
    @Test func valuesHaveTypes() throws {
        let plain = try parse("restore", "latest", "-t", "x")
        #expect(plain[.target] == "x" && plain[.overwrite] == .always && plain[.include].isEmpty)
        #expect(!plain[.dryRun] && plain[.verbose] == 0 && plain[.repo] == nil && !plain.has(.overwrite))
        let full = try parse(
            "restore", "latest", "-t", "file:///x", "--overwrite", "never", "--include", "a", "--include",
            "b", "-nvv")
        #expect(full[.target] == "/x" && full[.overwrite] == .never && full.has(.overwrite))
        #expect(full[.include] == ["a", "b"].map { Array($0.utf8) } && full[.dryRun] && full[.verbose] == 2)
        let prune = try parse(
            "prune", "--keep-daily", "unlimited", "--max-duration", "1h", "--keep-tag", "a,b")
        #expect(prune[.maxDuration] == 3600 && prune[.keepTag] == [["a", "b"]] && prune[.maxUnused] == nil)
        #expect(Flags.counted.map { prune[$0.flag] } == [nil, nil, .max, nil, nil, nil])
    }

    /// A flag must mean the same in every command, because a profile or a shell's completion does not know the command.
    @Test func aFlagIsTheSameInEveryCommand() {
        var known: [AnyFlag: AnyFlag] = [:]
        for flag in CommandTable.commands.flatMap(\.allFlags) {
            let first = known[flag, default: flag]
            known[flag] = first
            #expect(
                first.short == flag.short && first.value?.placeholder == flag.value?.placeholder,
                "\(flag.word)")
            #expect(first.value?.completion == flag.value?.completion, "\(flag.word)")
        }
    }

    @Test func whatProfilesSetBelongsToTheirCommands() {
        for command in CommandTable.commands {
            #expect(command.profileFlags.allSatisfy(command.flags.contains), "\(command.name)")
            #expect(
                !command.examples.isEmpty
                    && Set(command.exitCodes.map(\.code)).count == command.exitCodes.count)
        }
    }
}
