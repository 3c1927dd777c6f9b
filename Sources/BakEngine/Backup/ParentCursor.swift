// ParentCursor: walks a parent snapshot's manifest in step with the source, so that memory does not grow
// with the number of files.

import BakCore
import BakFormat
import BakRepository

/// A cursor over a snapshot's entries that only moves forward. For one thread.
final class ParentCursor {
    /// An entry's place in the manifest: entries of one segment follow each other by number.
    struct Place: Equatable {
        var snapshot: ID128
        var segment: Int
        var number: Int

        /// Whether this is the entry after `other`, and coded against it.
        func follows(_ other: Place) -> Bool {
            snapshot == other.snapshot && segment == other.segment && number == other.number + 1
        }
    }

    /// The snapshot.
    let snapshot: CommitRecord
    private let reader: ManifestReader
    /// The most extents that are gathered of a file.
    private let gathered: Int
    // Unchecked, as in ManifestSegmentDecoder: each entry of a walk comes to these.
    /// What the cursor stands at; nil at the end.
    @exclusivity(unchecked) private(set) var kind: ManifestSegmentDecoder.RecordKind?
    private(set) var failure: (any Error)?
    /// Whether the entry that the cursor stands at has been dealt with.
    @exclusivity(unchecked) var isDealtWith = false

    /// A list of extents that names the same blobs again and again takes memory that the repository has no bytes for.
    /// So many extents are gathered of any file, and of one that has more so many for each blob there is, or one for
    /// the least bytes that a chunk of a file of that size usually has where the source has the file too.
    private static let fewExtents = 1 << 22
    private static let extentsPerBlob = 8
    private static let bytesPerExtent: UInt64 = 64 << 10

    /// Opens the snapshot's manifest at its first entry, or not after the first that does not precede `path`.
    init(_ snapshot: CommitRecord, repository: Repository, index: BlobIndex, from path: [UInt8] = []) throws {
        self.snapshot = snapshot
        reader = try ManifestReader(snapshot, repository: repository, index: index, from: path)
        gathered = max(Self.fewExtents, index.count * Self.extentsPerBlob)
        kind = try reader.advance()
    }

    /// Opens the snapshot's manifest not after the first entry of a segment, by its number from 1.
    convenience init(
        _ snapshot: CommitRecord, repository: Repository, index: BlobIndex, fromSegment number: Int
    ) throws {
        let whole = try ManifestReader(snapshot, repository: repository, index: index)
        try self.init(
            snapshot, repository: repository, index: index, from: whole.segments[number - 1].firstPath)
    }

    /// The segment that stands at the cursor's entry; nil at the end.
    var segment: ManifestSegmentDecoder? { kind == .entry ? reader.segment : nil }

    /// Moves on to the entry of an inode, within the segments up to `last`; false when it is not there.
    func moves(to key: InodeKey, through last: Int) -> Bool {
        while let kind, let fields = reader.segment?.fields, reader.segmentNumber <= last {
            if kind == .entry, fields.goneSince == nil, InodeKey(fields.stat) == key { return true }
            advance()
        }
        return false
    }

    /// Moves to `path` and returns the segment that stands at its entry, if the snapshot has it. A manifest that
    /// cannot be read any further ends here; `failure` says why.
    func entry(at path: [UInt8]) -> ManifestSegmentDecoder? {
        while let kind, let segment = reader.segment {
            if kind == .entry, !PathOrder.precedes(segment.path, path) {
                return segment.path == path ? segment : nil
            }
            advance()
        }
        return nil
    }

    /// Where the cursor stands.
    var place: Place {
        Place(snapshot: snapshot.id, segment: reader.segmentNumber, number: reader.entryCount)
    }

    /// The entry that `entry(at:)` returned last, with the extents of its further records; nil when they cannot be
    /// read, do not add up to the file's size, or are too many to be gathered. Holes that follow each other become one.
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
            // Both are below 2^63: the reader has seen to it.
            length += segment.extentBytes
        }
        guard length == entry.stat.size else { return nil }
        entry.content = .extents(extents)
        return entry
    }

    /// Goes on to the next record.
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
