// bakstore-benchmark: measurements that support the project's claims about speed and size. All random data are seeded,
// so a run can be repeated; only the speeds differ from machine to machine.

import Glibc

@main
struct Benchmark {
    /// All subcommands.
    static let subcommands: [Subcommand] = [
        .dedupQuality,
        .generateLibrary,
        .growth,
        .hintCost,
        .hintBackup,
        .index,
        .kernels,
        .limit,
        .macro,
        .metadataEdit,
        .micro,
        .prune,
        .scale,
        .scaleBackup,
        .warmMemory,
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

    /// Writes a message to standard error, where it does not mix with results.
    static func complain(_ text: String) {
        let line = text + "\n"
        _ = write(STDERR_FILENO, line, line.utf8.count)
    }
}
