// ManifestReader: the records of a snapshot as a stream, from any path on. It holds one segment's bytes in memory and
// decodes only one record at a time. The decoded records of a hostile segment could together take thousands of times
// the segment's size, because a segment stores each path without the part that it shares with the path before.

import BakCodec
import BakCore
import BakFormat

/// Reads a snapshot's manifest. Belongs to one thread.
public final class ManifestReader {
    private let reader: SegmentReader
    private let root: ManifestRoot
    private var nextSegment: Int
    private var segmentName = ""
    /// The segment being read, at the record that `advance` returned last. The segment borrows the bytes that `reader`
    /// returned last.
    public private(set) var segment: ManifestSegmentDecoder?
    /// The number of records read from the segment, and the number of them that passed the checks.
    private var recordCount = 0
    private var goodCount = 0
    /// The number of entries read from the segment.
    public private(set) var entryCount = 0
    /// The last entry before the segment.
    private var before: (path: [UInt8], fields: ManifestSegmentDecoder.Fields)?
    /// The length of the last entry's content so far, in bytes and in extents.
    private var contentBytes: UInt64 = 0
    private var contentExtents = 0
    /// True if the segment may begin with extents of a file whose entry was skipped.
    private var startsWithinFile: Bool
    /// The path of a file whose further extents are left out. Segments that hold only such extents are not read.
    private var closedPath: [UInt8]?

    /// Opens a snapshot's manifest at its first record, or at the segment that may hold the first record at or after
    /// `path`.
    ///
    /// - Throws: `MissingBlobError`, `CorruptionError` or `StoreError`.
    public convenience init(
        _ snapshot: CommitRecord, repository: Repository, index: BlobIndex, from path: [UInt8] = []
    ) throws {
        let reader = SegmentReader(repository, index)
        self.init(try reader.root(snapshot.root), reader, from: path)
    }

    /// Opens a manifest whose root has been read. `reader` must serve this manifest reader alone, because each call of
    /// `reader` may overwrite the bytes that it returned before.
    init(_ root: ManifestRoot, _ reader: SegmentReader, from path: [UInt8] = []) {
        (self.root, self.reader) = (root, reader)
        // Find the first segment whose first path is at or after `path`, and start at the segment before. That segment
        // may hold `path`, or the entry of a file whose extents continue in the next one.
        let after =
            root.segments.firstIndex { !PathOrder.precedes($0.firstPath, path) } ?? root.segments.count
        nextSegment = max(0, after - 1)
        startsWithinFile = nextSegment > 0
    }

    /// The number of the segment that holds the last record, counted from 1.
    public var segmentNumber: Int { nextSegment }

    /// The segments of the manifest, in order.
    public var segments: [ManifestSegmentReference] { root.segments }

    /// Returns the next record as a value; nil after the last one. Paths increase strictly over the whole stream. The
    /// extents of a file may be shorter or longer than the file; their total is below 2^64 bytes.
    ///
    /// - Throws: the same errors as `advance`.
    public func next() throws -> ManifestRecord? {
        guard let kind = try advance(), let segment else { return nil }
        return kind == .entry ? .entry(try segment.entry()) : .continuation(try segment.extentList())
    }

    /// Moves to the next record, which `segment` then describes. Returns nil after the last record.
    ///
    /// - Throws: `MissingBlobError`, `CorruptionError` or `StoreError` if a segment cannot be read.
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

    /// Skips the rest of the segment, so that reading continues with the next segment. Call this after `advance` threw
    /// because of damage. Returns the first path of the skipped segment.
    public func skipSegment() -> [UInt8] {
        // The paths of the next segment must come after the last record that passed the checks. A refused record does
        // not count.
        let good = try? segment?.again(goodCount)
        (segment, entryCount, startsWithinFile) = (nil, 0, true)
        if let good, good.hasEntry { before = (good.path, good.fields) }
        return root.segments[nextSegment - 1].firstPath
    }

    /// Skips the segments that hold only entries beneath a folder. The last record must be the folder or lie in it.
    /// Entries beneath the folder may still be returned, from a segment that also holds other entries.
    public func skipContent(of folder: [UInt8]) {
        // The first path after all paths beneath the folder. In the order of paths, '/' ranks below every other byte.
        let next = folder + [1]
        guard nextSegment < root.segments.count,
            PathOrder.precedes(root.segments[nextSegment].firstPath, next)
        else { return }
        // Find the first segment that begins at or after `next`, and continue with the segment before.
        let place = PathOrder.firstIndex(of: root.segments.count, notBefore: next) {
            root.segments[$0].firstPath
        }
        keepLast()
        (segment, recordCount, goodCount, entryCount) = (nil, 0, 0, 0)
        // The segment to continue with may begin with extents of a skipped file.
        (nextSegment, startsWithinFile, closedPath) = (place - 1, true, nil)
    }

    /// Keeps the last entry for the checks of the next segment.
    private func keepLast() {
        if entryCount > 0, let segment { before = (segment.path, segment.fields) }
    }

    /// Checks the segment's current record against the earlier ones. Returns false for extents to leave out: those of a
    /// skipped file, or of a file that is already too long.
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
            // Within a segment the decoder has checked that a continuation follows a file.
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
        // Leave out further extents if a file's extents already exceed its size. The caller sees from the sizes that
        // the file is damaged.
        if contentBytes > fields.stat.size {
            if closedPath == nil { closedPath = entryCount > 0 ? segment.path : before?.path }
            return false
        }
        // `contentBytes` is at most the file's size here. Both that size and `extentBytes` are below 2^63, so the sum
        // does not overflow.
        contentBytes += segment.extentBytes
        contentExtents += segment.extentCount
        guard contentExtents <= FormatLimits.extentsPerFile else {
            closedPath = entryCount > 0 ? segment.path : before?.path
            throw damage("a file of over \(FormatLimits.extentsPerFile) extents")
        }
        return true
    }

    /// The path of the segment's first record according to the root.
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
