// SnapshotTree: a snapshot as the source of a backup, for copying it to a repository with other ids. A file is read
// from its chunks; what the snapshot says of it, holes and doubts about its content included, is what it is.

import BakCore
import BakFormat
import BakRepository
import BakStorage
import Synchronization

/// The files of a snapshot. May be used from any thread.
package final class SnapshotTree: SourceTree, @unchecked Sendable {
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
    private static let recentExtents = 1 << 20

    package let topDevice: UInt64? = nil

    /// Opens the list of a snapshot's files.
    ///
    /// Throws `MissingBlobError`, `CorruptionError` or `StoreError`.
    package init(_ snapshot: CommitRecord, repository: Repository, index: BlobIndex) throws {
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

    package func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
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

    package func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        let (entry, number) = try find(path)
        guard entry.stat.type == .regular else {
            throw SourceError(operation: "open", message: "it is no regular file")
        }
        return SnapshotSourceFile(entry, try places(of: entry, from: number), of: self)
    }

    package func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        try find(path).entry.attributes
    }

    package func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) { ([], []) }

    // MARK: What a copy takes over

    /// Enters what the snapshot says of an entry beyond what reading it from there tells.
    func complete(_ entry: inout ManifestEntry) throws {
        // Of a file its reading tells more than only since when it is gone.
        guard snapshot.isArchive || entry.stat.type != .regular else { return }
        let original = try find(entry.path).entry
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

    /// The entry of a path with the extents that its segment has, and the number of that.
    private func find(_ path: [UInt8]) throws(SourceError) -> (entry: ManifestEntry, number: Int) {
        // A file's extents may fill several segments, which then all begin with its path: its entry is in the
        // first of them, or in the one before. Only where one begins with it are two looked into.
        var number = PathOrder.firstIndex(of: root.segments.count, notBefore: path) {
            root.segments[$0].firstPath
        }
        let isFirst = number < root.segments.count && root.segments[number].firstPath == path
        if isFirst, let entry = try known(number).entry(path) { return (entry, number) }
        number -= 1
        guard number >= 0, let entry = try known(number).entry(path) else {
            throw SourceError(operation: "open", message: "it is not in the snapshot", isNotFound: true)
        }
        return (entry, number)
    }

    /// Where the extents of a file are whose entry is in a segment. Entries are found without the reader that compares what
    /// one segment says with the others: that they are the file's content is seen here.
    private func places(of entry: ManifestEntry, from number: Int) throws(SourceError) -> ExtentPlaces {
        var places = ExtentPlaces()
        guard case .extents(let extents) = entry.content else { return places }
        places.add(extents, segment: number)
        var (number, isLast) = (number, try known(number).isLast(entry.path))
        while isLast, number + 1 < root.segments.count, root.segments[number + 1].firstPath == entry.path,
            places.bytes <= entry.stat.size, places.count <= FormatLimits.extentsPerFile
        {
            number += 1
            let next = try known(number)
            places.add(next.leadingExtents, segment: number)
            isLast = next.entries.isEmpty
        }
        guard places.count <= FormatLimits.extentsPerFile else {
            throw SourceError(
                operation: "read", message: "it has over \(FormatLimits.extentsPerFile) extents")
        }
        guard places.bytes == entry.stat.size else {
            throw SourceError(
                operation: "read",
                message: "its content in the repository does not add up to the file's size")
        }
        return places
    }

    /// What a segment has of a file that was opened.
    func extents(of path: [UInt8], in number: Int) throws(SourceError) -> [Extent] {
        try known(number).extents(of: path)
    }

    /// The bytes of a chunk, until the reader is used again.
    func chunk(
        _ reference: BlobReference, _ reader: BlobReader
    ) throws(SourceError) -> UnsafeRawBufferPointer {
        do {
            return try reader.read(reference, kind: .chunkPack, index: index)
        } catch { throw SourceError(operation: "read", message: "\(error)") }
    }

    /// A reader for one file, which is given back when that is closed.
    func takeReader() -> UncheckedBox<BlobReader> {
        readers.withLock { $0.popLast() } ?? UncheckedBox(BlobReader(repository))
    }

    /// Takes a reader back.
    func giveBack(_ reader: UncheckedBox<BlobReader>) { readers.withLock { $0.append(reader) } }

    private func known(_ number: Int) throws(SourceError) -> DecodedSegment {
        do {
            return try segment(number)
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
                    || recent.reduce(0, { $0 + $1.extentCount }) > Self.recentExtents
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
    var extentCount: Int { (try? decoded.get())?.extentCount ?? 0 }
}
