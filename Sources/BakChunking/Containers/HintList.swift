// HintList: the cuts that parsers have suggested and the cutter has not reached yet.
//
// Always holds: offsets increase; none lies before what may have been cut already; there are at most
// `allowance` hints and one more for each `bytesPerHint` bytes, so that a hostile container can neither bloat the
// index nor slow a backup down. All of it follows from the content alone, not from how it was read.

/// A place where the chunker restarts, and what begins there.
struct Hint: Equatable {
    var offset: UInt64
    /// What the bytes from here to the next hint are.
    var part: ContainerPart
}

/// What a stretch of a container is: how it is best cut and compressed.
enum ContainerPart: Equatable {
    /// Small, edited by people, and worth a codec's try: cut as general content.
    case metadata
    /// What the container carries: cut and compressed as the table of signatures says of the file.
    case payload
}

struct HintList {
    /// Shorter pieces are not worth a chunk of their own, unless what follows must begin one.
    static let leastPieceBytes: UInt64 = 512
    /// What programs leave between two values, so that the second is aligned.
    private static let mostFillBytes: UInt64 = 16
    private static let allowance: UInt64 = 16
    private static let bytesPerHint: UInt64 = 64 << 10

    private var hints: [Hint] = []
    /// The last hint that has been taken out, or the start of the file.
    private var passed: UInt64 = 0
    private var accepted: UInt64 = 0
    /// Hints below were suggested too late.
    var floor: UInt64 = 0

    /// The next place where the chunker restarts.
    var next: Hint? { hints.first }

    mutating func removeNext() { passed = hints.removeFirst().offset }

    /// Suggests a cut that is worth a short piece before it: the start of a payload, or its end.
    mutating func cut(at offset: UInt64, _ part: ContainerPart) { insert(Hint(offset: offset, part: part)) }

    /// Suggests a cut unless there is one shortly before.
    mutating func cutIfFar(at offset: UInt64, _ part: ContainerPart) {
        let before = hints.last { $0.offset <= offset }?.offset
        let isFar = offset - min(before ?? passed, offset) >= Self.leastPieceBytes
        if isFar || before == offset { cut(at: offset, part) }
    }

    /// Suggests a cut exactly where something begins that is moved as a whole; what fills the room between it and a cut
    /// just before goes with what is there.
    mutating func cutExactly(at offset: UInt64, _ part: ContainerPart) {
        if let last = hints.lastIndex(where: { $0.offset <= offset }), hints[last].part == part,
            offset - hints[last].offset <= Self.mostFillBytes
        {
            hints.remove(at: last)
            accepted -= 1
        }
        cut(at: offset, part)
    }

    /// Sets a stretch apart from the metadata around it, as it stays when they are edited.
    mutating func setApart(_ range: Range<UInt64>, _ part: ContainerPart) {
        cutIfFar(at: range.lowerBound, part)
        cut(at: range.upperBound, .metadata)
    }

    private mutating func insert(_ hint: Hint) {
        guard hint.offset >= floor, hint.offset > passed, hint.offset < HintWindow.largestOffset else {
            return
        }
        let place = hints.lastIndex { $0.offset <= hint.offset }
        if let place, hints[place].offset == hint.offset {
            hints[place] = hint
            return
        }
        guard accepted < Self.allowance + hint.offset / Self.bytesPerHint else { return }
        accepted += 1
        hints.insert(hint, at: place.map { $0 + 1 } ?? 0)
    }
}
