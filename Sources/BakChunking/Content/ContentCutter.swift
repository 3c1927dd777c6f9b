// ContentCutter: one file's way from bytes to chunks: what it is, where its container says it may be cut, and the
// chunker between those places.
//
// Always holds: the chunks cover the file in order, without gaps. They follow from its content, the parameters and
// the key, never from read sizes, its name or what was backed up before. Between two hints a chunker sees nothing
// but what is between them, as if it were a file of its own.

/// The chunkers of a repository, by class of content.
public final class ChunkerSet: Sendable {
    private let general: Chunker
    private let media: Chunker
    /// Whether a container's structure is read; only comparisons go without.
    let readsStructure: Bool

    /// Makes a set. Without `readsStructure` containers are cut by content alone, which no repository is: it is for
    /// measuring what their structure costs and gains.
    public init(general: Chunker, media: Chunker, readsStructure: Bool = true) {
        self.general = general
        self.media = media
        self.readsStructure = readsStructure
    }

    /// The chunker for content of a class.
    func chunker(for contentClass: ContentClass) -> Chunker {
        switch contentClass {
        case .general: general
        case .media: media
        }
    }

    /// How many bytes of a file `ContentCutter.nextChunk` needs at most to find a chunk in them.
    public var bytesForAChunk: Int {
        max(general.parameters.maximum, media.parameters.maximum) + Int(ContainerHints.largestHold)
            + ContainerHints.largestWindow
    }
}

/// A chunk that begins where the one before ended.
public struct ContentChunk: Equatable, Sendable {
    /// Its length in bytes.
    public var byteCount: Int
    /// Whether its content is known to be compressed.
    public var isCompressed: Bool

    /// Makes a chunk.
    public init(byteCount: Int, isCompressed: Bool) {
        (self.byteCount, self.isCompressed) = (byteCount, isCompressed)
    }
}

/// Cuts one file. Make a new one for each.
public struct ContentCutter {
    /// Smaller files are cut without regard to their structure: they are one chunk, and each more would cost more
    /// than it could spare.
    static let leastContainerBytes = 8 << 10

    private let chunkers: ChunkerSet
    /// Where the next chunk begins in the file.
    private var position: UInt64 = 0
    /// What the file is, once its first bytes have been seen.
    private var fileTraits: ContentTraits?
    /// What the stretch from `position` to the next hint is.
    private var traits = ContentTraits.unknown
    private var hints: ContainerHints?

    /// Starts at the beginning of a file.
    public init(_ chunkers: ChunkerSet) { self.chunkers = chunkers }

    /// Finds the next chunk.
    ///
    /// - Parameters:
    ///   - bytes: what follows the last chunk, as far as it has been read.
    ///   - isLast: whether this stretch of the file ends with them.
    /// - Returns: the chunk at the start of `bytes`; nil when there are no bytes, or when more are needed: never with
    ///   `ChunkerSet.bytesForAChunk` bytes or at the end.
    public mutating func nextChunk(in bytes: UnsafeRawBufferPointer, isLast: Bool) -> ContentChunk? {
        guard !bytes.isEmpty, recognise(bytes, isLast) else { return nil }
        var end = bytes.count
        var isPart = isLast
        if hints != nil {
            hints!.advance(over: bytes, from: position, isLast: isLast)
            passHints()
            let settled = hints!.settled - min(position, hints!.settled)
            if settled < UInt64(end) { (end, isPart) = (Int(settled), false) }
            if let next = hints!.list.next, next.offset - position <= UInt64(end) {
                (end, isPart) = (Int(next.offset - position), true)
            }
        }
        let part = UnsafeRawBufferPointer(rebasing: bytes[..<end])
        guard let count = chunkers.chunker(for: traits.contentClass).firstCut(in: part, isLast: isPart) else {
            return nil
        }
        position += UInt64(count)
        return ContentChunk(byteCount: count, isCompressed: traits.isCompressed)
    }

    /// Passes over a hole of the file. What follows is cut without regard to structure.
    public mutating func skipHole(_ byteCount: UInt64) {
        position += byteCount
        hints = nil
        if fileTraits == nil, position > 0 { fileTraits = .unknown }
        traits = fileTraits ?? .unknown
    }

    /// Sees what the file is; false when that takes more bytes.
    private mutating func recognise(_ bytes: UnsafeRawBufferPointer, _ isLast: Bool) -> Bool {
        guard fileTraits == nil else { return true }
        guard isLast || bytes.count >= Self.leastContainerBytes else { return false }
        let found = ContentClass.sniff(firstBytes: bytes)
        fileTraits = found
        traits = found
        if let kind = found.container, chunkers.readsStructure, bytes.count >= Self.leastContainerBytes {
            hints = ContainerHints(kind)
            traits = .metadata
        }
        return true
    }

    /// Takes the hints that have been reached, once it is settled what is behind them.
    private mutating func passHints() {
        while let next = hints!.list.next, next.offset <= position, next.offset < hints!.settled {
            if next.offset == position {
                traits = next.part == .metadata ? .metadata : fileTraits!
            }
            hints!.removeNext()
        }
    }
}
