// HashTables: a set of hashes, for the states that a search has visited, and a table of values for pairs of numbers.
// Both are plain arrays with open addressing, because the search looks up every move in them.

/// A set of 64-bit hashes. It needs little more than eight bytes for each hash.
struct HashSet64 {
    /// The set is divided into parts. Only one part grows at a time, so that the set never needs twice its memory.
    private var parts = [Part](repeating: Part(), count: 1 << Self.partBits)
    private static let partBits: UInt64 = 6

    private struct Part {
        var slots = ContiguousArray<UInt64>(repeating: 0, count: 1 << 8)
        var count = 0

        mutating func insert(_ value: UInt64) -> Bool {
            if count * 10 > slots.count * 7 { grow() }
            return place(value)
        }

        private mutating func place(_ value: UInt64) -> Bool {
            let mask = slots.count - 1
            var slot = Int(truncatingIfNeeded: value) & mask
            while slots[slot] != 0 {
                if slots[slot] == value { return false }
                slot = (slot + 1) & mask
            }
            slots[slot] = value
            count += 1
            return true
        }

        private mutating func grow() {
            let old = slots
            slots = ContiguousArray(repeating: 0, count: old.count * 2)
            count = 0
            for value in old where value != 0 { _ = place(value) }
        }
    }

    /// Adds a hash. Returns false if it was there.
    mutating func insert(_ hash: UInt64) -> Bool {
        // Zero marks an empty slot, so the hash 0 is stored as 1.
        let value = max(hash, 1)
        return parts[Int(value >> (64 - Self.partBits))].insert(value)
    }
}

/// A table of values with a pair of numbers as the key. The pair (-1, -1) is not allowed.
struct PairTable<Value> {
    private var keys = ContiguousArray<UInt64>(repeating: Self.empty, count: 1 << 10)
    private var values: ContiguousArray<Value>
    private let filler: Value
    private var count = 0
    private static var empty: UInt64 { .max }

    /// Makes an empty table. `filler` fills the slots that have no value.
    init(filler: Value) {
        self.filler = filler
        values = ContiguousArray(repeating: filler, count: 1 << 10)
    }

    private static func key(_ first: Int32, _ second: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: first)) << 32 | UInt64(UInt32(bitPattern: second))
    }

    /// Returns the slot where a key is or would be.
    private func slot(_ key: UInt64) -> Int {
        let mask = keys.count - 1
        var slot = Int(truncatingIfNeeded: Universe.mix(key, 0)) & mask
        while keys[slot] != key, keys[slot] != Self.empty { slot = (slot + 1) & mask }
        return slot
    }

    subscript(first: Int32, second: Int32) -> Value? {
        get {
            let key = Self.key(first, second)
            let slot = slot(key)
            return keys[slot] == key ? values[slot] : nil
        }
    }

    /// Adds a value for a pair that has none.
    mutating func insert(_ first: Int32, _ second: Int32, _ value: Value) {
        if count * 10 > keys.count * 6 { grow() }
        put(Self.key(first, second), value)
    }

    private mutating func put(_ key: UInt64, _ value: Value) {
        let slot = slot(key)
        (keys[slot], values[slot]) = (key, value)
        count += 1
    }

    private mutating func grow() {
        let (oldKeys, oldValues) = (keys, values)
        keys = ContiguousArray(repeating: Self.empty, count: oldKeys.count * 2)
        values = ContiguousArray(repeating: filler, count: oldKeys.count * 2)
        count = 0
        for (key, value) in zip(oldKeys, oldValues) where key != Self.empty { put(key, value) }
    }
}
