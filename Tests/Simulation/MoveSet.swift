// MoveSet: who may move next, a bit for each.

/// Who moves: an actor, or whoever has a wish.
enum Move: Hashable {
    case actor(Int)
    case wish(Int)
}

/// A set of moves.
struct MoveSet: Equatable {
    /// Actors in the lowest bits, then wishes.
    private var bits: UInt64 = 0
    /// Actors are fewer than this,
    static let actorLimit = 8
    /// and wishes than this.
    static let wishLimit = 64 - actorLimit

    private static func bit(_ move: Move) -> UInt64 {
        switch move {
        case .actor(let actor): 1 << UInt64(actor)
        case .wish(let number): 1 << UInt64(actorLimit + number)
        }
    }

    var isEmpty: Bool { bits == 0 }
    var count: Int { bits.nonzeroBitCount }

    /// One of them, of a set that is not empty.
    var first: Move {
        let place = bits.trailingZeroBitCount
        return place < Self.actorLimit ? .actor(place) : .wish(place - Self.actorLimit)
    }

    func contains(_ move: Move) -> Bool { bits & Self.bit(move) != 0 }

    mutating func insert(_ move: Move) { bits |= Self.bit(move) }

    mutating func remove(_ move: Move) { bits &= ~Self.bit(move) }

    mutating func formUnion(_ other: MoveSet) { bits |= other.bits }

    /// Takes one of them away: the first, or the one that `draw` picks by its place.
    mutating func pop(_ draw: ((Range<Int>) -> Int)? = nil) -> Move? {
        if isEmpty { return nil }
        var rest = self
        for _ in 0..<(draw?(0..<count) ?? 0) { rest.remove(rest.first) }
        let move = rest.first
        remove(move)
        return move
    }
}
