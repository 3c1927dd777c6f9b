// Footprint: a set of operations that a process may do. It has the objects that the process may put, delete and read,
// and the folders that it may list. A footprint of a process's future covers all replies that the process may get.
//
// There are many histories of replies but few footprints. Each footprint is kept once and known by its number.

/// A set of keys or of folders. A universe gives them their numbers.
struct NumberSet: Hashable {
    /// All numbers are below this limit.
    static let limit = 1024
    private var bits: SIMD16<UInt64>

    init() { bits = SIMD16() }
    private init(bits: SIMD16<UInt64>) { self.bits = bits }

    func contains(_ number: Int32) -> Bool { bits[Int(number >> 6)] >> UInt64(number & 63) & 1 == 1 }

    mutating func insert(_ number: Int32) { bits[Int(number >> 6)] |= 1 << UInt64(number & 63) }

    mutating func remove(_ number: Int32) { bits[Int(number >> 6)] &= ~(1 << UInt64(number & 63)) }

    mutating func formUnion(_ other: NumberSet) { bits |= other.bits }

    func union(_ other: NumberSet) -> NumberSet { NumberSet(bits: bits | other.bits) }
    func intersection(_ other: NumberSet) -> NumberSet { NumberSet(bits: bits & other.bits) }
    func subtracting(_ other: NumberSet) -> NumberSet { NumberSet(bits: bits & ~other.bits) }
    func intersects(_ other: NumberSet) -> Bool { bits & other.bits != SIMD16() }
}

/// The operations that a process may do.
struct Footprint: Hashable {
    var puts = NumberSet()
    var deletes = NumberSet()
    var reads = NumberSet()
    /// The folders that it may list.
    var lists = NumberSet()

    mutating func insert(_ operation: StoreOperation) {
        switch operation {
        case .put(let object), .publish(let object): puts.insert(object.key)
        case .name(let object, let temporary):
            puts.insert(object.key)
            deletes.insert(temporary.key)
            reads.insert(temporary.key)
            for key in temporary.owner?.keys ?? [] { reads.insert(key) }
        case .delete(let key): deletes.insert(key)
        case .size(let key), .read(let key, _, _): reads.insert(key)
        case .list(let folder), .listPage(let folder, _, _): lists.insert(folder)
        }
    }

    mutating func formUnion(_ other: Footprint) {
        puts.formUnion(other.puts)
        deletes.formUnion(other.deletes)
        reads.formUnion(other.reads)
        lists.formUnion(other.lists)
    }
}

/// All footprints that occur.
struct Footprints {
    typealias Number = Int32
    private struct Pair: Hashable {
        var first: Int32
        var second: Int32
    }

    private var all = ContiguousArray([Footprint()])
    private var numbers: [Footprint: Number] = [Footprint(): 0]
    private var unions: [Pair: Number] = [:]
    private var ofOperations: [StoreOperation: Number] = [:]

    var count: Int { all.count }

    /// The number of the empty footprint.
    static let none: Number = 0

    subscript(number: Number) -> Footprint {
        _read { yield all[Int(number)] }
    }

    mutating func number(of operation: StoreOperation) -> Number {
        if let number = ofOperations[operation] { return number }
        var footprint = Footprint()
        footprint.insert(operation)
        let number = number(of: footprint)
        ofOperations[operation] = number
        return number
    }

    private mutating func number(of footprint: Footprint) -> Number {
        if let number = numbers[footprint] { return number }
        let number = Number(all.count)
        all.append(footprint)
        numbers[footprint] = number
        return number
    }

    mutating func union(_ first: Number, _ second: Number) -> Number {
        if first == second || second == Self.none { return first }
        let pair = Pair(first: first, second: second)
        if let number = unions[pair] { return number }
        var footprint = self[first]
        footprint.formUnion(self[second])
        let number = number(of: footprint)
        unions[pair] = number
        return number
    }
}
