// PathStack: the folders above the current position of a sorted walk, each with a value.
//
// Always holds: each folder lies beneath the one before. The stack stores one path and the end of each folder in it,
// because separate paths would take memory that grows with the square of the depth.

/// A stack of nested folders. Only one thread may use it.
public struct PathStack<Value> {
    /// The path of the deepest folder.
    public private(set) var path: [UInt8] = []
    private var levels: [(end: Int, value: Value)] = []

    /// Makes an empty stack.
    public init() {}

    /// True if the stack has no folder.
    public var isEmpty: Bool { levels.isEmpty }

    /// The value of the deepest folder.
    public var last: Value? { levels.last?.value }

    /// True if `path` is the deepest folder or lies beneath it.
    public func holds(_ path: [UInt8]) -> Bool { !isEmpty && PathOrder.isAtOrBeneath(path, self.path) }

    /// True if `path` is one of the folders on the stack.
    public func contains(_ path: [UInt8]) -> Bool {
        var (low, high) = (0, levels.count)
        while low < high {
            let middle = (low + high) / 2
            if levels[middle].end < path.count { low = middle + 1 } else { high = middle }
        }
        return low < levels.count && levels[low].end == path.count
            && PathOrder.begins(self.path, with: path)
    }

    /// Pushes a folder, which must lie beneath the deepest one.
    public mutating func push(_ path: [UInt8], _ value: Value) {
        precondition(isEmpty || path.count >= self.path.count)
        self.path = path
        levels.append((path.count, value))
    }

    /// Pops the deepest folder. `path` then names the one above it. Returns nil if there is none.
    @discardableResult
    public mutating func pop() -> Value? {
        guard let last = levels.popLast() else { return nil }
        path.removeSubrange((levels.last?.end ?? 0)...)
        return last.value
    }

    /// Changes the value of the deepest folder in place. Returns nil if there is none. Throws what `body` throws.
    public mutating func update<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R? {
        isEmpty ? nil : try body(&levels[levels.count - 1].value)
    }
}
