// BenchmarkFindings: a benchmark's report with its origin, and the words that the terminal's tables and the page share.

import BakAnalysis
import BakChunking
import BakCore
import BakEngine

/// The findings of a benchmark, ready to print.
struct BenchmarkFindings {
    var report: LibraryReport
    /// The paths that were read, absolute.
    var roots: [[UInt8]]
    /// The snapshot that changed files were compared with; nil without one.
    var baseline: CommitRecord?
    /// When the benchmark ran, as text.
    var time: String

    /// The bytes saved by storing duplicates only once. `savedByCompression` are the bytes saved by compression. Both
    /// are for the standard way of cutting.
    var savedByDuplicates: UInt64 {
        guard let standard = report.schemes.first else { return 0 }
        return standard.bytes &- min(standard.differentBytes, standard.bytes)
    }
    var savedByCompression: UInt64 {
        guard let standard = report.schemes.first else { return 0 }
        return standard.differentBytes &- min(standard.storedBytes, standard.differentBytes)
    }

    /// Groups of types as people think of them, the largest in bytes first.
    var groups: [(group: ContentType.Group, files: UInt64, bytes: UInt64)] {
        ContentType.Group.allCases.map { group in
            let rows = report.types.filter { $0.type.group == group }
            return (group, rows.reduce(0) { $0 + $1.files }, rows.reduce(0) { $0 &+ $1.bytes })
        }.filter { $0.files > 0 }.sorted { $0.bytes > $1.bytes }
    }

    /// Returns `about ` before an estimate.
    static func about(_ isEstimate: Bool) -> String { isEstimate ? "about " : "" }

    /// Returns a whole number of KiB or MiB without digits after the point.
    static func wholeSize(_ bytes: Int) -> String {
        bytes < 1 << 20 ? "\(bytes >> 10) KiB" : "\(bytes >> 20) MiB"
    }

    /// Returns the difference of two sizes: with `+` if the first is larger or equal, with `-` if it is smaller.
    static func difference(_ size: UInt64, _ other: UInt64) -> String {
        size >= other ? "+" + Formatting.size(size - other) : "-" + Formatting.size(other - size)
    }

    /// Returns a stage's speed on one core.
    static func speed(_ stage: LibraryReport.Stage) -> String {
        guard let rate = stage.perSecond else { return "too short to measure" }
        return stage.name == .walk
            ? "\(Formatting.count(UInt64(min(rate, 0x1p62)))) entries/s"
            : Formatting.size(UInt64(min(rate, 0x1p62))) + "/s"
    }
}

extension CutScheme {
    /// The name for people.
    var title: String {
        switch self {
        case .standard: "as bakstore splits"
        case .withoutHints: "without container hints"
        case .oneSize(let average): "\(BenchmarkFindings.wholeSize(average)) for all files"
        case .fastCDC(let normal): "FastCDC, \(BenchmarkFindings.wholeSize(normal))"
        }
    }

    /// The name in JSON, and the chunk size of a scheme that has one.
    var json: (name: String, bytes: Int?) {
        switch self {
        case .standard: ("standard", nil)
        case .withoutHints: ("without_hints", nil)
        case .oneSize(let average): ("one_size", average)
        case .fastCDC(let normal): ("fastcdc", normal)
        }
    }
}

extension LibraryReport.Stage.Name {
    /// The name for people.
    var title: String {
        switch self {
        case .walk: "find files"
        case .read: "read"
        case .cut: "split and name"
        case .compress: "compress new data"
        }
    }
}

extension LibraryReport.SchemeRow {
    /// How fast the scheme cuts, names and looks up on one core; empty if it did too little to say.
    var speed: String {
        cutNanoseconds >= 1_000_000 ? Formatting.rate(bytes, seconds: Double(cutNanoseconds) / 1e9) : ""
    }
}
