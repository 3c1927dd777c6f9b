// HashSet64: which states a search has seen, by hashes of 64 bits.

/// A set of hashes; eight bytes for each and little more.
struct HashSet64 {
    private var slots = [UInt64](repeating: 0, count: 1 << 10)
    private(set) var count = 0

    /// Adds a hash; false when it was there.
    mutating func insert(_ hash: UInt64) -> Bool {
        // Zero stands for an empty slot.
        let value = max(hash, 1)
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
        slots = [UInt64](repeating: 0, count: old.count * 2)
        count = 0
        for value in old where value != 0 { _ = place(value) }
    }
}
