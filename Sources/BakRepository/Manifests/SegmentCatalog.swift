// SegmentCatalog: each distinct manifest segment of some snapshots once, with the snapshots that have it. Most segments
// are in most snapshots of a device; whoever wants to know something of all files looks at each once.
//
// Always holds: segments are numbered in the order in which they were met first, and keep their numbers. Memory is some
// dozens of bytes for each distinct segment, and a few for each break in the row of snapshots that have it.

import BakCore
import BakFormat

/// The segments of several manifests.
public struct SegmentCatalog: Sendable {
    /// A segment and its snapshots.
    public struct Segment: Sendable {
        /// As the first root that names it does.
        public let reference: ManifestSegmentReference
        /// The snapshots that have it, by the places that were given for them.
        public fileprivate(set) var holders: PlaceRuns
    }

    /// The segments by their numbers.
    public private(set) var segments: [Segment] = []
    private var numbers: [ID128: Int] = [:]

    /// Makes an empty catalogue.
    public init() {}

    /// Takes note that a snapshot has a segment, and returns the segment's number.
    ///
    /// - Parameter place: the snapshot's; places come in increasing order.
    @discardableResult
    public mutating func note(_ segment: ManifestSegmentReference, of place: Int) -> Int {
        if let number = numbers[segment.blob.id] {
            segments[number].holders.insert(place)
            return number
        }
        numbers[segment.blob.id] = segments.count
        segments.append(Segment(reference: segment, holders: PlaceRuns(place)))
        return segments.count - 1
    }

    /// Takes note of all segments of a snapshot; returns those that no snapshot before has.
    @discardableResult
    public mutating func note(_ root: ManifestRoot, of place: Int) -> ArraySlice<Segment> {
        let known = segments.count
        for segment in root.segments { note(segment, of: place) }
        return segments[known...]
    }

    /// The segments in the order in which they lie, so that packs are read from their beginning to their end.
    public func inReadingOrder(_ index: BlobIndex) -> [ManifestSegmentReference] {
        segments.map { ($0.reference, index.location(of: $0.reference.blob)) }.sorted { left, right in
            (left.1?.pack ?? .zero, left.1?.offset ?? 0, left.0.blob.id)
                < (right.1?.pack ?? .zero, right.1?.offset ?? 0, right.0.blob.id)
        }.map(\.0)
    }
}

/// A set of places, at least one, as runs of places that follow each other.
public struct PlaceRuns: Sendable, Equatable {
    private var last: ClosedRange<Int>
    private var before: [ClosedRange<Int>] = []

    init(_ place: Int) { last = place...place }

    /// Inserts a place that does not come before those that are there.
    mutating func insert(_ place: Int) {
        precondition(place >= last.upperBound)
        if place <= last.upperBound + 1 {
            last = last.lowerBound...place
        } else {
            before.append(last)
            last = place...place
        }
    }

    /// The runs in increasing order.
    public var runs: [ClosedRange<Int>] { before + [last] }

    /// How many places there are.
    public var count: Int { before.reduce(last.count) { $0 + $1.count } }

    /// The place if there is only one.
    public var only: Int? { before.isEmpty && last.count == 1 ? last.lowerBound : nil }

    /// True if the place is one of these.
    public func contains(_ place: Int) -> Bool {
        last.contains(place) || before.contains { $0.contains(place) }
    }
}
