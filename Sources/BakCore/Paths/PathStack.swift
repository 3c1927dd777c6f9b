// PathStack: the folders on the way to the path that a sorted walk has come to, with what is known of each.
//
// Always holds: each folder lies beneath the one before. There is one path, and where each folder ends in it: the paths
// of all of them would take memory that grows with the square of the depth.

/// Folders, each in the one before. For one thread.
public struct PathStack<Value> {
    /// The path of the deepest folder.
    public private(set) var path: [UInt8] = []
    private var levels: [(end: Int, value: Value)] = []

    /// Makes an empty stack.
    public init() {}

    /// True if there is no folder.
    public var isEmpty: Bool { levels.isEmpty }

    /// What is known of the deepest folder.
    public var last: Value? { levels.last?.value }

    /// True if `path` is the deepest folder or lies beneath it.
    public func holds(_ path: [UInt8]) -> Bool { !isEmpty && PathOrder.isAtOrBeneath(path, self.path) }

    /// True if `path` is one of the folders.
    public func contains(_ path: [UInt8]) -> Bool {
        var (low, high) = (0, levels.count)
        while low < high {
            let middle = (low + high) / 2
            if levels[middle].end < path.count { low = middle + 1 } else { high = middle }
        }
        return low < levels.count && levels[low].end == path.count
            && PathOrder.begins(self.path, with: path)
    }

    /// Goes down into a folder, which lies beneath the deepest.
    public mutating func push(_ path: [UInt8], _ value: Value) {
        precondition(isEmpty || path.count >= self.path.count)
        self.path = path
        levels.append((path.count, value))
    }

    /// Leaves the deepest folder, whose path `path` is until then.
    @discardableResult
    public mutating func pop() -> Value? {
        guard let last = levels.popLast() else { return nil }
        path.removeSubrange((levels.last?.end ?? 0)...)
        return last.value
    }

    /// Changes what is known of the deepest folder, in its place; nil if there is none. Throws what `body` throws.
    public mutating func update<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R? {
        isEmpty ? nil : try body(&levels[levels.count - 1].value)
    }
}
