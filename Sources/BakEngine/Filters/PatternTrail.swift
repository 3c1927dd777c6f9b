// PatternTrail: finds the last pattern of an ordered list that applies to a path. A pattern that matches a folder
// applies to everything beneath it. The results for the folders above a path are kept, so that a sorted walk tries each
// pattern once per entry.

import BakCore

/// The components of the walk's current path.
struct PathCursor: Sendable {
    private(set) var components: [ArraySlice<UInt8>] = []
    /// For each component, the offset in the path at which it ends.
    private(set) var ends: [Int] = []
    private var folder: [UInt8] = []

    /// Moves to `path`. Returns how many leading components name the same folders as those of the previous path. The
    /// last component never counts.
    mutating func move(to path: [UInt8]) -> Int {
        let slash = UInt8(ascii: "/")
        let nameStart = (path.lastIndex(of: slash) ?? -1) + 1
        let common = min(PathOrder.sharedBytes(folder, path), nameStart)
        let isSameFolder = common == folder.count && common == nameStart
        if isSameFolder, !components.isEmpty, nameStart < path.count {
            components[components.count - 1] = path[nameStart...]
            ends[ends.count - 1] = path.count
            return components.count - 1
        }
        // Keep only components that end with a slash in both paths. Count the dropped components, not the kept ones, so
        // that a step in a deep folder costs no more than in a shallow one.
        let kept = max(0, components.count - 1) - folder[common...].count { $0 == slash }
        components.removeLast(components.count - kept)
        ends.removeLast(ends.count - kept)
        // Copy the bytes of folders: a slice would keep the whole path in memory.
        for part in path[((ends.last ?? -1) + 1)...].split(separator: slash) {
            components.append(part.endIndex == path.count ? part : ArraySlice(Array(part)))
            ends.append(part.endIndex)
        }
        folder = Array(path[..<nameStart])
        return kept
    }
}

/// An ordered list of patterns, and its results for the last path.
struct PatternTrail: Sendable {
    let patterns: [PathPattern]
    /// For each pattern: true if the pattern has decided about an entry.
    private var haveMatched: [Bool]
    private let foldsCase: Bool
    private var cursor = PathCursor()
    private var foldedCursor = PathCursor()
    /// For the folder at each depth: the last pattern that matches it or a folder above it.
    private var levels: [Int?] = [nil]

    init(_ patterns: [PathPattern]) {
        self.patterns = patterns
        haveMatched = Array(repeating: false, count: patterns.count)
        foldsCase = patterns.contains(where: \.ignoresCase)
    }

    /// The patterns that have decided about no entry so far, each once.
    var unmatched: [PathPattern] {
        var known = Set(patterns.indices.filter { haveMatched[$0] }.map { patterns[$0] })
        return patterns.filter { known.insert($0).inserted }
    }

    /// Returns the index of the last pattern that matches `path` or a folder above it that is deeper than `top`; nil if
    /// none does.
    ///
    /// - Parameter top: patterns are matched only against the entry and the folders above it whose paths have more than
    ///   this many components. The number must be the same for all paths beneath one folder.
    mutating func lastMatch(_ path: [UInt8], isFolder: Bool, below top: Int = 0) -> Int? {
        guard !patterns.isEmpty else { return nil }
        var shared = cursor.move(to: path)
        if foldsCase { shared = min(shared, foldedCursor.move(to: CaseFolding.fold(path))) }
        levels.removeLast(max(0, levels.count - (shared + 1)))
        let depth = cursor.components.count
        guard depth > top else { return nil }
        while levels.count < depth {
            levels.append(levels.count <= top ? nil : lastMatch(depth: levels.count, isFolder: true))
        }
        return lastMatch(depth: depth, isFolder: isFolder)
    }

    /// Returns the last match for the first `depth` components, given the result for the folder above.
    private mutating func lastMatch(depth: Int, isFolder: Bool) -> Int? {
        let inherited = levels[depth - 1]
        var index = patterns.count - 1
        while index > inherited ?? -1 {
            let pattern = patterns[index]
            let components = pattern.ignoresCase ? foldedCursor.components : cursor.components
            if pattern.matches(components[..<depth], isFolder: isFolder) {
                haveMatched[index] = true
                return index
            }
            index -= 1
        }
        return inherited
    }

    /// True if a pattern that is not negated might match an entry beneath the folder that was last passed to
    /// `lastMatch`.
    func mayMatchBeneath() -> Bool {
        patterns.contains { pattern in
            !pattern.isNegated
                && pattern.mayMatchBeneath(
                    (pattern.ignoresCase ? foldedCursor.components : cursor.components)[...])
        }
    }
}
