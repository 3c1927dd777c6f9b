// ChunkerParameters: the bounds of chunk sizes, and the density of candidates that follows from them.

/// The bounds of a chunk's size, in bytes. Only valid bounds can be made.
///
/// A repository stores `minimum` and `maximum`. A change of either moves every cut.
public struct ChunkerParameters: Hashable, Sendable {
    /// The smallest chunk in bytes; only the last chunk of a file may be smaller.
    public let minimum: Int
    /// The largest chunk in bytes.
    public let maximum: Int

    /// The smallest allowed `minimum`. The priority of a cut covers this many bytes before it, and all of them must lie
    /// in the chunk.
    public static let smallestMinimum = ChunkerKey.priorityWindow
    /// The largest allowed `maximum`. It limits the memory, because several chunks are in memory at a time.
    public static let largestMaximum = 8 << 20

    /// Media and other compressed content: minimum 512 KiB, average 1 MiB, maximum 1.5 MiB.
    public static let media = ChunkerParameters(uncheckedMinimum: 512 << 10, maximum: 1536 << 10)
    /// All other content: minimum 64 KiB, average 128 KiB, maximum 192 KiB.
    public static let general = ChunkerParameters(uncheckedMinimum: 64 << 10, maximum: 192 << 10)

    /// Makes bounds in bytes; nil unless `smallestMinimum <= minimum < maximum <= largestMaximum`.
    public init?(minimum: Int, maximum: Int) {
        guard minimum >= Self.smallestMinimum, minimum < maximum, maximum <= Self.largestMaximum else {
            return nil
        }
        self.init(uncheckedMinimum: minimum, maximum: maximum)
    }

    private init(uncheckedMinimum minimum: Int, maximum: Int) {
        self.minimum = minimum
        self.maximum = maximum
    }

    /// The expected size of a chunk in bytes. It is the middle of the window, because the smallest priority is equally
    /// likely at each of its positions.
    public var average: Int { (minimum + maximum) / 2 }

    /// One position in 2^`densityExponent` is a candidate, so a window from `minimum` to `maximum` has 32 to 64
    /// candidates on average. With fewer, some windows would have none. With more, the chunker would compute more
    /// priorities and find no better cuts.
    public var densityExponent: Int {
        let window = maximum - minimum
        let floorLog2 = Int.bitWidth - 1 - window.leadingZeroBitCount
        return max(1, floorLog2 - 5)
    }
}
