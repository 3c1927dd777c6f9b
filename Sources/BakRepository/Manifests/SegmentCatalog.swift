// SegmentCatalog: lists each distinct manifest segment of several snapshots once, with the snapshots that have it. Most
// segments are in most snapshots of a device. With the list, a search through the files of all snapshots reads a shared
// segment only once.
//
// Always holds: segments are numbered in the order of their first appearance, and keep their numbers. A distinct
// segment takes some dozens of bytes, and a few more for each gap in the sequence of snapshots that have it.

import BakCore
import BakFormat

/// The segments of several manifests.
public struct SegmentCatalog: Sendable {
    /// A segment and its snapshots.
    public struct Segment: Sendable {
        /// The reference in the first root that names the segment.
        public let reference: ManifestSegmentReference
        /// The snapshots that have the segment. Each is a place: the number that the caller of `note` gave the
        /// snapshot.
        public fileprivate(set) var holders: PlaceRuns
    }

    /// The segments in the order of their numbers.
    public private(set) var segments: [Segment] = []
    private var numbers: [ID128: Int] = [:]

    /// Makes an empty catalogue.
    public init() {}

    /// Notes that a snapshot has a segment. Returns the segment's number, which is its position in `segments`.
    ///
    /// - Parameter place: the snapshot's place, a number that the caller chooses. Calls must not go back to a smaller
    ///   place.
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

    /// Notes all segments of a snapshot, and returns those that no earlier snapshot has.
    @discardableResult
    public mutating func note(_ root: ManifestRoot, of place: Int) -> ArraySlice<Segment> {
        let known = segments.count
        for segment in root.segments { note(segment, of: place) }
        return segments[known...]
    }

    /// Returns the segments in the order of their locations, so that packs are read from beginning to end.
    public func inReadingOrder(_ index: BlobIndex) -> [ManifestSegmentReference] {
        segments.map { ($0.reference, index.location(of: $0.reference.blob)) }.sorted { left, right in
            (left.1?.pack ?? .zero, left.1?.offset ?? 0, left.0.blob.id)
                < (right.1?.pack ?? .zero, right.1?.offset ?? 0, right.0.blob.id)
        }.map(\.0)
    }
}

/// A set of at least one place, stored as runs of consecutive places.
public struct PlaceRuns: Sendable, Equatable {
    private var last: ClosedRange<Int>
    private var before: [ClosedRange<Int>] = []

    init(_ place: Int) { last = place...place }

    /// Inserts a place, which must not be below the largest one.
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

    /// The number of places.
    public var count: Int { before.reduce(last.count) { $0 + $1.count } }

    /// The place if there is only one; otherwise nil.
    public var only: Int? { before.isEmpty && last.count == 1 ? last.lowerBound : nil }

    /// True if the set has the place.
    public func contains(_ place: Int) -> Bool {
        last.contains(place) || before.contains { $0.contains(place) }
    }
}
