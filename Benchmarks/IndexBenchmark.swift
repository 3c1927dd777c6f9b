// IndexBenchmark: measures the index table at a size that no test has. It fills BakRepository's table and overlay with
// ids that are as uniform as real ones.

import BakCore
import BakFormat
import BakPosix
import BakRepository
import BakStorage
import Glibc
import SeededNumbers

/// Index entries with uniform ids, made in sorted order.
struct SimulatedEntries {
    /// The number of chunks in a pack: 128 KiB chunks in packs of 32 MiB.
    static let perPack = 256

    let count: Int
    let seed: UInt64

    /// Returns a segment of all entries, and about `sampleCount` of their ids.
    ///
    /// Sorted uniform numbers are the partial sums of exponential gaps divided by their total (Devroye 1986, V.3.1).
    /// The first pass computes the total, the second makes the entries.
    func segment(sampleCount: Int) -> (segment: IndexSegment, sample: [ID128]) {
        var total = 0.0
        forEachGap { total += $0 }
        var random = SplitMix64(seed: seed ^ 0x6c6f77)
        let packCount = (count + Self.perPack - 1) / Self.perPack
        var segment = IndexSegment(session: ID128(high: seed, low: 1), contents: [])
        segment.packs = (0..<packCount).map { number in
            IndexedPack(
                id: ID128(high: seed << 40 | UInt64(number), low: 2), size: 32 << 20, kind: .chunkPack)
        }
        segment.entries.reserveCapacity(count)
        var sample: [ID128] = []
        let sampleStep = max(1, count / sampleCount)
        var sum = 0.0
        forEachGap { gap in
            guard segment.entries.count < count else { return }
            sum += gap
            // A double has 53 bits. The other bits come from a second generator.
            let high = UInt64(sum / total * 0x1p53) << 11 | random.next() >> 53
            let id = ID128(high: high, low: random.next())
            if segment.entries.count % sampleStep == 0 { sample.append(id) }
            segment.entries.append(
                IndexEntry(
                    id: id, pack: UInt32(random.next() % UInt64(packCount)),
                    offset: UInt32(random.next() & 0xff_ffff), rawLength: 131_072, storedLength: 131_072))
        }
        return (segment, sample)
    }

    /// Calls `body` with each gap. There is one more gap than there are entries.
    private func forEachGap(_ body: (Double) -> Void) {
        var generator = SplitMix64(seed: seed)
        for _ in 0...count { body(-log(Double.random(in: 0x1p-53...1, using: &generator))) }
    }
}

/// The measurements.
struct IndexResult {
    var entryCount = 0
    var fileBytes = 0
    var openSeconds = Samples()
    /// Seconds for one look-up.
    var firstHits = 0.0
    var hits = Samples()
    var misses = Samples()
    var mergedEntryCount = 0
    var mergeSeconds = 0.0
    /// The process's own memory that opening and all look-ups took; and the mapped memory of the table after the
    /// look-ups.
    var anonymousBytes = 0
    var mappedBytes = 0
    /// The number of look-ups that missed a known id or found an unknown one.
    var wrongAnswers = 0

    var table: MarkdownTable {
        var table = MarkdownTable(["what", "measured", "goal"])
        table.append(["chunks", "\(entryCount)", ""])
        table.append(["bytes a chunk on disk", fixed(Double(fileBytes) / Double(entryCount), 2), "<= 32"])
        table.append(["open, ms", openSeconds.scaled(1e3).text(2), "<= 50"])
        table.append(["look-up of a known id, warm, ns", hits.scaled(1e9).text(0), "<= 1000"])
        table.append(["look-up of an unknown id, warm, ns", misses.scaled(1e9).text(0), "<= 1000"])
        table.append(["look-up of a known id, first touch of the mapping, ns", fixed(firstHits * 1e9, 0), ""])
        table.append(["merging \(mergedEntryCount) new chunks, s", fixed(mergeSeconds, 2), ""])
        table.append([
            "memory that opening and looking up take, MB", fixed(Double(anonymousBytes) / 1e6, 1), "",
        ])
        table.append(["mapped, which the kernel may take back, MB", fixed(Double(mappedBytes) / 1e6, 1), ""])
        return table
    }

    var json: JSONValue {
        [
            "entries": .integer(entryCount), "file_bytes": .integer(fileBytes),
            "open_seconds": openSeconds.json, "hit_seconds": hits.json, "miss_seconds": misses.json,
            "first_hit_seconds": .number(firstHits), "merged_entries": .integer(mergedEntryCount),
            "merge_seconds": .number(mergeSeconds), "anonymous_bytes": .integer(anonymousBytes),
            "mapped_bytes": .integer(mappedBytes),
        ]
    }
}

extension Samples {
    func scaled(_ factor: Double) -> Samples { Samples(values: values.map { $0 * factor }) }
}

/// Builds a table and measures it.
struct IndexBenchmark {
    /// The number of entries in the table, and the number of entries that one step adds. A step is in memory while it
    /// is added.
    let entryCount: Int
    let stepCount: Int
    let folder: String

    private static let repository = ID128(high: 7, low: 7)
    private static let lookUps = 1 << 20

    func run() throws -> IndexResult {
        let cache = FolderCache(path: folder)
        var result = IndexResult()
        result.entryCount = entryCount
        var known: [ID128] = []
        var added = 0
        while added < entryCount {
            let count = min(stepCount, entryCount - added)
            let sampleCount = max(1, Self.lookUps / (entryCount / stepCount + 1))
            let (segment, sample) = SimulatedEntries(count: count, seed: UInt64(1 + added)).segment(
                sampleCount: sampleCount)
            known += sample
            _ = try merge([segment], into: cache)
            added += count
            Benchmark.complain("index: \(added) of \(entryCount)")
        }
        var generator = SplitMix64(seed: 99)
        known.shuffle(using: &generator)
        let unknown = known.map { _ in ID128(high: generator.next(), low: generator.next()) }
        try look(up: known, unknown, in: cache, &result)
        result.fileBytes = Files.totalBytes(beneath: folder)
        // The largest number of entries that the index holds back before it merges.
        result.mergedEntryCount = min(max(entryCount / 16, 1), 1 << 20)
        let (segment, _) = SimulatedEntries(count: result.mergedEntryCount, seed: 1 << 39).segment(
            sampleCount: 1)
        result.mergeSeconds = try Stopwatch.seconds {
            let merged = try merge([segment], into: cache)
            if merged.count != entryCount + segment.entries.count { result.wrongAnswers += 1 }
        }
        return result
    }

    private func merge(_ segments: [IndexSegment], into cache: FolderCache) throws -> IndexTable {
        var overlay = IndexOverlay()
        overlay.add(segments)
        let old = cache.map(IndexTable.cacheName).flatMap { IndexTable($0, repository: Self.repository) }
        guard
            let table = try IndexTable.write(
                merging: old, overlay, repository: Self.repository,
                generation: ID128(from: SystemRandom()), to: cache)
        else { throw FileFailure("read the table in", folder) }
        return table
    }

    private func look(
        up known: [ID128], _ unknown: [ID128], in cache: FolderCache, _ result: inout IndexResult
    ) throws {
        func open() throws -> IndexTable {
            guard
                let table = cache.map(IndexTable.cacheName).flatMap({
                    IndexTable($0, repository: Self.repository)
                })
            else { throw FileFailure("map the table in", folder) }
            return table
        }
        let anonymousBytes = MachineDescription.memoryBytes("RssAnon")
        result.openSeconds = try Stopwatch.samples(5) { _ = try open() }
        let table = try open()
        func pass(_ ids: [ID128], found: Bool) -> Double {
            var count = 0
            let seconds = Stopwatch.seconds { for id in ids where table.find(id) != nil { count += 1 } }
            result.wrongAnswers += found ? ids.count - count : count
            return seconds / Double(ids.count)
        }
        result.firstHits = pass(known, found: true)
        _ = pass(unknown, found: false)
        for _ in 0..<5 {
            result.hits.values.append(pass(known, found: true))
            result.misses.values.append(pass(unknown, found: false))
        }
        result.anonymousBytes = MachineDescription.memoryBytes("RssAnon") - anonymousBytes
        result.mappedBytes = MachineDescription.memoryBytes("RssFile")
    }
}

extension Subcommand {
    static let index = Subcommand(
        name: "index", arguments: "--scratch FOLDER [--entries N] [--json FILE]",
        explanation: [
            "the index table of a simulated repository: size, opening, look-ups, merging, memory",
            "--scratch FOLDER  where the table is made, 30 bytes a chunk twice; removed at the end",
            "--entries N       how many chunks (100,000,000)",
        ]
    ) { arguments in
        let entryCount = try arguments.count("--entries", default: 100_000_000)
        guard let scratch = try arguments.value("--scratch") else {
            throw UsageError(message: "--scratch is missing")
        }
        let json = try arguments.value("--json")
        try arguments.expectEnd()
        let folder = scratch + "/bakstore-index"
        let machine = MachineDescription(folder: scratch)
        let result = try IndexBenchmark(entryCount: entryCount, stepCount: 25_000_000, folder: folder).run()
        _ = try Command("rm", "-rf", folder).run(log: "/dev/null")
        guard result.wrongAnswers == 0 else {
            throw FileFailure("trust \(result.wrongAnswers) answers of the table in", folder)
        }
        print(machine.text + "\n\n" + result.table.text)
        let value: JSONValue = ["machine": machine.json, "index": result.json]
        if let json { try Files.write(json, Array((value.text() + "\n").utf8)) }
    }
}
