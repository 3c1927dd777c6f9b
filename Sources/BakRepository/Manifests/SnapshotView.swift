// SnapshotView: a snapshot as a tree of folders and files. A view finds an entry by its path, lists a folder's children
// and reads a file's content. All commands that list, find, compare, serve or mount a snapshot use a view.
//
// Always holds:
// - All results are verified.
// - Memory is bounded, whatever the manifest says.
// - Listing a folder's children skips the segments that hold only deeper entries.
// - Damage in a segment gives an error that names the object and the offset. It does not affect other segments.

import BakCore
import BakFormat
import Synchronization

/// A view of a snapshot. May be used from any thread.
public final class SnapshotView: Sendable {
    /// The snapshot.
    public let snapshot: CommitRecord
    /// The cache of recently read segments and chunks; nil if nothing is kept.
    public let cache: BlobCache?
    let root: ManifestRoot
    private let repository: Repository
    private let index: BlobIndex
    private let recent = RecentSegments()
    private let streams = StreamPool()
    private let takesDamagedSegments: Bool
    /// The number of times that a segment was decoded, for tests.
    package let decodings = Atomic(0)

    /// Reads the root of a snapshot's manifest.
    ///
    /// - Parameters:
    ///   - cache: a cache of the same repository, for content that is read again or by several readers. Nil is faster
    ///     if each listing or file is read once.
    ///   - takesDamagedSegments: true if `entry` and `content` may use those entries of a damaged segment that come
    ///     before the damage.
    /// - Throws: `MissingBlobError`, `CorruptionError` or `StoreError`.
    public init(
        _ snapshot: CommitRecord, repository: Repository, index: BlobIndex, cache: BlobCache? = nil,
        takesDamagedSegments: Bool = true
    ) throws {
        (self.snapshot, self.repository, self.index) = (snapshot, repository, index)
        self.cache = cache
        self.takesDamagedSegments = takesDamagedSegments
        root = try SegmentReader(repository, index).root(snapshot.root)
    }

    // MARK: Listing

    /// Returns a stream of all records at or after a path. It may begin with a few earlier records.
    public func records(from path: [UInt8] = []) -> ManifestReader {
        ManifestReader(root, SegmentReader(repository, index, cache: cache), from: path)
    }

    /// The depth of a listing.
    public enum Depth: Sendable {
        /// Only the entries directly in the folder.
        case children
        /// All entries beneath the folder.
        case everything
    }

    /// Passes the entry at a path, and those beneath it to the given depth, to `body` until `body` returns false.
    /// Returns true if there is an entry at or beneath the path.
    ///
    /// - Parameters:
    ///   - path: empty for the whole snapshot.
    ///   - onDamage: called if a part of the list cannot be read, with the path at which that part begins and the
    ///     `CorruptionError` or `MissingBlobError`. The listing continues after that part. Damage in parts that the
    ///     listing does not need is not noticed.
    /// - Throws: `StoreError`, and what `onDamage` and `body` throw.
    @discardableResult
    public func list(
        _ path: [UInt8], _ depth: Depth,
        onDamage: (_ start: [UInt8], _ error: any Error) throws -> Void = { throw $1 },
        _ body: (ManifestEntry) throws -> Bool
    ) throws -> Bool {
        // A listing of everything reads each segment once, so it needs no cache.
        let reader = ManifestReader(
            root, SegmentReader(repository, index, cache: depth == .children ? cache : nil), from: path)
        let nameStart = path.isEmpty ? 0 : path.count + 1
        var isFound = false
        while true {
            let entry: ManifestEntry
            do {
                guard let kind = try reader.advance() else { return isFound }
                guard kind == .entry, let segment = reader.segment else { continue }
                let found = segment.path
                guard PathOrder.isAtOrBeneath(found, path) else {
                    if PathOrder.precedes(path, found) { return isFound }
                    continue
                }
                isFound = true
                if depth == .children, found.count > nameStart,
                    let end = found[nameStart...].firstIndex(of: UInt8(ascii: "/"))
                {
                    reader.skipContent(of: Array(found[..<end]))
                    continue
                }
                entry = try segment.entry()
            } catch  where error is CorruptionError || error is MissingBlobError {
                try onDamage(reader.skipSegment(), error)
                continue
            }
            guard try body(entry) else { return isFound }
        }
    }

    /// Passes the entries directly in a folder to `body`, in their order, until `body` returns false. An entry has only
    /// the extents of its own record.
    ///
    /// - Parameter folder: empty for the top.
    /// - Throws: the same errors as `list`, and damage if `onDamage` is not given.
    public func children(
        of folder: [UInt8], onDamage: (_ start: [UInt8], _ error: any Error) throws -> Void = { throw $1 },
        _ body: (ManifestEntry) throws -> Bool
    ) throws {
        try list(folder, .children, onDamage: onDamage) { $0.path == folder ? true : try body($0) }
    }

    // MARK: Single entries

    /// Returns the entry of a path; nil if there is none. The entry has only the extents that are in its own segment of
    /// the manifest.
    ///
    /// - Throws: `MissingBlobError`, `CorruptionError` or `StoreError` if the segment that should hold the path cannot
    ///   be read up to it.
    public func entry(at path: [UInt8]) throws -> ManifestEntry? { try find(path)?.entry }

    /// Returns the content of a regular file, for one thread; nil if there is no such file.
    ///
    /// - Throws: the same errors as `entry`.
    public func content(of path: [UInt8]) throws -> SnapshotContent? {
        guard let (entry, number) = try find(path), entry.stat.type == .regular else { return nil }
        return SnapshotContent(entry, in: number, of: self)
    }

    /// Returns the entry of a path and the number of its segment.
    private func find(_ path: [UInt8]) throws -> (entry: ManifestEntry, number: Int)? {
        // Usually only one segment can hold the entry: the last one that begins before `path`. But if a segment begins
        // at `path`, it begins with the entry or with further extents of the file. In the second case the entry is in
        // an earlier segment, so the search looks into both.
        let after = PathOrder.firstIndex(of: root.segments.count, notBefore: path) {
            root.segments[$0].firstPath
        }
        var fault: (any Error)?
        if after < root.segments.count, root.segments[after].firstPath == path {
            let first = try segment(after)
            if let entry = first.entry(path) { return (entry, after) }
            if first.leadingExtents.isEmpty { fault = first.fault }
        }
        if after > 0 {
            let before = try segment(after - 1)
            if let entry = before.entry(path) { return (entry, after - 1) }
            fault = before.fault ?? fault
        }
        if let fault { throw fault }
        return nil
    }

    /// Returns a stream of chunks, to be returned with `giveBack`. A new stream for each small file would cost more
    /// than reading the file.
    func takeStream() -> ChunkStream { streams.take() ?? ChunkStream(repository, index) }

    /// Keeps a stream for another file.
    func giveBack(_ stream: ChunkStream) {
        stream.reset()
        streams.add(stream)
    }

    /// Returns a segment by its position in the root. If the segment is damaged, its `fault` says so. If
    /// `takesDamagedSegments` is false, throws this fault instead.
    func segment(_ number: Int) throws -> DecodedSegment {
        let segment: DecodedSegment
        if let known = recent.segment(number) {
            segment = known
        } else {
            decodings.add(1, ordering: .relaxed)
            segment = try DecodedSegment(
                root.segments[number], SegmentReader(repository, index, cache: cache))
            recent.keep(segment, number)
        }
        if !takesDamagedSegments, let fault = segment.fault { throw fault }
        return segment
    }
}

/// The streams that no file uses now. May be used from any thread.
private final class StreamPool: @unchecked Sendable {
    private let monitor = Monitor()
    private var streams: [ChunkStream] = []

    func take() -> ChunkStream? { monitor.locked { streams.popLast() } }
    func add(_ stream: ChunkStream) { monitor.locked { streams.append(stream) } }
}
