// MoveSet: a set of moves that may come next, with a bit for each.

/// A move: the next operation of an actor, or a wish that comes true (Explorer).
enum Move: Hashable {
    case actor(Int)
    case wish(Int)
}

/// A set of moves.
struct MoveSet: Equatable {
    /// The lowest bits are for actors, the others for wishes.
    private var bits: UInt64 = 0

    init() {}
    private init(bits: UInt64) { self.bits = bits }

    /// There are at most this many actors.
    static let actorLimit = 8
    /// There are at most this many wishes.
    static let wishLimit = 64 - actorLimit

    /// Returns the number of a move, below 64.
    static func number(of move: Move) -> Int {
        switch move {
        case .actor(let actor): actor
        case .wish(let number): actorLimit + number
        }
    }

    private static func bit(_ move: Move) -> UInt64 { 1 << UInt64(number(of: move)) }

    var isEmpty: Bool { bits == 0 }
    var count: Int { bits.nonzeroBitCount }

    /// The first move in the set, which must not be empty.
    var first: Move {
        let place = bits.trailingZeroBitCount
        return place < Self.actorLimit ? .actor(place) : .wish(place - Self.actorLimit)
    }

    func contains(_ move: Move) -> Bool { bits & Self.bit(move) != 0 }

    mutating func insert(_ move: Move) { bits |= Self.bit(move) }

    mutating func remove(_ move: Move) { bits &= ~Self.bit(move) }

    mutating func formUnion(_ other: MoveSet) { bits |= other.bits }

    func subtracting(_ other: MoveSet) -> MoveSet { MoveSet(bits: bits & ~other.bits) }

    /// Removes a move and returns it: the first, or the one at the position that `draw` returns.
    mutating func pop(_ draw: ((Range<Int>) -> Int)? = nil) -> Move? {
        if isEmpty { return nil }
        var rest = self
        for _ in 0..<(draw?(0..<count) ?? 0) { rest.remove(rest.first) }
        let move = rest.first
        remove(move)
        return move
    }
}
