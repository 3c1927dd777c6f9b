// MicroBenchmark: measures each stage of a backup alone, on one thread, with content in memory.

import BakChunking
import BakCodec
import BakCore
import BakFormat
import BakRepository
import BakStorage
import SeededNumbers

/// The measurement of a stage.
struct MicroRow {
    var stage: String
    var content: String
    /// Seconds for all of the content, or for one look-up.
    var seconds: Samples
    /// The size of the content in bytes; nil for look-ups.
    var byteCount: Int?
    /// A remark on the result, for the reader.
    var remark = ""

    static func table(_ rows: [MicroRow]) -> MarkdownTable {
        var table = MarkdownTable(["stage", "content", "GB/s", "ns", "remark"])
        for row in rows {
            let speed = row.byteCount.map { bytes in
                Samples(values: row.seconds.values.map { Double(bytes) / $0 / 1e9 }).text(2)
            }
            let latency = row.byteCount == nil ? row.seconds.scaled(1e9).text(0) : ""
            table.append([row.stage, row.content, speed ?? "", latency, row.remark])
        }
        return table
    }

    var json: JSONValue {
        [
            "stage": .string(stage), "content": .string(content), "seconds": seconds.json,
            "bytes": byteCount.map(JSONValue.integer) ?? .null, "remark": .string(remark),
        ]
    }
}

/// The stages.
struct MicroBenchmark {
    /// The size of each content in bytes, and the number of passes over it.
    let byteCount: Int
    let passes: Int
    /// The number of entries in the table for look-ups.
    let entryCount: Int

    private var random: [UInt8] {
        var generator = SplitMix64(seed: 61)
        return generator.bytes(byteCount)
    }

    private var text: [UInt8] {
        var generator = SplitMix64(seed: 62)
        let vocabulary = Vocabulary(count: 6000, &generator)
        var text: [UInt8] = []
        text.reserveCapacity(byteCount + 1000)
        while text.count < byteCount { vocabulary.append(100, to: &text, &generator) }
        return Array(text.prefix(byteCount))
    }

    func run() throws -> [MicroRow] {
        let contents = [("random", random), ("text", text)]
        var rows: [MicroRow] = []
        for (name, bytes) in contents {
            rows += [("1 MiB", ChunkerParameters.media), ("128 KiB", .general)].map { average, parameters in
                cut(bytes, name, average: average, parameters)
            }
        }
        for (name, algorithm) in [("xxh3", IDAlgorithm.xxh3), ("sha256", .sha256)] {
            rows += [1 << 20, 128 << 10].map { id(contents[0].1, name, algorithm, chunkBytes: $0) }
        }
        for mode in [CompressionMode.auto, .fast, .lz4] {
            rows += contents.map { compress($0.1, $0.0, mode) }
        }
        return rows + (try lookUps())
    }

    private func cut(
        _ bytes: [UInt8], _ content: String, average: String, _ parameters: ChunkerParameters
    ) -> MicroRow {
        var generator = SplitMix64(seed: 63)
        let chunker = Chunker(
            parameters: parameters, key: ChunkerKey(secret: generator.bytes(ChunkerKey.secretByteCount)))
        var count = 0
        let seconds = bytes.withUnsafeBytes { bytes in
            Stopwatch.samples(passes) {
                count = 0
                var rest = bytes
                while !rest.isEmpty {
                    rest = UnsafeRawBufferPointer(rebasing: rest[chunker.firstCut(in: rest)...])
                    count += 1
                }
            }
        }
        return MicroRow(
            stage: "cut, average \(average)", content: content, seconds: seconds, byteCount: bytes.count,
            remark: "\(count) chunks")
    }

    /// Calls `body` with pieces of one size.
    private func forEachChunk(of bytes: [UInt8], _ size: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
        bytes.withUnsafeBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: size) {
                body(UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + size, bytes.count)]))
            }
        }
    }

    private func id(_ bytes: [UInt8], _ name: String, _ algorithm: IDAlgorithm, chunkBytes: Int) -> MicroRow {
        let secret = [UInt8](repeating: 7, count: ContentHasher.secretBytes)
        let hasher = ContentHasher(algorithm, secret: secret, domain: "chunk")
        var all: UInt64 = 0
        let seconds = Stopwatch.samples(passes) {
            forEachChunk(of: bytes, chunkBytes) { all &+= hasher.id(of: $0).low }
        }
        return MicroRow(
            stage: "id, \(name)", content: "random, \(chunkBytes >> 10) KiB chunks", seconds: seconds,
            byteCount: bytes.count, remark: "sum \(String(all, radix: 16))")
    }

    private func compress(_ bytes: [UInt8], _ content: String, _ mode: CompressionMode) -> MicroRow {
        let compressor = Compressor(mode)
        var stored = 0
        let seconds = Stopwatch.samples(passes) {
            stored = 0
            forEachChunk(of: bytes, 128 << 10) {
                stored += compressor.compress($0, isCompressedContent: false).stored.count
            }
        }
        return MicroRow(
            stage: "compress, \(mode)", content: "\(content), 128 KiB chunks", seconds: seconds,
            byteCount: bytes.count, remark: "to \(fixed(Double(stored) / Double(bytes.count), 3))")
    }

    private func lookUps() throws -> [MicroRow] {
        let (segment, sample) = SimulatedEntries(count: entryCount, seed: 64).segment(sampleCount: entryCount)
        var overlay = IndexOverlay()
        overlay.add([segment])
        let table = try IndexTable.write(
            merging: nil, overlay, repository: .zero, generation: .zero, to: HeapCache())
        guard let table else { throw UsageError(message: "the index table was not written") }
        var generator = SplitMix64(seed: 65)
        let known = sample.shuffled(using: &generator)
        let unknown = known.map { _ in ID128(high: generator.next(), low: generator.next()) }
        var found = 0
        func row(_ what: String, _ ids: [ID128], _ find: (ID128) -> IndexEntry?) -> MicroRow {
            found = 0
            let seconds = Stopwatch.samples(passes) { for id in ids where find(id) != nil { found += 1 } }
            return MicroRow(
                stage: "look-up in \(what)", content: "\(entryCount) entries",
                seconds: seconds.scaled(1 / Double(ids.count)), remark: "\(found / (passes + 1)) found")
        }
        return [
            row("the table, known", known, table.find), row("the table, unknown", unknown, table.find),
            row("the overlay, known", known, overlay.find),
            row("the overlay, unknown", unknown, overlay.find),
        ]
    }
}

/// A cache whose files are on the heap.
private final class HeapCache: LocalCache, @unchecked Sendable {
    private let monitor = Monitor()
    private var files: [String: MappedBytes] = [:]

    func map(_ name: String) -> MappedBytes? { monitor.locked { files[name] } }

    func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) throws {
        var bytes: [UInt8] = []
        try write { bytes.append(contentsOf: $0) }
        let whole = MappedBytes(copying: bytes)
        monitor.locked { files[name] = whole }
    }
}

extension Subcommand {
    static let micro = Subcommand(
        name: "micro", arguments: "[--bytes B] [--json FILE]",
        explanation: [
            "the stages of a backup one by one: cut, id, compress, index look-up; one thread",
            "--bytes B    bytes of random content and of text (64M)",
        ]
    ) { arguments in
        let byteCount = try arguments.size("--bytes", default: 64 << 20)
        let json = try arguments.value("--json")
        try arguments.expectEnd()
        let machine = MachineDescription(folder: ".")
        let rows = try MicroBenchmark(
            byteCount: byteCount, passes: 5, entryCount: min(max(byteCount / 64, 1000), 1_000_000)
        ).run()
        print(machine.text + "\n\n" + MicroRow.table(rows).text)
        let value: JSONValue = ["machine": machine.json, "micro": .array(rows.map(\.json))]
        if let json { try Files.write(json, Array((value.text() + "\n").utf8)) }
    }
}
