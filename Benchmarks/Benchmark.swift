// bakstore-benchmark: measurements that hold up the project's claims. Everything random is seeded, so a
// run can be repeated; only the speeds differ from machine to machine.

import BakChunking
import Glibc

@main
struct Benchmark {
    static let usage = """
        usage: bakstore-benchmark dedup-quality [--tiny] [--keys N] [--corpus DIR]
          dedup-quality  sparse argmin beside FastCDC NC2: stored fraction and speed
          --tiny         small inputs and chunks, to see that it runs
          --keys N       how many keys to average over (8)
          --corpus DIR   also use the JPEG, MP4 and MOV files in DIR
        """

    static func main() {
        var arguments = CommandLine.arguments.dropFirst()
        guard arguments.popFirst() == "dedup-quality" else { fail() }
        var scale = BenchmarkScale.full
        var keyCount: Int?
        var corpus: String?
        while let option = arguments.popFirst() {
            switch option {
            case "--tiny": scale = .tiny
            case "--keys":
                guard let count = arguments.popFirst().flatMap({ Int($0) }), count > 0 else { fail() }
                keyCount = count
            case "--corpus":
                guard let folder = arguments.popFirst() else { fail() }
                corpus = folder
            default: fail()
            }
        }
        scale.keyCount = keyCount ?? scale.keyCount
        print(ComparisonRow.header)
        DedupQuality(scale: scale, corpusFolder: corpus).run { print($0.description) }
    }

    private static func fail() -> Never {
        let message = usage + "\n"
        write(STDERR_FILENO, message, message.utf8.count)
        exit(2)
    }
}
