// FastCDC: the rival, for comparison; no repository is cut by it. Xia et al., "The Design of Fast Content-Defined
// Chunking for Data Deduplication Based Storage Systems" (2020), with normalised chunking of level 2 and the usual
// bounds of a quarter of the normal size and four times it.

/// FastCDC NC2: a gear hash, a test four times as strict before the normal size and four times as lax after.
///
/// The paper tests bits of the hash against a mask, which makes only powers of two possible. Comparing the
/// hash with a threshold accepts the same fraction of positions and can be tuned to any average.
public struct FastCDC: Sendable {
    /// How many random numbers make a gear table.
    public static let gearCount = 256

    /// The most bytes of a chunk.
    public let maximum: Int
    private let gear: [UInt64]
    private let minimum: Int
    private let normal: Int
    private let strictThreshold: UInt64
    private let laxThreshold: UInt64

    /// Makes a chunker.
    ///
    /// - Parameters:
    ///   - normal: where the test becomes lax, in bytes, at least 64; real averages are near it.
    ///   - gear: `gearCount` random numbers.
    public init(normal: Double, gear: [UInt64]) {
        precondition(gear.count == Self.gearCount && normal >= 64, "not a gear table and a size")
        self.gear = gear
        minimum = Int(normal / 4)
        self.normal = Int(normal)
        maximum = Int(normal * 4)
        let threshold = 0x1p64 / normal
        strictThreshold = UInt64(threshold / 4)
        laxThreshold = UInt64(threshold * 4)
    }

    /// The length of the chunk that starts at `bytes[0]`; nil when there are no bytes, and when there are fewer than
    /// `maximum` and more may come.
    public func firstCut(in bytes: UnsafeRawBufferPointer, isLast: Bool) -> Int? {
        guard !bytes.isEmpty, isLast || bytes.count >= maximum else { return nil }
        guard bytes.count > minimum else { return bytes.count }
        let end = min(maximum, bytes.count)
        let middle = min(normal, end)
        return gear.withUnsafeBufferPointer { gear in
            var hash: UInt64 = 0
            var position = minimum
            while position < middle {
                hash = hash << 1 &+ gear[Int(bytes[position])]
                position &+= 1
                if hash < strictThreshold { return position }
            }
            while position < end {
                hash = hash << 1 &+ gear[Int(bytes[position])]
                position &+= 1
                if hash < laxThreshold { return position }
            }
            return end
        }
    }
}
