// ManifestReader: the records of a snapshot as a stream, from any path on. One segment's
// bytes are in memory and one record at a time is decoded: paths are front-coded, so that a hostile segment's
// records could take thousands of times its size.

import BakCodec
import BakCore
import BakFormat

/// Reads a snapshot's manifest. For one thread.
public final class ManifestReader {
    private let reader: SegmentReader
    private let root: ManifestRoot
    private var nextSegment: Int
    private var segmentName = ""
    /// The segment being read, at the record that `advance` returned last. It borrows the bytes that `reader`
    /// returned last.
    public private(set) var segment: ManifestSegmentDecoder?
    /// How many records have been read of the segment, and how many of them were found right.
    private var recordCount = 0
    private var goodCount = 0
    /// How many entries have been read of the segment.
    public private(set) var entryCount = 0
    /// The last entry of the segments before.
    private var before: (path: [UInt8], fields: ManifestSegmentDecoder.Fields)?
    /// The content of the last entry so far, in bytes and extents.
    private var contentBytes: UInt64 = 0
    private var contentExtents = 0
    /// Whether the segment may begin with extents of a file whose entry was skipped.
    private var startsWithinFile: Bool
    /// The path of a file of which no more extents are handed out: segments that have nothing else are left out.
    private var closedPath: [UInt8]?

    /// Opens the manifest of a snapshot at its first record, or at the segment that holds the first record
    /// at or after `path`.
    ///
    /// Throws `MissingBlobError`, `CorruptionError` or `StoreError`.
    public convenience init(
        _ snapshot: CommitRecord, repository: Repository, index: BlobIndex, from path: [UInt8] = []
    ) throws {
        let reader = SegmentReader(repository, index)
        self.init(try reader.root(snapshot.root), reader, from: path)
    }

    /// Opens a manifest whose root has been read, with a reader of its own.
    init(_ root: ManifestRoot, _ reader: SegmentReader, from path: [UInt8] = []) {
        (self.root, self.reader) = (root, reader)
        // Start at the segment before the first one whose first path is not before `path`: a file's extents
        // may go over a boundary, and `path` may lie within the segment before.
        let after =
            root.segments.firstIndex { !PathOrder.precedes($0.firstPath, path) } ?? root.segments.count
        nextSegment = max(0, after - 1)
        startsWithinFile = nextSegment > 0
    }

    /// How many segments have been begun: says which the last record is in.
    public var segmentNumber: Int { nextSegment }

    /// The segments of the manifest, in order.
    public var segments: [ManifestSegmentReference] { root.segments }

    /// The next record as a value; nil after the last. Paths increase strictly over the whole stream. The extents of a
    /// file may be shorter or longer than its size; together they are below 2^64 bytes. Throws as `advance` does.
    public func next() throws -> ManifestRecord? {
        guard let kind = try advance(), let segment else { return nil }
        return kind == .entry ? .entry(try segment.entry()) : .continuation(try segment.extentList())
    }

    /// Goes on to the next record, to be looked at in `segment`; nil after the last. Throws `MissingBlobError`,
    /// `CorruptionError` or `StoreError` if a segment cannot be read.
    public func advance() throws -> ManifestSegmentDecoder.RecordKind? {
        while true {
            while let kind = try segment?.advance() {
                let isWanted = try check(kind)
                goodCount = recordCount
                if isWanted { return kind }
            }
            while let closedPath, nextSegment + 1 < root.segments.count,
                root.segments[nextSegment].firstPath == closedPath,
                root.segments[nextSegment + 1].firstPath == closedPath
            { nextSegment += 1 }
            closedPath = nil
            guard nextSegment < root.segments.count else { return nil }
            nextSegment += 1
            try load(root.segments[nextSegment - 1])
        }
    }

    /// After `advance` threw what damage throws: leaves out the rest of that segment, so that reading goes on
    /// with the one after it. Returns the path at which that segment begins.
    public func skipSegment() -> [UInt8] {
        // What comes next must follow what was handed out. A record that was refused says nothing.
        let good = try? segment?.again(goodCount)
        (segment, entryCount, startsWithinFile) = (nil, 0, true)
        if let good, good.hasEntry { before = (good.path, good.fields) }
        return root.segments[nextSegment - 1].firstPath
    }

    /// Goes on behind all that lies beneath a folder, of which the last record is or which holds it: segments that have
    /// nothing else are not read. What of it comes in the segment being read is still handed out.
    public func skipContent(of folder: [UInt8]) {
        // What comes right after all that a folder holds: '/' ranks below every other byte.
        let next = folder + [1]
        guard nextSegment < root.segments.count,
            PathOrder.precedes(root.segments[nextSegment].firstPath, next)
        else { return }
        // The segment before the first one that does not begin before it.
        let place = PathOrder.firstIndex(of: root.segments.count, notBefore: next) {
            root.segments[$0].firstPath
        }
        keepLast()
        (segment, recordCount, goodCount, entryCount) = (nil, 0, 0, 0)
        // It may begin with extents of a file that is passed over.
        (nextSegment, startsWithinFile, closedPath) = (place - 1, true, nil)
    }

    /// Notes the last entry for the segments that come.
    private func keepLast() {
        if entryCount > 0, let segment { before = (segment.path, segment.fields) }
    }

    /// Checks the record that the segment stands at against the ones before; false for extents of a file that was
    /// skipped, or that is too long already.
    private func check(_ kind: ManifestSegmentDecoder.RecordKind) throws(CorruptionError) -> Bool {
        guard let segment else { return false }
        recordCount += 1
        let fields: ManifestSegmentDecoder.Fields
        switch kind {
        case .entry:
            entryCount += 1
            if closedPath != nil { closedPath = nil }
            if entryCount == 1, let before {
                guard PathOrder.precedes(before.path, segment.path) else {
                    throw damage("its paths do not follow those of the segment before")
                }
                guard
                    before.fields.stat.type == .directory
                        || !PathOrder.isAtOrBeneath(segment.path, before.path)
                else { throw damage(ManifestEntry.beneathNoFolder) }
            }
            fields = segment.fields
            (contentBytes, contentExtents) = (0, 0)
        case .continuation:
            // Within a segment the decoder has seen to it that there is a file to continue.
            if entryCount == 0, startsWithinFile {
                if closedPath == nil { closedPath = promisedPath }
                return false
            }
            guard let file = entryCount > 0 ? segment.fields : before?.fields else {
                throw damage("it begins with extents of no file")
            }
            guard file.hasExtents else { throw damage("extents after an entry that has none") }
            fields = file
        }
        startsWithinFile = false
        if recordCount == 1, (kind == .entry ? segment.path : before?.path) != promisedPath {
            throw damage("it does not begin at the path that the root says")
        }
        // Of a file that is longer already than it can be no more is handed out: whoever reads it finds it damaged.
        if contentBytes > fields.stat.size {
            if closedPath == nil { closedPath = entryCount > 0 ? segment.path : before?.path }
            return false
        }
        // Both are below 2^63.
        contentBytes += segment.extentBytes
        contentExtents += segment.extentCount
        guard contentExtents <= FormatLimits.extentsPerFile else {
            closedPath = entryCount > 0 ? segment.path : before?.path
            throw damage("a file of over \(FormatLimits.extentsPerFile) extents")
        }
        return true
    }

    /// The path that the root says the segment's first record has.
    private var promisedPath: [UInt8] { root.segments[nextSegment - 1].firstPath }

    private func damage(_ reason: String) -> CorruptionError {
        CorruptionError(object: segmentName, offset: 0, reason: reason)
    }

    private func load(_ reference: ManifestSegmentReference) throws {
        keepLast()
        (segment, recordCount, goodCount, entryCount) = (nil, 0, 0, 0)
        segmentName = SegmentReader.name(reference.blob)
        segment = try reader.decoder(reference)
    }
}
