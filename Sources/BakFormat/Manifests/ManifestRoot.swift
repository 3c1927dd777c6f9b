// The root of a manifest: the list of its segments with their first paths. It is stored as a blob of a manifest pack.
//
//   root = version 1 (1 byte) | number of segments | segment*
//   segment = id 16 | length | number of records | shared prefix length with the first path before | suffix
//
// Segments with equal ids have equal records, so a comparison of two snapshots skips them.

import BakCore

/// A root's reference to one segment.
public struct ManifestSegmentReference: Equatable, Sendable {
    /// The segment's blob.
    public var blob: BlobReference
    /// The number of its records.
    public var recordCount: Int
    /// The path of its first record.
    public var firstPath: [UInt8]

    /// Makes a reference.
    public init(blob: BlobReference, recordCount: Int, firstPath: [UInt8]) {
        self.blob = blob
        self.recordCount = recordCount
        self.firstPath = firstPath
    }
}

/// The list of a manifest's segments.
public struct ManifestRoot: Equatable, Sendable {
    /// The segments in the order of their paths.
    public var segments: [ManifestSegmentReference]

    private static let version: UInt8 = 1

    /// Makes a root.
    public init(segments: [ManifestSegmentReference]) { self.segments = segments }

    /// Returns the blob's bytes.
    public func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.byte(Self.version)
        writer.varint(segments.count)
        var previous: [UInt8] = []
        for segment in segments {
            writer.id(segment.blob.id)
            writer.varint(segment.blob.length)
            writer.varint(segment.recordCount)
            let shared = PathOrder.sharedBytes(previous, segment.firstPath)
            writer.varint(shared)
            writer.byteString(segment.firstPath[shared...])
            previous = segment.firstPath
        }
        return writer.bytes
    }

    /// Decodes and validates the blob's bytes.
    ///
    /// - Throws: `CorruptionError` if they are damaged, exceed the format's limits, or need a newer program.
    public init(decoding bytes: UnsafeRawBufferPointer, object: String) throws(CorruptionError) {
        var reader = ByteReader(bytes, object: object)
        let version = try reader.byte()
        guard version == Self.version else {
            throw .unsupported(object: object, "it has manifest root version \(version)")
        }
        let count = try reader.count(upTo: reader.remaining / (ID128.byteCount + 4), "the number of segments")
        segments = []
        segments.reserveCapacity(count)
        var pathBudget = FormatLimits.rootPathBytes
        for _ in 0..<count {
            let start = reader
            let id = try reader.id()
            let length = try reader.count(upTo: FormatLimits.segmentBytes, "a segment's length")
            let records = try reader.count(upTo: length, "a segment's number of records")
            let previous = segments.last?.firstPath ?? []
            let shared = try reader.count(upTo: previous.count, "the shared prefix")
            let suffix = try reader.byteString(upTo: FormatLimits.pathBytes - shared, "a path")
            pathBudget -= shared + suffix.count
            guard pathBudget >= 0 else { throw start.corruption("too many bytes of paths") }
            let firstPath = Array(previous[..<shared] + suffix)
            // The path before was valid. So only the part after the last slash of the shared prefix needs a check.
            let name = previous[..<shared].lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
            guard firstPath.count <= FormatLimits.pathBytes else { throw start.corruption("a path too long") }
            if let fault = ManifestEntry.fault(ofPath: firstPath[name...]) { throw start.corruption(fault) }
            // A file's extents may fill several segments, which then begin with the same path.
            guard segments.isEmpty || !PathOrder.precedes(firstPath[shared...], previous[shared...])
            else {
                throw start.corruption("segments are not sorted")
            }
            segments.append(
                ManifestSegmentReference(
                    blob: BlobReference(id: id, length: UInt32(length)), recordCount: records,
                    firstPath: firstPath))
        }
        try reader.expectEnd()
        guard repeatedBytes <= FormatLimits.repeatedSegmentBytes else {
            throw CorruptionError(
                object: object, offset: 0, reason: "too many bytes of segments that are named again")
        }
    }
}

extension ManifestRoot {
    /// The total length in bytes of the repeated segments, not counting each segment's first occurrence. If the total
    /// length of all segments is within the limit, the result is that total, an upper bound that is quicker to compute.
    public var repeatedBytes: Int {
        let all = segments.reduce(0) { $0 + Int($1.blob.length) }
        guard all > FormatLimits.repeatedSegmentBytes else { return all }
        var known: Set<ID128> = []
        return segments.reduce(0) { known.insert($1.blob.id).inserted ? $0 : $0 + Int($1.blob.length) }
    }
}
