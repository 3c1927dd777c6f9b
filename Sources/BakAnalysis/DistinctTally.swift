// DistinctTally: counts how many distinct pieces of content there are, and their bytes, in bounded memory. It counts
// several kinds of pieces separately.
//
// A table remembers the names of pieces, eight bytes each. When the table is full, the tally raises `level` by one and
// drops all names that do not end in `level` zero bits, about half of them. From then on it looks up only names that
// end in `level` zero bits. From these names it estimates the number of all distinct names.
//
// Always holds: each name that ends in `level` zero bits is counted as distinct once. There is a separate sum for each
// number of zero bits, so the sums stay right when names are dropped.

import BakEngine
import BakCore

/// The number of pieces, and their bytes.
struct PieceSum: Sendable {
    var count: UInt64 = 0
    var bytes: UInt64 = 0
    /// The size after compression of the pieces that were compressed.
    var storedBytes: UInt64 = 0

    static func += (sum: inout PieceSum, other: PieceSum) {
        sum.count += other.count
        sum.bytes.add(other.bytes)
        sum.storedBytes.add(other.storedBytes)
    }
}

/// The name and size of a piece of content.
struct NamedPiece: Sendable {
    /// 64 bits of a keyed hash of its content.
    var name: UInt64
    var byteCount: Int
    /// True if the content is known to be compressed already, as in a JPEG.
    var isCompressed = false

    init(_ id: ID128, byteCount: Int, isCompressed: Bool = false) {
        name = id.low
        self.byteCount = byteCount
        self.isCompressed = isCompressed
    }

    /// The number of zero bits at the low end of the name, up to the largest that is counted separately.
    var level: Int { min(name.trailingZeroBitCount, DistinctTally.levels - 1) }
}

/// The sums for one kind of file.
struct DistinctEstimate: Sendable {
    /// All pieces.
    var all = PieceSum()
    /// Each distinct piece once.
    var distinct = PieceSum()

    static func += (sum: inout DistinctEstimate, other: DistinctEstimate) {
        sum.all += other.all
        sum.distinct += other.distinct
    }
}

/// Counts pieces of content and reports which are new. Any thread may use it.
final class DistinctTally: @unchecked Sendable {
    /// The number of separate sums, one for each number of zero bits.
    static let levels = 40

    private let monitor = Monitor()
    private let slotLimit: Int
    /// An open-addressing table. Zero is an empty slot.
    private var slots: [UInt64]
    private var used = 0
    /// Only names that end in at least this many zero bits are remembered.
    private var level = 0
    private var all: [PieceSum]
    private var distinct: [PieceSum]
    /// The time for cutting files and computing the names of pieces; the size of the pieces that were compressed; the
    /// time for compressing them. Times are sums over all threads.
    private var cutNanoseconds: UInt64 = 0
    private var compressedBytes: UInt64 = 0
    private var compressNanoseconds: UInt64 = 0

    /// Makes a tally that takes at most 8 * `slotLimit` bytes and remembers up to three quarters of `slotLimit` names.
    /// `slotLimit` must be a power of two.
    init(kinds: Int, slotLimit: Int) {
        precondition(slotLimit >= 16 && slotLimit.nonzeroBitCount == 1)
        self.slotLimit = slotLimit
        slots = [UInt64](repeating: 0, count: min(slotLimit, 1024))
        all = [PieceSum](repeating: PieceSum(), count: kinds * Self.levels)
        distinct = all
    }

    /// Counts the pieces of a file of `kind`. Looks up pieces whose names end in enough zero bits, and calls `isNew`
    /// with the index in `pieces` of each one that is new.
    func insert(
        _ pieces: [NamedPiece], kind: Int, nanoseconds: UInt64 = 0, isNew: (Int) -> Void = { _ in }
    ) {
        monitor.locked {
            cutNanoseconds += nanoseconds
            for (place, piece) in pieces.enumerated() {
                let index = kind * Self.levels + piece.level
                let sum = PieceSum(count: 1, bytes: UInt64(piece.byteCount))
                all[index] += sum
                guard piece.level >= level, remember(max(piece.name, 1)) else { continue }
                distinct[index] += sum
                isNew(place)
            }
        }
    }

    /// Notes the size after compression of a piece that `insert` reported as new.
    func noteStored(_ piece: NamedPiece, kind: Int, storedBytes: Int, nanoseconds: UInt64) {
        monitor.locked {
            distinct[kind * Self.levels + piece.level].storedBytes += UInt64(storedBytes)
            compressedBytes += UInt64(piece.byteCount)
            compressNanoseconds += nanoseconds
        }
    }

    /// True if the numbers of distinct pieces are estimates.
    var isEstimate: Bool { monitor.locked { level > 0 } }

    /// The time for cutting files and computing the names of all pieces; the size of the pieces that were compressed;
    /// the time for compressing them.
    var work: (cutNanoseconds: UInt64, compressedBytes: UInt64, compressNanoseconds: UInt64) {
        monitor.locked { (cutNanoseconds, compressedBytes, compressNanoseconds) }
    }

    /// Returns the sums for a kind. Once names have been dropped, each remembered name counts as 2^`level` names. This
    /// estimate is right on average, however often pieces repeat. Its relative error is about one over the square root
    /// of the number of remembered names.
    func estimate(kind: Int) -> DistinctEstimate {
        monitor.locked {
            let start = kind * Self.levels
            var result = DistinctEstimate()
            for index in start..<start + Self.levels {
                result.all += all[index]
                if index - start >= level { result.distinct += distinct[index] }
            }
            guard level > 0 else { return result }
            let (seen, factor) = (result.distinct, UInt64(1) << UInt64(level))
            result.distinct.count = min(seen.count &* factor, result.all.count)
            result.distinct.bytes = min(seen.bytes &* factor, result.all.bytes)
            result.distinct.storedBytes = min(seen.storedBytes &* factor, result.distinct.bytes)
            return result
        }
    }

    /// The sums for all kinds together.
    var estimate: DistinctEstimate {
        (0..<all.count / Self.levels).reduce(into: DistinctEstimate()) { $0 += estimate(kind: $1) }
    }

    // MARK: The table

    /// Remembers a name. Returns false if it is in the table already.
    private func remember(_ name: UInt64) -> Bool {
        guard put(name) else { return false }
        used += 1
        if used * 4 >= slots.count * 3 { makeRoom() }
        return true
    }

    private func put(_ name: UInt64) -> Bool {
        let mask = slots.count - 1
        // Use higher bits for the place: the lowest `level` bits are zero in all remembered names.
        var place = Int(truncatingIfNeeded: name >> 24) & mask
        while slots[place] != 0 {
            if slots[place] == name { return false }
            place = (place + 1) & mask
        }
        slots[place] = name
        return true
    }

    /// Doubles the table, or drops names if it has its full size.
    private func makeRoom() {
        let names = slots
        if slots.count < slotLimit {
            slots = [UInt64](repeating: 0, count: slots.count * 2)
        } else {
            level += 1
            slots = [UInt64](repeating: 0, count: slots.count)
        }
        used = 0
        for name in names where name != 0 && name.trailingZeroBitCount >= level && put(name) { used += 1 }
    }
}
