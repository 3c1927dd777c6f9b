// KernelSpeed: measures how fast each kernel cuts, with and without naming the chunks. It compares them with FastCDC
// NC2 and with the limits of the machine. Contenders take turns within a round, so that a busy moment affects all of
// them.

import BakChunking
import BakCodec
import BakCore
import SeededNumbers

/// The amount to measure.
struct KernelScale {
    /// The number of random bytes to cut: far more than any cache holds.
    var byteCount: Int
    /// The size of a backup worker's buffer. Reading a file leaves its bytes in a shared cache.
    var bufferByteCount: Int
    /// The size of a piece that fits in a core's own cache.
    var pieceByteCount: Int
    /// Average chunk sizes in bytes.
    var averages: [Int]
    var roundCount: Int

    static let full = KernelScale(
        byteCount: 256 << 20, bufferByteCount: 8 << 20, pieceByteCount: 192 << 10,
        averages: [128 << 10, 1 << 20], roundCount: 5)
    static let tiny = KernelScale(
        byteCount: 1 << 20, bufferByteCount: 256 << 10, pieceByteCount: 32 << 10,
        averages: [2048, 16 << 10], roundCount: 2)
}

/// One contender at one average.
struct KernelRow {
    var name: String
    var average: Int
    var chunkCount = 0
    /// Digests of the cuts and of the ids. They are the same for every kernel.
    var cuts: UInt64 = 0
    var ids: UInt64 = 0
    var scan = Speeds()
    var scanAndIDs = Speeds()
    /// The speed of cutting and naming on a buffer that a read has left in a cache.
    var bufferScanAndIDs = Speeds()
    /// The speed of cutting and naming as a multiple of FastCDC's.
    var timesFastCDC = 0.0

    static func table(_ rows: [KernelRow]) -> MarkdownTable {
        var table = MarkdownTable([
            "kernel", "average KiB", "scan GB/s", "scan + ids GB/s", "x FastCDC",
            "8 MiB buffer: scan + ids", "chunks", "cuts",
        ])
        for row in rows {
            table.append([
                row.name, "\(row.average >> 10)", row.scan.text, row.scanAndIDs.text,
                fixed(row.timesFastCDC, 1), row.bufferScanAndIDs.text, "\(row.chunkCount)",
                String(row.cuts, radix: 16),
            ])
        }
        return table
    }

    var json: JSONValue {
        [
            "kernel": .string(name), "average_bytes": .integer(average), "chunks": .integer(chunkCount),
            "cuts": .string(String(cuts, radix: 16)), "ids": .string(String(ids, radix: 16)),
            "scan_gb_s": scan.samples.json, "scan_ids_gb_s": scanAndIDs.samples.json,
            "buffer_scan_ids_gb_s": bufferScanAndIDs.samples.json, "times_fastcdc": .number(timesFastCDC),
        ]
    }
}

/// A limit of the machine.
struct LimitRow {
    var name: String
    var fromMemory = Speeds()
    var cached = Speeds()
    /// A digest of the results, because the compiler leaves out work whose result is not used.
    var digest: UInt64 = 0

    static func table(_ rows: [LimitRow]) -> MarkdownTable {
        var table = MarkdownTable(["limit", "from memory GB/s", "in cache GB/s"])
        for row in rows { table.append([row.name, row.fromMemory.text, row.cached.text]) }
        return table
    }

    var json: JSONValue {
        [
            "limit": .string(name), "memory_gb_s": fromMemory.samples.json,
            "cached_gb_s": cached.samples.json, "digest": .string(String(digest, radix: 16)),
        ]
    }
}

/// The speeds of several rounds, in gigabytes (10^9 bytes) a second.
struct Speeds {
    private(set) var samples = Samples()

    /// Measures one round of `work` on `byteCount` bytes.
    mutating func measure<Result>(_ byteCount: Int, _ work: () -> Result) -> Result {
        let start = Stopwatch.now()
        let result = work()
        samples.values.append(Double(byteCount) / (Stopwatch.now() - start) / 1e9)
        return result
    }

    var text: String { samples.text(1) }
}

/// The measurement.
struct KernelSpeed {
    private let scale: KernelScale
    private let bytes: [UInt8]
    private let key: ChunkerKey
    private let hasher: ContentHasher

    init(scale: KernelScale) {
        self.scale = scale
        var generator = SplitMix64(seed: 1)
        key = ChunkerKey(secret: generator.bytes(ChunkerKey.secretByteCount))
        hasher = ContentHasher(.xxh3, secret: generator.bytes(ContentHasher.secretBytes), domain: "chunk")
        bytes = generator.bytes(scale.byteCount)
    }

    /// Returns the rows for one average: one for each kernel, the fastest first, and FastCDC's at the end.
    func rows(average: Int) -> [KernelRow] {
        let parameters = ChunkerParameters(minimum: average / 2, maximum: average * 3 / 2)!
        let kernels = ScanKernel.available
        var rows = kernels.map { KernelRow(name: $0.name, average: average) }
        var rival = KernelRow(name: "FastCDC NC2", average: average)
        bytes.withUnsafeBytes { bytes in
            for _ in 0..<scale.roundCount {
                for (index, kernel) in kernels.enumerated() {
                    let chunker = Chunker(parameters: parameters, key: key, kernel: kernel)
                    measure(chunker, on: bytes, &rows[index])
                }
                measure(FastCDC(normal: Double(average), seed: 1), on: bytes, &rival)
            }
        }
        rows.append(rival)
        for index in rows.indices {
            rows[index].timesFastCDC = rows[index].scanAndIDs.samples.median / rival.scanAndIDs.samples.median
        }
        return rows
    }

    private func measure(_ cutter: some Cutter, on bytes: UnsafeRawBufferPointer, _ row: inout KernelRow) {
        (row.chunkCount, row.cuts) = row.scan.measure(bytes.count) { cut(bytes, with: cutter) { _ in } }
        row.ids = row.scanAndIDs.measure(bytes.count) { cutAndName(bytes, with: cutter) }
        let buffer = UnsafeRawBufferPointer(rebasing: bytes[..<scale.bufferByteCount])
        let repeats = bytes.count / buffer.count
        row.ids &+= row.bufferScanAndIDs.measure(repeats * buffer.count) {
            (0..<repeats).reduce(0) { digest, _ in digest &+ cutAndName(buffer, with: cutter) }
        }
    }

    /// Cuts all bytes and names the chunks. Returns a digest of the ids.
    private func cutAndName(_ bytes: UnsafeRawBufferPointer, with cutter: some Cutter) -> UInt64 {
        var digest: UInt64 = 0
        _ = cut(bytes, with: cutter) { digest = (digest ^ hasher.id(of: $0).low) &* 0x9e37_79b9_7f4a_7c15 }
        return digest
    }

    /// Cuts all bytes. Returns the number of chunks and a digest of their lengths.
    @inline(__always)
    private func cut(
        _ bytes: UnsafeRawBufferPointer, with cutter: some Cutter, _ body: (UnsafeRawBufferPointer) -> Void
    ) -> (count: Int, digest: UInt64) {
        var rest = bytes
        var count = 0
        var digest: UInt64 = 0
        while !rest.isEmpty {
            let length = cutter.firstCut(in: rest)
            body(UnsafeRawBufferPointer(rebasing: rest[..<length]))
            digest = (digest ^ UInt64(length)) &* 0x9e37_79b9_7f4a_7c15
            count += 1
            rest = UnsafeRawBufferPointer(rebasing: rest[length...])
        }
        return (count, digest)
    }

    /// Measures the cost of a single pass, from memory in pieces of up to a mebibyte and in cache: reading, naming, and
    /// each kernel's scan alone.
    func limits() -> [LimitRow] {
        var rows = [limit("read", Self.sum), limit("ids") { hasher.id(of: $0).low }]
        for kernel in ScanKernel.available {
            rows.append(
                limit("scan, \(kernel.name)") { piece in
                    // One window that covers the whole piece.
                    let parameters = ChunkerParameters(minimum: 64, maximum: piece.count)!
                    let chunker = Chunker(parameters: parameters, key: key, kernel: kernel)
                    return UInt64(chunker.firstCut(in: piece, isLast: true)!)
                })
        }
        return rows
    }

    private func limit(_ name: String, _ work: (UnsafeRawBufferPointer) -> UInt64) -> LimitRow {
        var row = LimitRow(name: name)
        bytes.withUnsafeBytes { bytes in
            let repeats = bytes.count / scale.pieceByteCount
            for _ in 0..<scale.roundCount {
                row.digest &+= row.fromMemory.measure(bytes.count) {
                    stride(from: 0, to: bytes.count, by: 1 << 20).reduce(0) { digest, start in
                        let end = min(start + 1 << 20, bytes.count)
                        return digest &+ work(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                    }
                }
                row.digest &+= row.cached.measure(repeats * scale.pieceByteCount) {
                    (0..<repeats).reduce(0) { digest, turn in
                        // Each piece has another start, so that the compiler cannot reuse an earlier result.
                        let start = turn % 8 * 64
                        let piece = bytes[start..<start + scale.pieceByteCount]
                        return digest &+ work(UnsafeRawBufferPointer(rebasing: piece))
                    }
                }
            }
        }
        return row
    }

    /// Returns the sum of the words in all whole 64-byte blocks.
    private static func sum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var low = SIMD4<UInt64>()
        var high = SIMD4<UInt64>()
        for offset in stride(from: 0, to: bytes.count & ~63, by: 64) {
            low &+= bytes.loadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self)
            high &+= bytes.loadUnaligned(fromByteOffset: offset + 32, as: SIMD4<UInt64>.self)
        }
        return (low &+ high).wrappedSum()
    }
}

extension Subcommand {
    static let kernels = Subcommand(
        name: "kernels", arguments: "[--tiny] [--json FILE]",
        explanation: [
            "each form of the candidate scan, alone and with ids, beside FastCDC NC2; one thread",
            "--tiny       small inputs, to see that it runs",
        ]
    ) { arguments in
        let scale = arguments.flag("--tiny") ? KernelScale.tiny : .full
        let json = try arguments.value("--json")
        try arguments.expectEnd()
        let machine = MachineDescription(folder: ".")
        let speed = KernelSpeed(scale: scale)
        let rows = scale.averages.flatMap(speed.rows)
        let limits = speed.limits()
        print(machine.text + "\n\n" + KernelRow.table(rows).text + "\n\n" + LimitRow.table(limits).text)
        let value: JSONValue = [
            "machine": machine.json, "kernels": .array(rows.map(\.json)),
            "limits": .array(limits.map(\.json)),
        ]
        if let json { try Files.write(json, Array((value.text() + "\n").utf8)) }
    }
}
