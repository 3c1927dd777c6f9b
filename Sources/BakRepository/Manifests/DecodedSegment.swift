// DecodedSegment: a manifest segment as values, in which entries are found by their paths. A damaged segment has the
// entries before the damage.
//
// Always holds: the paths increase. Extents belong to the entry before them. Extents before the first entry belong to
// an entry of an earlier segment.

import BakCore
import BakFormat

/// A manifest segment as values. Adjacent holes are joined into one.
struct DecodedSegment: Sendable {
    /// The entries sorted by path, with the extents of all their records in this segment.
    private(set) var entries: [ManifestEntry] = []
    /// The extents of a file whose entry is in an earlier segment.
    private(set) var leadingExtents: [Extent] = []
    /// The damage that ended the decoding; nil if the segment is whole.
    private(set) var fault: (any Error)?
    /// The total length of all paths.
    private(set) var pathBytes = 0
    /// The total number of extents of all files.
    private(set) var extentCount = 0

    /// Reads and decodes a segment. Damage is not thrown but noted in `fault`. Throws `StoreError`.
    init(_ reference: ManifestSegmentReference, _ reader: SegmentReader) throws {
        // The extents of the file that is being decoded.
        var extents: [Extent] = []
        do {
            try decode(try reader.decoder(reference), reference, &extents)
        } catch  where error is CorruptionError || error is MissingBlobError {
            fault = error
        }
        close(extents)
    }

    private mutating func decode(
        _ decoder: ManifestSegmentDecoder, _ reference: ManifestSegmentReference, _ extents: inout [Extent]
    ) throws {
        while let kind = try decoder.advance() {
            if kind == .entry {
                guard
                    !entries.isEmpty || decoder.recordsLeft < reference.recordCount - 1
                        || decoder.path == reference.firstPath
                else {
                    throw CorruptionError(
                        object: SegmentReader.name(reference.blob), offset: 0,
                        reason: "it does not begin at the path that the root says")
                }
                close(extents)
                extents = []
                var entry = try decoder.entry()
                pathBytes += entry.path.count
                // The extents of the entry's own record are added below.
                if decoder.fields.hasExtents { entry.content = .extents([]) }
                entries.append(entry)
                guard decoder.fields.hasExtents else { continue }
            }
            _ = try decoder.allExtents {
                extents.append(mergingHoles: $0)
                return true
            }
        }
    }

    private mutating func close(_ extents: [Extent]) {
        extentCount += extents.count
        guard let last = entries.indices.last else { return leadingExtents = extents }
        if case .extents = entries[last].content { entries[last].content = .extents(extents) }
    }

    /// Returns the entry of a path; nil if it is not among the entries that could be read.
    func entry(_ path: [UInt8]) -> ManifestEntry? {
        let place = PathOrder.firstIndex(of: entries.count, notBefore: path) { entries[$0].path }
        return place < entries.count && entries[place].path == path ? entries[place] : nil
    }

    /// Returns the segment's extents of a file whose entry is in this segment or an earlier one.
    func extents(of path: [UInt8]) -> [Extent] {
        guard let entry = entry(path) else { return leadingExtents }
        guard case .extents(let extents) = entry.content else { return [] }
        return extents
    }

    /// True if a file with extents in this segment may have more of them in the next segment.
    func mayContinue(_ path: [UInt8]) -> Bool { entries.last.map { $0.path == path } ?? true }
}

extension [Extent] {
    /// Appends an extent. A hole after a hole extends the earlier one.
    package mutating func append(mergingHoles extent: Extent) {
        guard case .hole(let more) = extent, case .hole(var length)? = last else { return append(extent) }
        length.add(more)
        self[count - 1] = .hole(length)
    }
}

/// The decoded segments that were used last. A few are enough, because callers ask for paths roughly in order. May be
/// used from any thread.
final class RecentSegments: @unchecked Sendable {
    private let monitor = Monitor()
    private var recent: [(number: Int, segment: DecodedSegment)] = []
    private static let mostSegments = 8
    // A limit on segments alone is not enough: a hostile segment can have a hundred times as many entries as one that
    // this program wrote.
    private static let mostEntries = 100_000
    private static let mostPathBytes = 32 << 20
    private static let mostExtents = 1 << 20

    /// Returns a segment by its number, and marks it as the last one used.
    func segment(_ number: Int) -> DecodedSegment? {
        monitor.locked {
            guard let place = recent.firstIndex(where: { $0.number == number }) else { return nil }
            recent.append(recent.remove(at: place))
            return recent[recent.count - 1].segment
        }
    }

    /// Keeps a segment as the last one used, and drops the oldest ones over the limits. One segment stays, however
    /// large.
    func keep(_ segment: DecodedSegment, _ number: Int) {
        monitor.locked {
            recent.append((number, segment))
            while recent.count > 1,
                recent.count > Self.mostSegments
                    || recent.reduce(0, { $0 + $1.segment.entries.count }) > Self.mostEntries
                    || recent.reduce(0, { $0 + $1.segment.pathBytes }) > Self.mostPathBytes
                    || recent.reduce(0, { $0 + $1.segment.extentCount }) > Self.mostExtents
            {
                recent.removeFirst()
            }
        }
    }
}
