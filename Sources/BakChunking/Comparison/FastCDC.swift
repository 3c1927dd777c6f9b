// FastCDC: another chunker, for comparison only; no repository uses it. Xia et al., "The Design of Fast Content-Defined
// Chunking for Data Deduplication Based Storage Systems" (2020), with normalised chunking of level 2. As usual, a chunk
// has at least a quarter of the normal size and at most four times that size.

/// FastCDC NC2: a gear hash with two tests. Before the normal size, the test accepts a quarter of the positions that
/// one test for the normal size would accept; after it, four times as many.
///
/// The paper tests bits of the hash against a mask, so only powers of two are possible. Comparing the hash with a
/// threshold accepts the same fraction of positions and can be tuned to any average.
public struct FastCDC: Sendable {
    /// The number of random numbers in a gear table.
    public static let gearCount = 256

    /// The largest size of a chunk in bytes.
    public let maximum: Int
    private let gear: [UInt64]
    private let minimum: Int
    private let normal: Int
    private let strictThreshold: UInt64
    private let laxThreshold: UInt64

    /// Makes a chunker.
    ///
    /// - Parameters:
    ///   - normal: the size in bytes, at least 64, at which the test becomes lax. The average size of a chunk is near
    ///     it.
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

    /// Returns the length of the chunk that starts at `bytes[0]`; nil if there are no bytes. Also nil if there are
    /// fewer bytes than `maximum` and more may come.
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
