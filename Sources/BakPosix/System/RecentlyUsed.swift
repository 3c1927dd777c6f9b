// RecentlyUsed: a small table that keeps the values used last. It has no lock; its owner needs one.

/// Keeps at most `capacity` values. A new value displaces the least recently used one. Every operation takes at worst
/// time linear in the capacity.
struct RecentlyUsed<Key: Hashable, Value> {
    private let capacity: Int
    private var entries: [Key: (value: Value, lastUse: UInt64)] = [:]
    private var clock: UInt64 = 0

    init(capacity: Int) { self.capacity = capacity }

    /// The value of a key. It becomes the one used last.
    subscript(key: Key) -> Value? {
        mutating get {
            guard let index = entries.index(forKey: key) else { return nil }
            clock += 1
            entries.values[index].lastUse = clock
            return entries.values[index].value
        }
    }

    /// Adds a value. Returns the value that it displaced, so that the caller can release it outside a lock.
    mutating func insert(_ key: Key, _ value: Value) -> Value? {
        clock += 1
        if let old = entries.updateValue((value, clock), forKey: key) { return old.value }
        guard entries.count > capacity else { return nil }
        let oldest = entries.min { $0.value.lastUse < $1.value.lastUse }!.key
        return entries.removeValue(forKey: oldest)?.value
    }

    /// Drops a value.
    mutating func remove(_ key: Key) { entries[key] = nil }
}
