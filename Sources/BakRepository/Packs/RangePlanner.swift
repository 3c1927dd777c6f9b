// RangePlanner: which ranges of which packs are read in one request. Blobs that lie close together are read together,
// with what lies between them.
//
// Always holds: all blobs of a request lie in its range of its pack; a request is longer than `mostBytes` only if its
// first blob is; every blob is in one request.

import BakCore
import BakFormat
import BakStorage

/// Blobs that one request to a store reads.
public struct PackRequest<Item> {
    /// The pack.
    public let pack: ID128
    /// The bytes of the pack that the request reads.
    public let range: Range<Int>
    /// What is wanted of them, in the order in which it lies there.
    public let items: ArraySlice<Item>

    @usableFromInline
    init(pack: ID128, range: Range<Int>, items: ArraySlice<Item>) {
        (self.pack, self.range, self.items) = (pack, range, items)
    }
}

extension PackRequest: Sendable where Item: Sendable {}

/// Joins blobs to requests.
public struct RangePlanner: Sendable {
    /// What lies between two blobs is read along if it has at most so many bytes: a request of its own would cost more.
    public var gapBytes: Int
    /// A request has at most so many bytes, or one blob.
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
    ///   - location: where an item lies.
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

    /// All requests for items that are sorted by pack and offset.
    @inlinable
    public func requests<Item>(for items: [Item], _ location: (Item) -> BlobLocation) -> [PackRequest<Item>] {
        var requests: [PackRequest<Item>] = []
        var rest = items[...]
        while let request = next(&rest, location) { requests.append(request) }
        return requests
    }
}

/// How far ahead of a reader it is worth to read: the further, the longer it has gone forward without a jump.
public struct ReadAhead: Sendable {
    /// Where a reader that goes forward reads next.
    private var expected: UInt64 = 0
    private var windowBytes = 0
    private let mostBytes: Int
    private static let firstBytes = 128 << 10

    /// Starts at the beginning of a file; the window grows to at most `mostBytes`.
    public init(mostBytes: Int = 1 << 20) { self.mostBytes = mostBytes }

    /// Notes a read, and returns how many bytes from its start on to read now; at least what it asks for.
    public mutating func bytes(reading range: Range<UInt64>) -> UInt64 {
        let isForward = range.lowerBound == expected
        windowBytes = isForward ? min(max(2 * windowBytes, Self.firstBytes), mostBytes) : 0
        expected = range.upperBound
        return max(UInt64(range.count), UInt64(windowBytes))
    }
}
