// RepositoryStats: the size of snapshots before and after deduplication and compression, by type of file. For each
// snapshot it also counts the blobs that no other snapshot needs: forgetting the snapshot would free them.
//
// The memory is three bits for each blob and some dozens of bytes for each distinct manifest segment. The run reads a
// segment once if several snapshots share it, and twice otherwise.

import BakCore
import BakFormat

/// The number and size of some blobs.
public struct BlobSizes: Equatable, Sendable {
    /// The number of blobs.
    public var blobs = 0
    /// Their bytes before compression.
    public var rawBytes: UInt64 = 0
    /// Their stored bytes, with their headers and footer rows.
    public var storedBytes: UInt64 = 0

    /// Makes the sizes of no blobs.
    public init() {}

    mutating func add(_ entry: IndexEntry) {
        blobs += 1
        rawBytes.add(UInt64(entry.rawLength))
        storedBytes.add(UInt64(entry.storedLength) + PackUsage.blobOverhead)
    }

    /// Moves bytes from `other` to these sizes. The index may have been read anew with other lengths, so each
    /// subtraction stops at zero.
    fileprivate mutating func move(rawBytes raw: UInt64, storedBytes stored: UInt64, from other: inout Self) {
        rawBytes.add(raw)
        storedBytes.add(stored)
        other.rawBytes -= min(raw, other.rawBytes)
        other.storedBytes -= min(stored, other.storedBytes)
    }
}

/// Counts of regular files of one type.
public struct TypeStats: Equatable, Sendable {
    /// The files' extension in lower case; empty for none.
    public var type: String
    /// The number of files, counted once for each snapshot that has them.
    public var files: UInt64 = 0
    /// Their total length.
    public var bytes: UInt64 = 0
    /// Their distinct chunks and their inline content. A chunk that files of several types share counts for one type
    /// only.
    public var chunks = BlobSizes()

    /// Makes empty counts for a type.
    public init(type: String) { self.type = type }
}

/// The counts of a repository or of some of its snapshots.
public struct RepositoryStats: Equatable, Sendable {
    /// The number of files, counted once for each snapshot that has them.
    public var files: UInt64 = 0
    /// The files' total length: the size of a restore of all snapshots.
    public var bytes: UInt64 = 0
    /// The distinct blobs that the snapshots need, including manifests.
    public var needed = BlobSizes()
    /// The manifests among `needed`, without inline content.
    public var manifests = BlobSizes()
    /// The counts by type, ordered by stored bytes, largest first.
    public var types: [TypeStats] = []
    /// For each snapshot, the blobs that no other snapshot needs.
    public var alone: [ID128: BlobSizes] = [:]
    /// The number of packs in the store.
    public var packs = 0
    /// The packs' total size.
    public var packBytes: UInt64 = 0
    /// The bytes in packs that no snapshot needs.
    public var unusedBytes: UInt64 = 0
    /// The number of missing or unreadable parts of snapshots, which the counts leave out.
    public var missing = 0
}

/// Gathers the statistics of snapshots. For one thread.
public final class StatsRun {
    private let repository: Repository
    private let sorted: SortedIndex
    private let reader: SegmentReader
    private let onProgress: (_ done: Int, _ total: Int) -> Void
    private let stop: StopSignal
    private var stats = RepositoryStats()
    private var types: [String: TypeStats] = [:]
    /// The blobs to which at least one snapshot refers. `several` has the blobs to which at least two snapshots refer.
    private var seen: LiveBlobs
    private var several: LiveBlobs
    private var catalog = SegmentCatalog()
    /// The largest number of types to distinguish. Files of all further types count together.
    private static let mostTypes = 4096

    /// A manifest segment to be read.
    private struct SegmentUse {
        var reference: ManifestSegmentReference
        /// The number of snapshots that have the segment and whose files are counted.
        var uses: UInt64
    }

    /// Prepares the run. `onProgress` receives the number of segments that have been read and the number of all
    /// segments.
    ///
    /// - Throws: `CorruptionError` or `StoreError` if the index table is damaged and an index segment cannot be read
    ///   instead.
    public init(
        _ repository: Repository, _ index: BlobIndex,
        onProgress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in },
        stop: StopSignal = .never
    ) throws {
        self.repository = repository
        self.onProgress = onProgress
        self.stop = stop
        sorted = try index.soundIndex()
        reader = SegmentReader(repository, index)
        seen = LiveBlobs(entries: sorted.count)
        several = LiveBlobs(entries: sorted.count)
    }

    /// Counts what `snapshots` hold. Damaged parts are left out and counted as missing.
    ///
    /// - Parameter listed: the snapshots whose files are counted; nil for all. All other snapshots only count as users
    ///   of blobs.
    /// - Throws: `RepositoryError.cacheChanged` if the index table changes meanwhile, and `StoreError`.
    public func run(
        _ snapshots: [CommitRecord], countingFilesOf listed: Set<ID128>? = nil
    ) throws -> RepositoryStats {
        try findSegments(of: snapshots)
        var counting = [0]
        for snapshot in snapshots {
            counting.append(counting.last! + (listed?.contains(snapshot.id) == false ? 0 : 1))
        }
        var own: [[SegmentUse]] = Array(repeating: [], count: snapshots.count)
        var shared: [SegmentUse] = []
        for segment in catalog.segments.sorted(by: { $0.reference.blob.id < $1.reference.blob.id }) {
            let uses = segment.holders.runs.reduce(0) {
                $0 + counting[$1.upperBound + 1] - counting[$1.lowerBound]
            }
            let use = SegmentUse(reference: segment.reference, uses: UInt64(uses))
            if let place = segment.holders.only { own[place].append(use) } else { shared.append(use) }
        }
        let total = shared.count + 2 * own.reduce(0) { $0 + $1.count }
        var done = 0
        func step() {
            done += 1
            onProgress(done, total)
        }
        for use in shared where !stop.isRequested {
            try scan(use) { type, position, entry in
                several.insert(position)
                count(position, entry, type)
            }
            step()
        }
        for place in own.indices {
            var mine = LiveBlobs(entries: sorted.count)
            for use in own[place] where !stop.isRequested {
                try scan(use) { type, position, entry in
                    guard !mine.contains(position) else { return }
                    mine.insert(position)
                    if seen.contains(position) { several.insert(position) }
                    count(position, entry, type)
                }
                step()
            }
        }
        var counted = LiveBlobs(entries: sorted.count)
        for (place, snapshot) in snapshots.enumerated() {
            for use in own[place] where !stop.isRequested {
                try scan(use, countingFiles: false) { _, position, entry in
                    guard !several.contains(position), !counted.contains(position) else { return }
                    counted.insert(position)
                    stats.alone[snapshot.id, default: BlobSizes()].add(entry)
                }
                step()
            }
        }
        try countPacks()
        try sorted.expectIntact()
        stats.types = types.values.sorted {
            ($1.chunks.storedBytes, $0.type) < ($0.chunks.storedBytes, $1.type)
        }
        return stats
    }

    // MARK: Manifests

    private func findSegments(of snapshots: [CommitRecord]) throws {
        var roots: [ID128: (place: Int?, reference: BlobReference)] = [:]
        for (place, snapshot) in snapshots.enumerated() where !stop.isRequested {
            stats.alone[snapshot.id] = BlobSizes()
            let isShared = roots[snapshot.root.id] != nil
            roots[snapshot.root.id] = (isShared ? nil : place, snapshot.root)
            guard let root = try readRoot(snapshot) else { continue }
            catalog.note(root, of: place)
        }
        let uses =
            roots.values.map { ($0.place, $0.reference) }
            + catalog.segments.map { ($0.holders.only, $0.reference.blob) }
        for (place, blob) in uses {
            guard let position = sorted.position(of: blob.id) else { continue }
            let entry = sorted.entry(at: position)
            seen.insert(position)
            stats.needed.add(entry)
            stats.manifests.add(entry)
            if let place { stats.alone[snapshots[place].id]?.add(entry) }
        }
    }

    private func readRoot(_ snapshot: CommitRecord) throws -> ManifestRoot? {
        do {
            return try reader.root(snapshot.root)
        } catch  where error is CorruptionError || error is MissingBlobError {
            stats.missing += 1
            return nil
        }
    }

    /// Calls `body` for every chunk to which a segment refers, with the type of the chunk's file.
    private func scan(
        _ use: SegmentUse, countingFiles: Bool = true,
        _ body: (_ type: String, _ position: Int, _ entry: IndexEntry) -> Void
    ) throws {
        do {
            let blob = use.reference.blob
            let decoder = try reader.decoder(blob)
            var type = Self.type(of: use.reference.firstPath)
            var inline: [String: UInt64] = [:]
            defer { countInline(inline, in: blob.id) }
            while let kind = try decoder.advance() {
                if kind == .entry {
                    type = Self.type(of: decoder.path)
                    if countingFiles, decoder.fields.stat.type == .regular {
                        countFile(type, decoder.fields.stat.size, use.uses)
                        inline[type, default: 0] += UInt64(decoder.inlineBytes)
                    }
                }
                _ = try decoder.allExtents { extent in
                    guard case .chunk(let chunk) = extent else { return true }
                    if let position = sorted.position(of: chunk.id) {
                        body(type, position, sorted.entry(at: position))
                    } else if countingFiles {
                        stats.missing += 1
                    }
                    return true
                }
            }
        } catch  where error is CorruptionError || error is MissingBlobError {
            if countingFiles { stats.missing += 1 }
        }
    }

    // MARK: Counting

    private func countFile(_ type: String, _ bytes: UInt64, _ uses: UInt64) {
        let (total, overflow) = bytes.multipliedReportingOverflow(by: uses)
        let size = overflow ? UInt64.max : total
        stats.files.add(uses)
        stats.bytes.add(size)
        let name = known(type)
        types[name, default: TypeStats(type: name)].files.add(uses)
        types[name, default: TypeStats(type: name)].bytes.add(size)
    }

    /// Counts a chunk unless it was counted before.
    private func count(_ position: Int, _ entry: IndexEntry, _ type: String) {
        guard !seen.contains(position) else { return }
        seen.insert(position)
        stats.needed.add(entry)
        let name = known(type)
        types[name, default: TypeStats(type: name)].chunks.add(entry)
    }

    /// Moves the bytes of a segment's inline content from the counts of manifests to the counts of the files' types. If
    /// the inline content is a third of the segment, for example, a third of the segment's stored bytes moves with it.
    private func countInline(_ bytes: [String: UInt64], in segment: ID128) {
        guard let position = sorted.position(of: segment) else { return }
        let entry = sorted.entry(at: position)
        for (type, raw) in bytes where raw > 0 && entry.rawLength > 0 {
            // This cannot overflow: a segment has at most 8 MiB, and a blob 16.
            let stored = raw * UInt64(entry.storedLength) / UInt64(entry.rawLength)
            let name = known(type)
            types[name, default: TypeStats(type: name)].chunks.move(
                rawBytes: raw, storedBytes: stored, from: &stats.manifests)
        }
    }

    private func known(_ type: String) -> String {
        types[type] != nil || types.count < Self.mostTypes ? type : ""
    }

    /// Returns the extension of the file's name in lower case; empty unless it has 1 to 10 ASCII letters and digits.
    private static func type(of path: [UInt8]) -> String {
        let name = path[(path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0)...]
        guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > name.startIndex else { return "" }
        let letters = name[(dot + 1)...]
        guard (1...10).contains(letters.count) else { return "" }
        var type: [UInt8] = []
        for letter in letters {
            switch letter {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                type.append(letter)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): type.append(letter | 0x20)
            default: return ""
            }
        }
        return String(decoding: type, as: UTF8.self)
    }

    private func countPacks() throws {
        let stored = try repository.listPacks()
        stats.packs = stored.count
        stats.packBytes = stored.values.total { UInt64($0) }
        var strays = Set(stored.keys)
        for use in try PackUsage(
            sorted, seen, CopyChoice(sorted.packs, stored: stored), isSealed: repository.isEncrypted
        ).packs
        where use.isStored {
            strays.remove(use.pack.id)
            stats.unusedBytes.add(use.livingBlobs > 0 ? use.unusedBytes : use.pack.size)
        }
        stats.unusedBytes.add(strays.total { UInt64(stored[$0] ?? 0) })
    }
}
