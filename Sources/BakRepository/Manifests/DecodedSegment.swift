// DecodedSegment: a manifest segment as values, in which entries are found by their paths. Where it is damaged it has
// what comes before that.
//
// Always holds: its paths increase; extents belong to the entry that they follow, or to one of a segment before.

import BakCore
import BakFormat

/// A manifest segment as values. Holes that follow each other are one.
struct DecodedSegment: Sendable {
    /// Sorted by path, with the extents of further records in this segment.
    private(set) var entries: [ManifestEntry] = []
    /// Extents of a file of the segment before.
    private(set) var leadingExtents: [Extent] = []
    /// Why it has no more, if it is damaged.
    private(set) var fault: (any Error)?
    /// The length of all paths together.
    private(set) var pathBytes = 0
    /// How many extents all files have together.
    private(set) var extentCount = 0

    /// Reads and decodes a segment. What is wrong with it is its `fault`.
    ///
    /// Throws `StoreError`.
    init(_ reference: ManifestSegmentReference, _ reader: SegmentReader) throws {
        // Those of the file that the decoder is at.
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
                // Its own are taken below.
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

    /// The entry of a path; nil if it is not among those that could be read.
    func entry(_ path: [UInt8]) -> ManifestEntry? {
        let place = PathOrder.firstIndex(of: entries.count, notBefore: path) { entries[$0].path }
        return place < entries.count && entries[place].path == path ? entries[place] : nil
    }

    /// What the segment has of a file, whose entry is in it or in one before.
    func extents(of path: [UInt8]) -> [Extent] {
        guard let entry = entry(path) else { return leadingExtents }
        guard case .extents(let extents) = entry.content else { return [] }
        return extents
    }

    /// True if extents of a file that it has any of may be in the segments after it.
    func mayContinue(_ path: [UInt8]) -> Bool { entries.last.map { $0.path == path } ?? true }
}

extension [Extent] {
    /// Appends an extent. A hole after a hole makes that one longer.
    package mutating func append(mergingHoles extent: Extent) {
        guard case .hole(let more) = extent, case .hole(var length)? = last else { return append(extent) }
        length.add(more)
        self[count - 1] = .hole(length)
    }
}

/// Segments that were looked into last, decoded: paths are asked for about in their order. May be used from any thread.
final class RecentSegments: @unchecked Sendable {
    private let monitor = Monitor()
    private var recent: [(number: Int, segment: DecodedSegment)] = []
    private static let mostSegments = 8
    // A hostile segment has a hundred times as many entries as one of ours.
    private static let mostEntries = 100_000
    private static let mostPathBytes = 32 << 20
    private static let mostExtents = 1 << 20

    /// A segment by its number, which becomes the one that was looked into last.
    func segment(_ number: Int) -> DecodedSegment? {
        monitor.locked {
            guard let place = recent.firstIndex(where: { $0.number == number }) else { return nil }
            recent.append(recent.remove(at: place))
            return recent[recent.count - 1].segment
        }
    }

    /// Keeps a segment as the one that was looked into last, and lets go of the oldest. One stays, however large it is.
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
