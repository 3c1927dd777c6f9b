// DistinctTally: how much of what passes by is different, for each of several kinds, in bounded memory.
//
// Names are remembered in a table of eight bytes each. When it is full, every second name is given up, by the lowest
// bits of the name: from then on only names are looked up whose lowest `level` bits are zero, and what was
// given up is estimated from what is left.
//
// Always holds: of the names with `level` zero bits each is counted as different once. Sums are kept by how many zero
// bits a name has, so that giving names up needs no second pass over what was counted.

import BakEngine
import BakCore

/// Numbers of pieces, and their bytes.
struct PieceSum: Sendable {
    var count: UInt64 = 0
    var bytes: UInt64 = 0
    /// After compression, of those that were compressed.
    var storedBytes: UInt64 = 0

    static func += (sum: inout PieceSum, other: PieceSum) {
        sum.count += other.count
        sum.bytes.add(other.bytes)
        sum.storedBytes.add(other.storedBytes)
    }
}

/// A piece of content by its name.
struct NamedPiece: Sendable {
    /// 64 bits of a keyed hash of its content.
    var name: UInt64
    var byteCount: Int
    /// Whether it is known to be compressed.
    var isCompressed = false

    init(_ id: ID128, byteCount: Int, isCompressed: Bool = false) {
        name = id.low
        self.byteCount = byteCount
        self.isCompressed = isCompressed
    }

    /// How many of the name's lowest bits are zero, as far as it matters.
    var level: Int { min(name.trailingZeroBitCount, DistinctTally.levels - 1) }
}

/// What one kind of file comes to.
struct DistinctEstimate: Sendable {
    /// All pieces.
    var all = PieceSum()
    /// Each different piece once.
    var distinct = PieceSum()

    static func += (sum: inout DistinctEstimate, other: DistinctEstimate) {
        sum.all += other.all
        sum.distinct += other.distinct
    }
}

/// Counts pieces of content and tells which are new. May be used from any thread.
final class DistinctTally: @unchecked Sendable {
    /// Sums are kept for so many numbers of zero bits.
    static let levels = 40

    private let monitor = Monitor()
    private let slotLimit: Int
    /// An open-addressing table; zero is an empty place.
    private var slots: [UInt64]
    private var used = 0
    /// Names with fewer zero bits are not remembered.
    private var level = 0
    private var all: [PieceSum]
    private var distinct: [PieceSum]
    /// What it took to cut, to name and to look up, and to compress, on all threads together.
    private var cutNanoseconds: UInt64 = 0
    private var compressedBytes: UInt64 = 0
    private var compressNanoseconds: UInt64 = 0

    /// Makes a tally that takes at most 8 * `slotLimit` bytes and remembers three quarters of `slotLimit` names.
    /// `slotLimit` is a power of two.
    init(kinds: Int, slotLimit: Int) {
        precondition(slotLimit >= 16 && slotLimit.nonzeroBitCount == 1)
        self.slotLimit = slotLimit
        slots = [UInt64](repeating: 0, count: min(slotLimit, 1024))
        all = [PieceSum](repeating: PieceSum(), count: kinds * Self.levels)
        distinct = all
    }

    /// Counts pieces of a file of `kind`, and calls `isNew` with the place of each that was not there before and that
    /// is looked up.
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

    /// Notes what a piece that `insert` called new takes after compression.
    func noteStored(_ piece: NamedPiece, kind: Int, storedBytes: Int, nanoseconds: UInt64) {
        monitor.locked {
            distinct[kind * Self.levels + piece.level].storedBytes += UInt64(storedBytes)
            compressedBytes += UInt64(piece.byteCount)
            compressNanoseconds += nanoseconds
        }
    }

    /// Whether numbers of what is different are estimates.
    var isEstimate: Bool { monitor.locked { level > 0 } }

    /// What cutting and naming all pieces took, and compressing those that were.
    var work: (cutNanoseconds: UInt64, compressedBytes: UInt64, compressNanoseconds: UInt64) {
        monitor.locked { (cutNanoseconds, compressedBytes, compressNanoseconds) }
    }

    /// What has passed by of a kind. Beyond the bound each remembered name stands for 2^`level`: that is right on
    /// average however often a piece is repeated, with an error of one over the root of the number of names.
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

    /// What has passed by of all kinds.
    var estimate: DistinctEstimate {
        (0..<all.count / Self.levels).reduce(into: DistinctEstimate()) { $0 += estimate(kind: $1) }
    }

    // MARK: The table

    /// False when the name is there already.
    private func remember(_ name: UInt64) -> Bool {
        guard put(name) else { return false }
        used += 1
        if used * 4 >= slots.count * 3 { makeRoom() }
        return true
    }

    private func put(_ name: UInt64) -> Bool {
        let mask = slots.count - 1
        // The lowest bits are those that are all alike.
        var place = Int(truncatingIfNeeded: name >> 24) & mask
        while slots[place] != 0 {
            if slots[place] == name { return false }
            place = (place + 1) & mask
        }
        slots[place] = name
        return true
    }

    /// Doubles the table, or gives names up.
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
