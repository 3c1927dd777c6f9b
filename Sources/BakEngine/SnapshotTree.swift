// SnapshotTree: a snapshot as the source of a backup, for copying it to a repository with other ids. A file is read
// from its chunks; what the snapshot says of it, holes and doubts about its content included, is what it is.

import BakCore
import BakFormat
import BakRepository
import BakStorage
import Synchronization

/// The files of a snapshot. May be used from any thread.
final class SnapshotTree: SourceTree, @unchecked Sendable {
    private let snapshot: CommitRecord
    private let repository: Repository
    private let index: BlobIndex
    private let root: ManifestRoot
    /// Segments that were looked into last, decoded, or why they cannot be: files are opened about in the order of the walk, and
    /// a damaged segment may have as many entries before its fault as a whole one.
    private let recent = Mutex<[RecentSegment]>([])
    /// How often a segment was decoded, for tests.
    let decodings = Atomic(0)
    private let readers = Mutex<[UncheckedBox<BlobReader>]>([])
    private static let recentSegments = 8
    private static let recentEntries = 100_000
    private static let recentPathBytes = 32 << 20

    let topDevice: UInt64? = nil

    /// Opens the list of a snapshot's files.
    ///
    /// Throws `MissingBlobError`, `CorruptionError` or `StoreError`.
    init(_ snapshot: CommitRecord, repository: Repository, index: BlobIndex) throws {
        self.snapshot = snapshot
        self.repository = repository
        self.index = index
        // The bytes live as long as their reader.
        let reader = BlobReader(repository)
        root = try withExtendedLifetime(reader) {
            let bytes = try reader.read(snapshot.root, kind: .manifestPack, index: index)
            return try ManifestRoot(decoding: bytes, object: "manifest root \(snapshot.root.id)")
        }
    }

    func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        let reader = try ManifestReader(snapshot, repository: repository, index: index)
        while true {
            do {
                guard let kind = try reader.advance() else { return }
                guard kind == .entry, let segment = reader.segment else { continue }
                if try visit(.entry(path: segment.path, stat: segment.fields.stat)) == .stop { return }
            } catch  where error is CorruptionError || error is MissingBlobError {
                let path = reader.skipSegment()
                let error = SourceError(operation: "read the list of files from here on", message: "\(error)")
                if try visit(.failure(path: path, error)) == .stop { return }
            }
        }
    }

    func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        let entry = try entry(path)
        guard entry.stat.type == .regular else {
            throw SourceError(operation: "open", message: "it is no regular file")
        }
        // Entries are found without the reader that compares both.
        if case .extents(let extents) = entry.content,
            extents.totalLength.map({ $0 > entry.stat.size }) ?? true
        {
            throw SourceError(operation: "read", message: "its chunks are longer than the file")
        }
        let reader = readers.withLock { $0.popLast() } ?? UncheckedBox(BlobReader(repository))
        return SnapshotSourceFile(entry, index, reader) { [self] in readers.withLock { $0.append(reader) } }
    }

    func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        try entry(path).attributes
    }

    func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) { ([], []) }

    // MARK: What a copy takes over

    /// Enters what the snapshot says of an entry beyond what reading it from there tells.
    func complete(_ entry: inout ManifestEntry) throws {
        // Of a file its reading tells more than only since when it is gone.
        guard snapshot.isArchive || entry.stat.type != .regular else { return }
        let original = try self.entry(entry.path)
        entry.goneSince = original.goneSince
        entry.missing.formUnion(original.missing)
        entry.isUnsettled = entry.isUnsettled || original.isUnsettled
    }

    /// Enters what the snapshot's record says of it beyond what a backup of its files finds out.
    func complete(_ record: inout CommitRecord) {
        record.original = snapshot.originalID
        (record.isArchive, record.doubtfulPaths) = (snapshot.isArchive, snapshot.doubtfulPaths)
        // A copy lacks what its original lacks, and what could not be read for it.
        record.isLacking = snapshot.isArchive && (snapshot.isLacking || record.counters.failedItems > 0)
        record.confirmed = snapshot.confirmed
        record.counters.newlyGoneFiles = snapshot.counters.newlyGoneFiles
        record.counters.failedItems.add(snapshot.counters.failedItems)
    }

    // MARK: Finding entries

    /// The entry of a path with all of its extents.
    private func entry(_ path: [UInt8]) throws(SourceError) -> ManifestEntry {
        do {
            // A file's extents may fill several segments, which then all begin with its path: its entry is in the
            // first of them, or in the one before. Only where one begins with it are two looked into.
            var number = PathOrder.firstIndex(of: root.segments.count, notBefore: path) {
                root.segments[$0].firstPath
            }
            let isFirst = number < root.segments.count && root.segments[number].firstPath == path
            if try !isFirst || segment(number).entry(path) == nil { number -= 1 }
            guard number >= 0, var entry = try segment(number).entry(path) else {
                throw SourceError(operation: "open", message: "it is not in the snapshot", isNotFound: true)
            }
            guard case .extents(var extents) = entry.content, try segment(number).isLast(path) else {
                return entry
            }
            while number + 1 < root.segments.count, extents.count <= FormatLimits.extentsPerFile {
                number += 1
                let next = try segment(number)
                extents += next.leadingExtents
                if !next.entries.isEmpty { break }
            }
            entry.content = .extents(extents)
            if let fault = entry.fault {
                throw SourceError(operation: "read the list of files with it", message: fault)
            }
            return entry
        } catch let error as SourceError {
            throw error
        } catch {
            throw SourceError(operation: "read the list of files with it", message: "\(error)")
        }
    }

    private func segment(_ number: Int) throws -> DecodedSegment {
        let known = recent.withLock { recent in
            recent.firstIndex { $0.number == number }.map { place in
                recent.append(recent.remove(at: place))
                return recent[recent.count - 1].decoded
            }
        }
        if let known { return try known.get() }
        let decoded: Result<DecodedSegment, any Error>
        do {
            decoded = .success(try decode(root.segments[number].blob))
        } catch  where error is CorruptionError || error is MissingBlobError {
            decoded = .failure(error)
        }
        recent.withLock { recent in
            recent.append(RecentSegment(number: number, decoded: decoded))
            // A hostile segment has a hundred times as many entries as one of ours.
            while recent.count > 1,
                recent.count > Self.recentSegments
                    || recent.reduce(0, { $0 + $1.entryCount }) > Self.recentEntries
                    || recent.reduce(0, { $0 + $1.pathBytes }) > Self.recentPathBytes
            {
                recent.removeFirst()
            }
        }
        return try decoded.get()
    }

    private func decode(_ segment: BlobReference) throws -> DecodedSegment {
        decodings.add(1, ordering: .relaxed)
        let reader = BlobReader(repository)
        return try withExtendedLifetime(reader) {
            let bytes = try reader.read(segment, kind: .manifestPack, index: index)
            return try DecodedSegment(bytes, object: "manifest segment \(segment.id)")
        }
    }
}

/// A segment that was looked into, and what came of it.
private struct RecentSegment: Sendable {
    let number: Int
    let decoded: Result<DecodedSegment, any Error>

    var entryCount: Int { (try? decoded.get())?.entries.count ?? 0 }
    var pathBytes: Int { (try? decoded.get())?.pathBytes ?? 0 }
}

/// A manifest segment as values.
private struct DecodedSegment: Sendable {
    /// Sorted by path, with the extents of further records in this segment.
    private(set) var entries: [ManifestEntry] = []
    /// Extents of a file of the segment before.
    private(set) var leadingExtents: [Extent] = []
    /// The length of all paths together.
    private(set) var pathBytes = 0

    init(_ bytes: UnsafeRawBufferPointer, object: String) throws {
        let decoder = try ManifestSegmentDecoder(bytes, object: object)
        while let record = try decoder.next() {
            switch record {
            case .entry(let entry):
                entries.append(entry)
                pathBytes += entry.path.count
            case .continuation(let more):
                guard let last = entries.indices.last else {
                    leadingExtents += more
                    continue
                }
                guard case .extents(var extents) = entries[last].content else { continue }
                // Held once, so that it grows in place.
                entries[last].content = nil
                extents += more
                entries[last].content = .extents(extents)
            }
        }
    }

    func entry(_ path: [UInt8]) -> ManifestEntry? {
        let place = PathOrder.firstIndex(of: entries.count, notBefore: path) { entries[$0].path }
        return place < entries.count && entries[place].path == path ? entries[place] : nil
    }

    func isLast(_ path: [UInt8]) -> Bool { entries.last?.path == path }
}

/// A file of a snapshot, read through its chunks. For one thread.
private final class SnapshotSourceFile: SourceFile {
    private let entry: ManifestEntry
    private let index: BlobIndex
    private let reader: UncheckedBox<BlobReader>
    private let giveBack: () -> Void
    private let extents: [Extent]
    /// Where each extent begins.
    private let starts: [UInt64]
    /// The chunk that the reader holds.
    private var current: (place: Int, bytes: UnsafeRawBufferPointer)?

    init(
        _ entry: ManifestEntry, _ index: BlobIndex, _ reader: UncheckedBox<BlobReader>,
        giveBack: @escaping () -> Void
    ) {
        self.entry = entry
        self.index = index
        self.reader = reader
        self.giveBack = giveBack
        if case .extents(let extents) = entry.content { self.extents = extents } else { extents = [] }
        var (starts, end): ([UInt64], UInt64) = ([], 0)
        for extent in extents {
            starts.append(end)
            end += extent.length
        }
        self.starts = starts
    }

    var earlierFindings: EarlierFindings? {
        EarlierFindings(
            changedWhileRead: entry.changedWhileRead, isUnsettled: entry.isUnsettled,
            missing: entry.missing)
    }

    func stat() throws(SourceError) -> FileStat {
        var stat = entry.stat
        let hasHole = extents.contains { if case .hole = $0 { true } else { false } }
        stat.allocatedBytes = hasHole ? 0 : stat.size
        return stat
    }

    func attributes(_ stat: FileStat) -> FileAttributes { entry.attributes }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
        if case .inline(let content) = entry.content {
            let rest = content.dropFirst(Int(min(offset, UInt64(content.count)))).prefix(buffer.count)
            buffer.copyBytes(from: rest)
            return rest.count
        }
        var filled = 0
        while filled < buffer.count, let place = place(of: offset + UInt64(filled)) {
            let within = Int(offset + UInt64(filled) - starts[place])
            let left = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            switch extents[place] {
            case .hole(let length):
                let count = Int(min(length - UInt64(within), UInt64(left.count)))
                UnsafeMutableRawBufferPointer(rebasing: left[..<count]).initializeMemory(
                    as: UInt8.self, repeating: 0)
                filled += count
            case .chunk(let reference):
                let piece = try chunk(place, reference)[within...].prefix(left.count)
                left.copyMemory(from: UnsafeRawBufferPointer(rebasing: piece))
                filled += piece.count
            }
        }
        return filled
    }

    private func chunk(
        _ place: Int, _ reference: BlobReference
    ) throws(SourceError) -> UnsafeRawBufferPointer {
        if let current, current.place == place { return current.bytes }
        current = nil
        do {
            let bytes = try reader.value.read(reference, kind: .chunkPack, index: index)
            current = (place, bytes)
            return bytes
        } catch { throw SourceError(operation: "read", message: "\(error)") }
    }

    /// The extent that holds the byte at `offset`; nil at the end.
    private func place(of offset: UInt64) -> Int? {
        var (low, high) = (0, starts.count)
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= offset { low = middle + 1 } else { high = middle }
        }
        guard low > 0, offset - starts[low - 1] < extents[low - 1].length else { return nil }
        return low - 1
    }

    func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>? {
        guard let first = place(of: offset) else { return nil }
        for place in first..<extents.count {
            guard case .chunk = extents[place] else { continue }
            var end = place
            while end < extents.count, case .chunk = extents[end] { end += 1 }
            let upper = end < starts.count ? starts[end] : starts[end - 1] + extents[end - 1].length
            return max(offset, starts[place])..<min(upper, size)
        }
        return nil
    }

    func close() { giveBack() }
}
