// HintCost: measures the time of the container parsers, on ordinary files and on files made to be slow. Each file is
// cut, and its chunks are named, twice: once as it is, and once with other first bytes. These bytes are the signature
// of compressed content without a container, so no parser runs. The difference between the two times is the parsers'
// time.

import BakChunking
import CXXHash
import SeededNumbers

/// Files of one kind.
private struct HintData {
    var name: String
    var files: [[UInt8]]

    static func all(megabytes: Int) -> [HintData] {
        var scale = BenchmarkScale.full
        scale.pictureCount = max(1, megabytes / 3)
        scale.pictureBytes = 2_000_000..<4_000_000
        scale.videoCount = 1
        scale.videoBytes = megabytes << 20..<(megabytes << 20) + 1
        let size = megabytes << 20
        func many(_ part: [UInt8], after start: [UInt8] = []) -> [UInt8] {
            start + (0..<size / part.count).flatMap { _ in part }
        }
        func segment(_ marker: UInt8, _ content: [UInt8]) -> [UInt8] {
            [0xff, marker] + bigEndianBytes(UInt16(content.count + 2)) + content
        }
        let more = segment(0xe2, Array("MPF\0".utf8))
        let scan = segment(0xda, [1, 2, 3])
        let member = Array("PK".utf8) + [3, 4] + [UInt8](repeating: 0, count: 26)
        let announced = PictureData.make(scale).files.map { $0[..<2] + more + $0[2...] }
        let brand = VideoData.box("ftyp", Array("heic0000".utf8))
        let png = [0x89] + Array("PNG\r\n".utf8) + [0x1a, 0x0a]
        return [
            HintData(name: "JPEG", files: PictureData.make(scale).files),
            HintData(name: "JPEG whose end is looked for", files: announced.map { Array($0) }),
            HintData(name: "MP4", files: VideoData.make(scale).files),
            HintData(name: "hostile: empty boxes", files: [many(VideoData.box("mdat", []), after: brand)]),
            HintData(
                name: "hostile: nested boxes",
                files: [many(VideoData.box("moov", VideoData.box("trak", [])), after: brand)]),
            HintData(
                name: "hostile: tiny images", files: [many([0xff, 0xd8] + more + scan + [0xff, 0xd9])]),
            HintData(
                name: "hostile: segments without content",
                files: [many(segment(0xe1, []), after: [0xff, 0xd8])]),
            HintData(
                name: "hostile: a scan of marks", files: [many([0xff], after: [0xff, 0xd8] + more + scan)]),
            HintData(name: "hostile: empty members", files: [many(member)]),
            HintData(
                name: "hostile: PNG chunks in turns",
                files: [many(Array("\0\0\0\0IDAT0000\0\0\0\0tEXt0000".utf8), after: png)]),
        ]
    }
}

/// The figures of one kind.
struct HintCostRow {
    var name: String
    var byteCount: Int
    /// The number of chunks with the parsers, and without.
    var chunks: (with: Int, without: Int)
    /// The seconds of each round, with the parsers and without.
    var seconds: (with: Samples, without: Samples)

    /// The relative time that the parsers add to cutting and naming.
    var difference: Double { seconds.with.minimum / seconds.without.minimum - 1 }

    static func table(_ rows: [HintCostRow]) -> MarkdownTable {
        var table = MarkdownTable([
            "files", "MB", "chunks: structure", "none", "GB/s: structure", "none", "longer %",
        ])
        for row in rows {
            func speed(_ seconds: Samples) -> String {
                fixed(Double(row.byteCount) / seconds.minimum / 1e9, 1)
            }
            table.append([
                row.name, fixed(Double(row.byteCount) / 1e6, 0), "\(row.chunks.with)",
                "\(row.chunks.without)",
                speed(row.seconds.with), speed(row.seconds.without), fixed(row.difference * 100, 1),
            ])
        }
        return table
    }
}

enum HintCost {
    /// zstd's magic number: compressed media content without a container.
    private static let plain: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd]
    /// The number of bytes that a backup's worker reads at a time.
    private static let bufferBytes = 8 << 20

    static func run(megabytes: Int, rounds: Int) -> [HintCostRow] {
        var generator = SplitMix64(seed: 1)
        let key = ChunkerKey(secret: generator.bytes(ChunkerKey.secretByteCount))
        let chunkers = ChunkerSet(
            general: Chunker(parameters: .general, key: key), media: Chunker(parameters: .media, key: key))
        return HintData.all(megabytes: megabytes).map { data in
            let without = data.files.map { plain + $0.dropFirst(plain.count) }
            var chunks = (with: 0, without: 0)
            var seconds = (with: Samples(), without: Samples())
            for _ in 0..<rounds {
                seconds.with.values.append(Stopwatch.seconds { chunks.with = cut(data.files, chunkers) })
                seconds.without.values.append(Stopwatch.seconds { chunks.without = cut(without, chunkers) })
            }
            return HintCostRow(
                name: data.name, byteCount: data.files.reduce(0) { $0 + $1.count }, chunks: chunks,
                seconds: seconds)
        }
    }

    /// Cuts files and names their chunks. Returns the number of chunks.
    private static func cut(_ files: [[UInt8]], _ chunkers: ChunkerSet) -> Int {
        var count = 0
        var mixed: UInt64 = 0
        for file in files {
            file.withUnsafeBytes { file in
                var cutter = ContentCutter(chunkers)
                var start = 0
                while start < file.count {
                    let end = min(file.count, start + bufferBytes)
                    let rest = UnsafeRawBufferPointer(rebasing: file[start..<end])
                    guard let chunk = cutter.nextChunk(in: rest, isLast: end == file.count) else { break }
                    mixed ^= XXH3_128bits(rest.baseAddress, chunk.byteCount).low64
                    start += chunk.byteCount
                    count += 1
                }
                precondition(start == file.count, "a file was not cut to its end")
            }
        }
        return mixed == 0 ? 0 : count
    }
}

extension Subcommand {
    static let hintCost = Subcommand(
        name: "hint-cost", arguments: "[--bytes SIZE] [--rounds N]",
        explanation: [
            "what reading the structure of containers adds to cutting and naming, on ordinary and hostile ones",
            "--bytes SIZE   of each kind of file (96M)",
            "--rounds N     rounds, of which the best counts (7)",
        ]
    ) { arguments in
        let bytes = try arguments.size("--bytes", default: 96 << 20)
        let rounds = try arguments.count("--rounds", default: 7)
        try arguments.expectEnd()
        print(HintCostRow.table(HintCost.run(megabytes: max(1, bytes >> 20), rounds: rounds)).text)
    }
}
