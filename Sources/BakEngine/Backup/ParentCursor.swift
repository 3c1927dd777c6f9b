// ParentCursor: walks a parent snapshot's manifest in step with the source, so that memory does not grow
// with the number of files.

import BakCore
import BakFormat
import BakRepository

/// A cursor over a snapshot's entries that only moves forward. For one thread.
final class ParentCursor {
    /// An entry's place in the manifest. Entries of one segment are numbered in order.
    struct Place: Equatable {
        var snapshot: ID128
        var segment: Int
        var number: Int

        /// True if this is the entry after `other`, and coded relative to it.
        func follows(_ other: Place) -> Bool {
            snapshot == other.snapshot && segment == other.segment && number == other.number + 1
        }
    }

    /// The snapshot.
    let snapshot: CommitRecord
    private let reader: ManifestReader
    /// The maximum number of extents that are collected for a file.
    private let gathered: Int
    // Exclusivity is unchecked, as in ManifestSegmentDecoder, because these are accessed for every entry of a walk.
    /// The kind of record at the cursor; nil at the end.
    @exclusivity(unchecked) private(set) var kind: ManifestSegmentDecoder.RecordKind?
    private(set) var failure: (any Error)?
    /// True if the entry at the cursor is dealt with: the walk has met it, or it was taken as a missed entry.
    @exclusivity(unchecked) var isDealtWith = false

    /// A list of extents that repeats the same blobs can take more memory than the repository has bytes, so the number
    /// of extents is limited. Any file may have `fewExtents`. A file may have more if the repository has many blobs:
    /// `extentsPerBlob` for each. If the source has the file too, the file may also have one extent for each
    /// `bytesPerExtent` of its size. Chunks of such a large file are usually no smaller.
    private static let fewExtents = 1 << 22
    private static let extentsPerBlob = 8
    private static let bytesPerExtent: UInt64 = 64 << 10

    /// Opens the snapshot's manifest. The cursor starts at the first entry. With a `path`, it may skip entries that
    /// precede `path`, but no others.
    init(_ snapshot: CommitRecord, repository: Repository, index: BlobIndex, from path: [UInt8] = []) throws {
        self.snapshot = snapshot
        reader = try ManifestReader(snapshot, repository: repository, index: index, from: path)
        gathered = max(Self.fewExtents, index.count * Self.extentsPerBlob)
        kind = try reader.advance()
    }

    /// Opens the snapshot's manifest at or before the first entry of segment `number`. The first segment has number 1.
    convenience init(
        _ snapshot: CommitRecord, repository: Repository, index: BlobIndex, fromSegment number: Int
    ) throws {
        let whole = try ManifestReader(snapshot, repository: repository, index: index)
        try self.init(
            snapshot, repository: repository, index: index, from: whole.segments[number - 1].firstPath)
    }

    /// The segment at the cursor's entry; nil at the end.
    var segment: ManifestSegmentDecoder? { kind == .entry ? reader.segment : nil }

    /// Moves forward to the entry with the inode `key`, but no further than segment `last`. Returns false if no entry
    /// up to there has that inode.
    func moves(to key: InodeKey, through last: Int) -> Bool {
        while let kind, let fields = reader.segment?.fields, reader.segmentNumber <= last {
            if kind == .entry, fields.goneSince == nil, InodeKey(fields.stat) == key { return true }
            advance()
        }
        return false
    }

    /// Moves to `path` and returns the segment at its entry, if the snapshot has it. If the manifest cannot be read
    /// further, the cursor ends and `failure` says why.
    func entry(at path: [UInt8]) -> ManifestSegmentDecoder? {
        while let kind, let segment = reader.segment {
            if kind == .entry, !PathOrder.precedes(segment.path, path) {
                return segment.path == path ? segment : nil
            }
            advance()
        }
        return nil
    }

    /// The cursor's place.
    var place: Place {
        Place(snapshot: snapshot.id, segment: reader.segmentNumber, number: reader.entryCount)
    }

    /// Returns the entry that `entry(at:)` returned last, with the extents of its further records. Adjacent holes
    /// become one. Returns nil if the extents cannot be read, do not add up to the file's size, or are too many.
    func whole(_ segment: ManifestSegmentDecoder, isInSource: Bool = false) -> ManifestEntry? {
        guard var entry = try? segment.entry() else { return nil }
        let limit = isInSource ? max(gathered, Int(entry.stat.size / Self.bytesPerExtent)) : gathered
        guard case .extents(let first) = entry.content else { return entry }
        var extents: [Extent] = []
        for extent in first { extents.append(mergingHoles: extent) }
        var length = segment.extentBytes
        while length < entry.stat.size {
            advance()
            guard kind == .continuation, let segment = reader.segment, extents.count <= limit,
                (try? segment.allExtents {
                    extents.append(mergingHoles: $0)
                    return true
                }) == true
            else { return nil }
            // The reader ensures that both numbers are below 2^63, so the sum does not overflow.
            length += segment.extentBytes
        }
        guard length == entry.stat.size else { return nil }
        entry.content = .extents(extents)
        return entry
    }

    /// Moves to the next record.
    func advance() {
        do {
            kind = try reader.advance()
            if kind == .entry { isDealtWith = false }
        } catch {
            failure = error
            kind = nil
        }
    }
}
