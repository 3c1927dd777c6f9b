// SnapshotView: a snapshot as a tree of folders and files: an entry by its path, a folder's children, a file's content.
// What lists, finds, compares, serves or mounts a snapshot looks at it through here.
//
// Always holds: what is handed out was verified; memory is bounded whatever the manifest says. A folder's children cost
// the segments that they are in, and not those of what lies beneath them. What is damaged is an error that names object
// and offset, and costs nothing of the other segments.

import BakCore
import BakFormat
import Synchronization

/// A snapshot to look at. May be used from any thread.
public final class SnapshotView: Sendable {
    /// The snapshot.
    public let snapshot: CommitRecord
    /// Has the segments and chunks that were read last, if they are to be kept.
    public let cache: BlobCache?
    let root: ManifestRoot
    private let repository: Repository
    private let index: BlobIndex
    private let recent = RecentSegments()
    private let streams = StreamPool()
    private let takesDamagedSegments: Bool
    /// How often a segment was decoded, for tests.
    package let decodings = Atomic(0)

    /// Reads the root of a snapshot's manifest.
    ///
    /// Throws `MissingBlobError`, `CorruptionError` or `StoreError`.
    ///
    /// - Parameters:
    ///   - cache: of the same repository, for what is looked at again or by several; nil where a listing or a file is
    ///     read once, which is faster so.
    ///   - takesDamagedSegments: false if `entry` and `content` are to take nothing from a segment that is damaged in
    ///     any part.
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

    /// A stream of all records at or after a path, and a few before.
    public func records(from path: [UInt8] = []) -> ManifestReader {
        ManifestReader(root, SegmentReader(repository, index, cache: cache), from: path)
    }

    /// How deep a listing goes.
    public enum Depth: Sendable {
        /// To what lies in the folder itself.
        case children
        /// To everything beneath.
        case everything
    }

    /// Hands the entry at a path, and those beneath it as deep as is wanted, to `body` until that returns false.
    /// Returns whether there is anything at or beneath the path.
    ///
    /// Throws `StoreError`, what `onDamage` throws, and what `body` throws.
    ///
    /// - Parameters:
    ///   - path: empty for the whole snapshot.
    ///   - onDamage: told what keeps a part of the list from being read, a `CorruptionError` or `MissingBlobError`, and
    ///     the path at which that part begins. Listing goes on behind it. A part that the listing does not need is not
    ///     looked at.
    @discardableResult
    public func list(
        _ path: [UInt8], _ depth: Depth,
        onDamage: (_ start: [UInt8], _ error: any Error) throws -> Void = { throw $1 },
        _ body: (ManifestEntry) throws -> Bool
    ) throws -> Bool {
        // A listing of everything comes to each segment once.
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

    /// Hands the entries right in a folder to `body`, in their order, until that returns false. Their content has the
    /// extents of their own records.
    ///
    /// Throws as `list` does; damage where `onDamage` is not given.
    ///
    /// - Parameter folder: empty for the top.
    public func children(
        of folder: [UInt8], onDamage: (_ start: [UInt8], _ error: any Error) throws -> Void = { throw $1 },
        _ body: (ManifestEntry) throws -> Bool
    ) throws {
        try list(folder, .children, onDamage: onDamage) { $0.path == folder ? true : try body($0) }
    }

    // MARK: Single entries

    /// The entry of a path; nil if there is none. Its content has those extents that are in the same segment of the
    /// manifest.
    ///
    /// Throws `MissingBlobError`, `CorruptionError` or `StoreError` if the segment that has to have it cannot be read
    /// so far.
    public func entry(at path: [UInt8]) throws -> ManifestEntry? { try find(path)?.entry }

    /// The content of a regular file, for one thread; nil if there is no such file.
    ///
    /// Throws as `entry` does.
    public func content(of path: [UInt8]) throws -> SnapshotContent? {
        guard let (entry, number) = try find(path), entry.stat.type == .regular else { return nil }
        return SnapshotContent(entry, in: number, of: self)
    }

    /// The entry of a path and the number of its segment.
    private func find(_ path: [UInt8]) throws -> (entry: ManifestEntry, number: Int)? {
        // A file's extents may fill several segments, which then all begin with its path: its entry is in the
        // first of them, or in the one before. Only where one begins with it are two looked into.
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

    /// A stream of chunks, which `giveBack` takes back: to make one for each small file would cost more than to read
    /// it.
    func takeStream() -> ChunkStream { streams.take() ?? ChunkStream(repository, index) }

    /// Keeps a stream for another file.
    func giveBack(_ stream: ChunkStream) {
        stream.reset()
        streams.add(stream)
    }

    /// A segment by its place in the root. What is damaged of it is its fault, or is thrown where nothing of it is
    /// taken then.
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

/// Streams that no file is read by. May be used from any thread.
private final class StreamPool: @unchecked Sendable {
    private let monitor = Monitor()
    private var streams: [ChunkStream] = []

    func take() -> ChunkStream? { monitor.locked { streams.popLast() } }
    func add(_ stream: ChunkStream) { monitor.locked { streams.append(stream) } }
}
