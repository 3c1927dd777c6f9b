// bakstore-benchmark: measurements that hold up the project's claims. Everything random is seeded, so a
// run can be repeated; only the speeds differ from machine to machine.

import BakChunking
import Glibc

@main
struct Benchmark {
    static let usage = """
        usage: bakstore-benchmark dedup-quality [--tiny] [--keys N] [--corpus DIR]
               bakstore-benchmark kernels [--tiny] [--json]
          dedup-quality  sparse argmin beside FastCDC NC2: stored fraction and speed
          kernels        the speed of each form of the candidate scan, alone and with ids
          --tiny         small inputs and chunks, to see that it runs
          --keys N       how many keys to average over (8)
          --corpus DIR   also use the JPEG, MP4 and MOV files in DIR
          --json         one JSON object a line instead of a table
        """

    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        switch arguments.first {
        case "dedup-quality": dedupQuality(arguments.dropFirst())
        case "kernels": kernels(arguments.dropFirst())
        default: fail()
        }
    }

    private static func dedupQuality(_ options: ArraySlice<String>) {
        var options = options
        var scale = BenchmarkScale.full
        var keyCount: Int?
        var corpus: String?
        while let option = options.popFirst() {
            switch option {
            case "--tiny": scale = .tiny
            case "--keys":
                guard let count = options.popFirst().flatMap({ Int($0) }), count > 0 else { fail() }
                keyCount = count
            case "--corpus":
                guard let folder = options.popFirst() else { fail() }
                corpus = folder
            default: fail()
            }
        }
        scale.keyCount = keyCount ?? scale.keyCount
        print(ComparisonRow.header)
        DedupQuality(scale: scale, corpusFolder: corpus).run { print($0.description) }
    }

    private static func kernels(_ options: ArraySlice<String>) {
        var scale = KernelScale.full
        var asJSON = false
        for option in options {
            switch option {
            case "--tiny": scale = .tiny
            case "--json": asJSON = true
            default: fail()
            }
        }
        KernelSpeed.run(scale: scale, asJSON: asJSON) { print($0) }
    }

    private static func fail() -> Never {
        let message = usage + "\n"
        write(STDERR_FILENO, message, message.utf8.count)
        exit(2)
    }
}
