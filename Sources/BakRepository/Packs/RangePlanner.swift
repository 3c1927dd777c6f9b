// RangePlanner: decides which range of a pack to read in one request. If blobs lie close together, one request reads
// all of them and the bytes between them.
//
// Always holds: all blobs of a request lie in one pack, in the request's range. A request is longer than `mostBytes`
// only if its first blob is. Every blob is in exactly one request.

import BakCore
import BakFormat
import BakStorage

/// The blobs that one request to a store reads.
public struct PackRequest<Item> {
    /// The pack.
    public let pack: ID128
    /// The bytes of the pack that the request reads.
    public let range: Range<Int>
    /// The blobs to take from these bytes, in the order of their offsets.
    public let items: ArraySlice<Item>

    @usableFromInline
    init(pack: ID128, range: Range<Int>, items: ArraySlice<Item>) {
        (self.pack, self.range, self.items) = (pack, range, items)
    }
}

extension PackRequest: Sendable where Item: Sendable {}

/// Joins blobs into requests.
public struct RangePlanner: Sendable {
    /// The largest gap between two blobs that are read in one request. Up to this size, reading the gap costs less than
    /// a second request.
    public var gapBytes: Int
    /// The most bytes of a request, unless its first blob is larger.
    public var mostBytes: Int

    /// Makes a planner; the defaults are for a store in a folder of this machine.
    public init(gapBytes: Int = StoreTraits().coalescingGapBytes, mostBytes: Int = 8 << 20) {
        (self.gapBytes, self.mostBytes) = (gapBytes, mostBytes)
    }

    /// Makes a planner that suits a store.
    public init(for store: any ObjectStore) { self.init(gapBytes: store.traits.coalescingGapBytes) }

    /// Takes the next request off `rest`; nil if nothing is left.
    ///
    /// - Parameters:
    ///   - rest: sorted by pack and offset.
    ///   - location: returns the location of an item.
    @inlinable
    public func next<Item>(
        _ rest: inout ArraySlice<Item>, _ location: (Item) -> BlobLocation
    ) -> PackRequest<Item>? {
        guard let first = rest.first.map(location) else { return nil }
        let start = Int(first.offset)
        var end = first.endOffset
        let together = rest.prefix { item in
            let place = location(item)
            guard place.pack == first.pack, place.offset >= first.offset else { return false }
            let isNear =
                Int(place.offset) - end <= gapBytes && place.endOffset - start <= mostBytes
                || place.endOffset <= end
            if isNear { end = max(end, place.endOffset) }
            return isNear
        }
        rest = rest.dropFirst(together.count)
        return PackRequest(pack: first.pack, range: start..<end, items: together)
    }

    /// Returns all requests for items that are sorted by pack and offset.
    @inlinable
    public func requests<Item>(for items: [Item], _ location: (Item) -> BlobLocation) -> [PackRequest<Item>] {
        var requests: [PackRequest<Item>] = []
        var rest = items[...]
        while let request = next(&rest, location) { requests.append(request) }
        return requests
    }
}

/// Decides how far to read ahead. The distance doubles with each read that begins where the last one ended. After any
/// other read, nothing is read ahead until a read again begins where the last one ended.
public struct ReadAhead: Sendable {
    /// The offset of the next read if the reader goes forward.
    private var expected: UInt64 = 0
    private var windowBytes = 0
    private let mostBytes: Int
    private static let firstBytes = 128 << 10

    /// Starts at the beginning of a file. The distance grows to at most `mostBytes`.
    public init(mostBytes: Int = 1 << 20) { self.mostBytes = mostBytes }

    /// Notes that a caller reads `range`. Returns how many bytes to read from its start, at least the length of
    /// `range`.
    public mutating func bytes(reading range: Range<UInt64>) -> UInt64 {
        let isForward = range.lowerBound == expected
        windowBytes = isForward ? min(max(2 * windowBytes, Self.firstBytes), mostBytes) : 0
        expected = range.upperBound
        return max(UInt64(range.count), UInt64(windowBytes))
    }
}
