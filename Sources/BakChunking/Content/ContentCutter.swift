// ContentCutter: turns one file's bytes into chunks. It recognises the content, gets hints from its container parser,
// and runs the chunker between the hints.
//
// Always holds: the chunks cover the file in order, without gaps. They depend only on the file's content, the
// parameters and the key, and not on read sizes, the file's name or earlier backups. The chunker treats the bytes
// between two hints as if they were a separate file.

/// The chunkers of a repository, one for each content class.
public final class ChunkerSet: Sendable {
    private let general: Chunker
    private let media: Chunker
    /// True if containers are parsed. It is false only in comparisons of ways to cut.
    let readsStructure: Bool

    /// Makes a set. If `readsStructure` is false, containers are cut without hints. No repository uses that.
    /// BakAnalysis uses it to measure the costs and gains of hints.
    public init(general: Chunker, media: Chunker, readsStructure: Bool = true) {
        self.general = general
        self.media = media
        self.readsStructure = readsStructure
    }

    /// Returns the chunker for a content class.
    func chunker(for contentClass: ContentClass) -> Chunker {
        switch contentClass {
        case .general: general
        case .media: media
        }
    }

    /// The number of bytes with which `ContentCutter.nextChunk` always finds a chunk.
    public var bytesForAChunk: Int {
        max(general.parameters.maximum, media.parameters.maximum) + Int(ContainerHints.largestHold)
            + ContainerHints.largestWindow
    }
}

/// A chunk that begins at the end of the one before.
public struct ContentChunk: Equatable, Sendable {
    /// Its length in bytes.
    public var byteCount: Int
    /// True if its content is known to be compressed.
    public var isCompressed: Bool

    /// Makes a chunk.
    public init(byteCount: Int, isCompressed: Bool) {
        (self.byteCount, self.isCompressed) = (byteCount, isCompressed)
    }
}

/// Cuts one file. Make a new cutter for each file.
public struct ContentCutter {
    /// The smallest file whose structure is parsed. A smaller file is one chunk, because further chunks would cost more
    /// than they could save.
    static let leastContainerBytes = 8 << 10

    private let chunkers: ChunkerSet
    /// The start of the next chunk in the file.
    private var position: UInt64 = 0
    /// The traits of the file, once its first bytes have been seen.
    private var fileTraits: ContentTraits?
    /// The traits of the bytes from `position` to the next hint.
    private var traits = ContentTraits.unknown
    private var hints: ContainerHints?

    /// Starts at the beginning of a file.
    public init(_ chunkers: ChunkerSet) { self.chunkers = chunkers }

    /// Finds the next chunk.
    ///
    /// - Parameters:
    ///   - bytes: the bytes after the last chunk that have been read so far.
    ///   - isLast: true if the file ends with `bytes`, or if a hole follows them.
    /// - Returns: the chunk at the start of `bytes`; nil if there are no bytes, or too few to decide.
    ///   `ChunkerSet.bytesForAChunk` bytes, or all bytes up to the end, are always enough.
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

    /// Skips a hole of the file. The rest of the file is cut without hints.
    public mutating func skipHole(_ byteCount: UInt64) {
        position += byteCount
        hints = nil
        if fileTraits == nil, position > 0 { fileTraits = .unknown }
        traits = fileTraits ?? .unknown
    }

    /// Recognises the file's content. Returns false if more bytes are needed.
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

    /// Removes the hints at or before `position`, except those that later bytes may still change.
    private mutating func passHints() {
        while let next = hints!.list.next, next.offset <= position, next.offset < hints!.settled {
            if next.offset == position {
                traits = next.part == .metadata ? .metadata : fileTraits!
            }
            hints!.removeNext()
        }
    }
}
