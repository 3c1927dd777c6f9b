// HintList: the cuts that parsers have suggested and that the cutter has not reached yet.
//
// Always holds: offsets increase, and none lies in a part that may have been cut already. There are at most `allowance`
// hints, plus one for each `bytesPerHint` bytes, so a hostile container can neither bloat the index nor slow down a
// backup. The list depends on the content alone, and not on how the file is read.

/// An offset at which the chunker restarts, and the kind of bytes that begin there.
struct Hint: Equatable {
    var offset: UInt64
    /// The kind of the bytes from here to the next hint.
    var part: ContainerPart
}

/// The kind of a part of a container, which decides how it is cut and compressed.
enum ContainerPart: Equatable {
    /// Small, edited by users, and worth compressing: cut as general content.
    case metadata
    /// The content that the container carries: cut and compressed as the file's signature says.
    case payload
}

struct HintList {
    /// A shorter piece is not worth a chunk of its own, unless a chunk must begin directly after it.
    static let leastPieceBytes: UInt64 = 512
    /// The largest padding that programs leave between two values to align the second.
    private static let mostFillBytes: UInt64 = 16
    private static let allowance: UInt64 = 16
    private static let bytesPerHint: UInt64 = 64 << 10

    private var hints: [Hint] = []
    /// The offset of the last hint that was removed, or the start of the file.
    private var passed: UInt64 = 0
    private var accepted: UInt64 = 0
    /// A hint below this offset comes too late, because the bytes there may be cut already.
    var floor: UInt64 = 0

    /// The next hint.
    var next: Hint? { hints.first }

    mutating func removeNext() { passed = hints.removeFirst().offset }

    /// Suggests a cut at the start or end of a payload, even if it leaves a short piece before it.
    mutating func cut(at offset: UInt64, _ part: ContainerPart) { insert(Hint(offset: offset, part: part)) }

    /// Suggests a cut unless another one is shortly before it.
    mutating func cutIfFar(at offset: UInt64, _ part: ContainerPart) {
        let before = hints.last { $0.offset <= offset }?.offset
        let isFar = offset - min(before ?? passed, offset) >= Self.leastPieceBytes
        if isFar || before == offset { cut(at: offset, part) }
    }

    /// Suggests a cut exactly at the start of a value that programs move as a whole. If another cut lies just before
    /// it, this cut replaces that one. The padding between the two then belongs to the chunk before the value.
    mutating func cutExactly(at offset: UInt64, _ part: ContainerPart) {
        if let last = hints.lastIndex(where: { $0.offset <= offset }), hints[last].part == part,
            offset - hints[last].offset <= Self.mostFillBytes
        {
            hints.remove(at: last)
            accepted -= 1
        }
        cut(at: offset, part)
    }

    /// Gives a range chunks of its own, because the range stays the same when a program edits the metadata around it.
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
