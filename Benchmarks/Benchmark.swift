// bakstore-benchmark: measurements that hold up the project's claims. Everything random is seeded, so a
// run can be repeated; only the speeds differ from machine to machine.

import Glibc

@main
struct Benchmark {
    /// Everything that can be asked for, a line each.
    static let subcommands: [Subcommand] = [
        .dedupQuality,
        .generateLibrary,
        .growth,
        .hintCost,
        .hintBackup,
        .index,
        .kernels,
        .macro,
        .metadataEdit,
        .micro,
        .prune,
    ]

    static var usage: String {
        (["usage: bakstore-benchmark SUBCOMMAND [OPTION]..."] + subcommands.map(\.usage))
            .joined(separator: "\n")
    }

    static func main() {
        let words = CommandLine.arguments.dropFirst()
        guard let subcommand = subcommands.first(where: { $0.name == words.first }) else {
            complain(usage)
            exit(2)
        }
        var arguments = Arguments(words.dropFirst())
        do {
            try subcommand.run(&arguments)
        } catch let error as UsageError {
            complain("bakstore-benchmark \(subcommand.name): \(error.message)\n\(usage)")
            exit(2)
        } catch {
            complain("bakstore-benchmark \(subcommand.name): \(error)")
            exit(1)
        }
    }

    /// Says something that is no result.
    static func complain(_ text: String) {
        let line = text + "\n"
        _ = write(STDERR_FILENO, line, line.utf8.count)
    }
}
