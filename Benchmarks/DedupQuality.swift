// DedupQuality: compares two chunkers, sparse argmin and FastCDC NC2, by the bytes that a backup stores and by speed.
// All results are averages over several keys or gear tables. FastCDC is tuned to the real average chunk size of sparse
// argmin on the same data, because a chunker with smaller chunks would have an advantage.

import BakChunking
import BakCore
import CXXHash
import SeededNumbers

/// Files that are backed up one after another.
struct DataSet {
    var name: String
    var files: [[UInt8]]
    var byteCount: Int { files.reduce(0) { $0 + $1.count } }
}

/// A chunker that cuts whole inputs.
protocol Cutter {
    /// Returns the length of the chunk at the start of `bytes`, which are the rest of the input.
    func firstCut(in bytes: UnsafeRawBufferPointer) -> Int
}

extension Chunker: Cutter {
    func firstCut(in bytes: UnsafeRawBufferPointer) -> Int { firstCut(in: bytes, isLast: true)! }
}

extension FastCDC: Cutter {
    /// Makes a chunker whose gear table is drawn from `seed`.
    init(normal: Double, seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        self.init(normal: normal, gear: (0..<Self.gearCount).map { _ in generator.next() })
    }

    func firstCut(in bytes: UnsafeRawBufferPointer) -> Int { firstCut(in: bytes, isLast: true)! }
}

/// The result of one pass over a data set.
struct Pass {
    var chunkCount = 0
    var byteCount = 0
    var uniqueByteCount = 0
    var seconds = 0.0

    var averageSize: Double { Double(byteCount) / Double(chunkCount) }
    var uniqueFraction: Double { Double(uniqueByteCount) / Double(byteCount) }
    var gigabytesPerSecond: Double { Double(byteCount) / seconds / 1e9 }

    /// Cuts all files, computes the chunks' ids and remembers them, as a backup does.
    init(over data: DataSet, with cutter: some Cutter) {
        var known: Set<ID128> = []
        let start = Stopwatch.now()
        for file in data.files {
            file.withUnsafeBytes { file in
                var rest = file
                while !rest.isEmpty {
                    let length = cutter.firstCut(in: rest)
                    let hash = XXH3_128bits(rest.baseAddress, length)
                    if known.insert(ID128(high: hash.high64, low: hash.low64)).inserted {
                        uniqueByteCount += length
                    }
                    chunkCount += 1
                    rest = UnsafeRawBufferPointer(rebasing: rest[length...])
                }
            }
            byteCount += file.count
        }
        seconds = Stopwatch.now() - start
    }
}

/// Passes over the same data with several keys.
struct PassGroup {
    let passes: [Pass]

    var averageSize: Double { Self.mean(passes.map(\.averageSize)) }
    var uniqueFraction: Double { Self.mean(passes.map(\.uniqueFraction)) }
    var bestSpeed: Double { passes.map(\.gigabytesPerSecond).max()! }

    /// The variance of the mean unique fraction.
    var uniqueVariance: Double {
        guard passes.count > 1 else { return 0 }
        let squares = passes.map {
            ($0.uniqueFraction - uniqueFraction) * ($0.uniqueFraction - uniqueFraction)
        }
        return squares.reduce(0, +) / Double((passes.count - 1) * passes.count)
    }

    static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
}

/// One row of the result.
struct ComparisonRow: CustomStringConvertible {
    var name: String
    var wantedAverage: Int
    var ours: PassGroup
    var rival: PassGroup

    /// How many more bytes sparse argmin stores than FastCDC, as a fraction; negative if sparse argmin stores less.
    var difference: Double { ours.uniqueFraction / rival.uniqueFraction - 1 }
    /// The standard error of `difference`.
    var error: Double { (ours.uniqueVariance + rival.uniqueVariance).squareRoot() / rival.uniqueFraction }

    static let header = """
        | data | average KiB | real: argmin | FastCDC | unique: argmin | FastCDC | difference % | +- | \
        GB/s: argmin | FastCDC |
        |---|---|---|---|---|---|---|---|---|---|
        """

    var description: String {
        let cells = [
            name, fixed(Double(wantedAverage) / 1024, 0),
            fixed(ours.averageSize / 1024, 1), fixed(rival.averageSize / 1024, 1),
            fixed(ours.uniqueFraction, 4), fixed(rival.uniqueFraction, 4),
            fixed(difference * 100, 2), fixed(error * 100, 2),
            fixed(ours.bestSpeed, 2), fixed(rival.bestSpeed, 2),
        ]
        return "| " + cells.joined(separator: " | ") + " |"
    }
}

/// The comparison on every data set.
struct DedupQuality {
    let scale: BenchmarkScale
    let corpusFolder: String?

    /// Passes each row to `report` as soon as it is known.
    func run(report: (ComparisonRow) -> Void) {
        let generators: [(make: (BenchmarkScale) -> DataSet, isMedia: Bool)] = [
            (SourceTreeData.make, false), (DatabaseData.make, false), (LogData.make, false),
            (PictureData.make, true), (VideoData.make, true),
        ]
        for (make, isMedia) in generators {
            let averages = scale.generalAverages + (isMedia ? [scale.mediaAverage] : [])
            compare(make(scale), averages: averages, report)
        }
        for data in corpusFolder.map(CorpusData.make) ?? [] {
            compare(data, averages: scale.generalAverages + [scale.mediaAverage], report)
        }
    }

    private func compare(_ data: DataSet, averages: [Int], _ report: (ComparisonRow) -> Void) {
        for average in averages where data.byteCount > 0 {
            let parameters = ChunkerParameters(minimum: average / 2, maximum: average * 3 / 2)!
            let ours = PassGroup(
                passes: (0..<scale.keyCount).map { seed in
                    var generator = SplitMix64(seed: UInt64(seed))
                    let key = ChunkerKey(secret: generator.bytes(ChunkerKey.secretByteCount))
                    return Pass(over: data, with: Chunker(parameters: parameters, key: key))
                })
            let rival = Self.tunedRival(over: data, average: ours.averageSize, count: scale.keyCount)
            report(ComparisonRow(name: data.name, wantedAverage: average, ours: ours, rival: rival))
        }
    }

    /// Runs FastCDC with several gear tables. Each is tuned until its real average is within 0.5 % of `average`, or as
    /// near as bisection gets. On a few large files, the average is a step function of the normal size.
    private static func tunedRival(over data: DataSet, average: Double, count: Int) -> PassGroup {
        PassGroup(passes: (0..<count).map { tunedPass(over: data, average: average, seed: UInt64($0)) })
    }

    private static func tunedPass(over data: DataSet, average: Double, seed: UInt64) -> Pass {
        var low = average / 4
        var high = average * 4
        var normal = average
        var best: Pass?
        for _ in 0..<14 {
            let pass = Pass(over: data, with: FastCDC(normal: normal, seed: seed))
            let distance = abs(pass.averageSize / average - 1)
            if best == nil || distance < abs(best!.averageSize / average - 1) { best = pass }
            if distance < 0.005 { break }
            if pass.averageSize < average { low = normal } else { high = normal }
            // The proportional guess is usually right at once. If it is outside of the bracket, the middle of the
            // bracket is used.
            let guess = normal * average / pass.averageSize
            normal = guess > low && guess < high ? guess : (low + high) / 2
        }
        return best!
    }
}

/// The amount of data to generate and the chunk sizes to use.
struct BenchmarkScale {
    /// The average chunk sizes in bytes for every data set.
    var generalAverages: [Int]
    /// A further average chunk size in bytes, for media only.
    var mediaAverage: Int
    /// The number of keys, and of gear tables, to average over.
    var keyCount: Int
    /// The number of files in a source tree.
    var sourceFileCount: Int
    /// The number of messages in the first version of the database.
    var messageCount: Int
    /// The number of lines of the log, and of edits to them.
    var logLineCount: Int
    var logEditCount: Int
    /// The number of pictures, and the range of their sizes in bytes.
    var pictureCount: Int
    var pictureBytes: Range<Int>
    /// The number of videos, and the range of their sizes in bytes.
    var videoCount: Int
    var videoBytes: Range<Int>

    /// A few hundred megabytes, with the chunk sizes of backups.
    static let full = BenchmarkScale(
        generalAverages: [128 << 10, 64 << 10], mediaAverage: 1 << 20, keyCount: 8, sourceFileCount: 2400,
        messageCount: 110_000, logLineCount: 700_000, logEditCount: 100, pictureCount: 52,
        pictureBytes: 800_000..<6_000_000, videoCount: 6, videoBytes: 6_000_000..<24_000_000)

    /// A megabyte or two, with small chunks.
    static let tiny = BenchmarkScale(
        generalAverages: [2048], mediaAverage: 4096, keyCount: 2, sourceFileCount: 20,
        messageCount: 300, logLineCount: 1000, logEditCount: 5, pictureCount: 4,
        pictureBytes: 10_000..<40_000, videoCount: 2, videoBytes: 20_000..<60_000)
}

extension Subcommand {
    static let dedupQuality = Subcommand(
        name: "dedup-quality", arguments: "[--tiny] [--keys N] [--corpus DIR]",
        explanation: [
            "sparse argmin beside FastCDC NC2: stored fraction and speed",
            "--tiny         small inputs and chunks, to see that it runs",
            "--keys N       how many keys to average over (8)",
            "--corpus DIR   also use the JPEG, MP4 and MOV files in DIR",
        ]
    ) { arguments in
        var scale = arguments.flag("--tiny") ? BenchmarkScale.tiny : .full
        scale.keyCount = try arguments.count("--keys", default: scale.keyCount)
        let corpus = try arguments.value("--corpus")
        try arguments.expectEnd()
        print(ComparisonRow.header)
        DedupQuality(scale: scale, corpusFolder: corpus).run { print($0.description) }
    }
}
