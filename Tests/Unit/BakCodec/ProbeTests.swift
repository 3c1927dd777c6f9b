// The probe, compared with real attempts at compression. A miss is a chunk that was not tried and would have gained 3
// %. A waste is an attempt that gained less. Each type of content prints a line. If BAKSTORE_CORPUS names a folder, its
// files are measured too, grouped by their extensions.

import Foundation
import Testing

@testable import BakCodec

/// Types of content. Each is made from a number of bytes and a seed.
private let kinds: [(name: String, make: @Sendable (Int, UInt64) -> [UInt8])] = [
    ("text", Samples.text),
    ("UTF-16", Samples.utf16),
    ("base64", Samples.base64),
    ("database pages", Samples.databasePages),
    ("bitmap", Samples.bitmap),
    ("PCM, quiet", { Samples.pcm($0, noiseBits: 4, seed: $1) }),
    ("PCM, noisy", { Samples.pcm($0, noiseBits: 11, seed: $1) }),
    ("random", Samples.random),
    (
        "random, 10 % zeros",
        { Samples.blocks($0, of: 4096, seed: $1) { $0 + [UInt8](repeating: 0, count: 455) } }
    ),
    (
        "random, half of it text",
        { Samples.blocks($0, of: 8192, seed: $1) { $0 + Samples.text(8192, seed: 1) } }
    ),
    ("random, period 40,000", { Samples.blocks($0, of: 40_000, seed: 0 * $1) { $0 } }),
    ("random, 5,000 of 50,000 again", { Samples.blocks($0, of: 50_000, seed: $1) { $0 + $0.prefix(5000) } }),
]

private let corpusFolder = ProcessInfo.processInfo.environment["BAKSTORE_CORPUS"]

/// The results of the probe for the chunks of one type.
private struct Tally: CustomStringConvertible {
    var chunks = 0
    var bytes = 0
    var gainful = 0
    var missed = 0
    var missedGainBytes = 0
    var wasted = 0
    var time = Duration.zero

    mutating func add(
        _ chunk: UnsafeRawBufferPointer, _ probe: CompressibilityProbe, _ compressor: Compressor
    ) {
        let start = ContinuousClock.now
        let isTried = probe.isWorthCompressing(chunk)
        time += ContinuousClock.now - start
        let stored = compressor.compress(chunk, isCompressedContent: false)
        let isGainful = stored.codec != .raw
        chunks += 1
        bytes += chunk.count
        gainful += isGainful ? 1 : 0
        missed += isGainful && !isTried ? 1 : 0
        missedGainBytes += isGainful && !isTried ? chunk.count - stored.stored.count : 0
        wasted += isTried && !isGainful ? 1 : 0
    }

    var description: String {
        "\(chunks) chunks, \(gainful) gain, \(missed) missed (\(missedGainBytes) of \(bytes) bytes), "
            + "\(wasted) tried in vain; \(Int(Double(bytes) / (time / .microseconds(1)))) MB/s"
    }
}

@Suite struct ProbeTests {
    @Test(arguments: [128 << 10, 512 << 10], kinds.indices)
    func generated(chunkBytes: Int, kind: Int) {
        let probe = CompressibilityProbe()
        let compressor = Compressor(.zstd(level: 3))
        var tally = Tally()
        // A debug build makes large chunks slowly, so only the smaller sizes get several chunks.
        for seed in 1...(chunkBytes > 128 << 10 ? 1 : 4) {
            let chunk = kinds[kind].make(chunkBytes, UInt64(seed))
            chunk.withUnsafeBytes { tally.add($0, probe, compressor) }
        }
        print("probe, \(chunkBytes >> 10) KiB, \(kinds[kind].name): \(tally)")
        #expect(tally.missed == 0)
        if kinds[kind].name == "random" { #expect(tally.wasted == 0) }
    }

    /// Real files. The probe may miss a few compressible chunks if the total loss is small.
    @Test(
        .enabled(if: corpusFolder != nil, "BAKSTORE_CORPUS names no folder"), arguments: [128 << 10, 1 << 20])
    func corpus(chunkBytes: Int) throws {
        let root = try #require(corpusFolder)
        let probe = CompressibilityProbe()
        let compressor = Compressor(.zstd(level: 3))
        var tallies: [String: Tally] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: root).sorted() {
            let url = URL(fileURLWithPath: path, relativeTo: URL(fileURLWithPath: root, isDirectory: true))
            guard let content = try? Data(contentsOf: url), !content.isEmpty else { continue }
            content.withUnsafeBytes { bytes in
                for start in stride(from: 0, to: bytes.count, by: chunkBytes) {
                    let end = min(start + chunkBytes, bytes.count)
                    let chunk = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
                    tallies[url.pathExtension.lowercased(), default: Tally()].add(chunk, probe, compressor)
                }
            }
        }
        for (name, tally) in tallies.sorted(by: { $0.key < $1.key }) {
            print("probe, \(chunkBytes >> 10) KiB, .\(name): \(tally)")
        }
        let bytes = tallies.values.reduce(0) { $0 + $1.bytes }
        let missedGainBytes = tallies.values.reduce(0) { $0 + $1.missedGainBytes }
        #expect(missedGainBytes * 500 <= bytes)
    }
}
