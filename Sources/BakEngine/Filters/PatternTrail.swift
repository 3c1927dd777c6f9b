// PatternTrail: which of an ordered list of patterns has the last word on a path, where a pattern that matches
// a folder speaks for all beneath it. Answers for the folders on the way to a path are kept, so that a sorted
// walk tries each pattern once for each entry.

import BakCore

/// The components of the path that a walk has come to.
struct PathCursor: Sendable {
    private(set) var components: [ArraySlice<UInt8>] = []
    /// How many bytes of the path each component ends after.
    private(set) var ends: [Int] = []
    private var folder: [UInt8] = []

    /// Moves to `path`. Returns how many leading components, the last one never among them, name the same
    /// folders as before.
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
        // Whole components only: each of them ends with a slash in both. What is given up is counted, not what is kept,
        // so that a step in a deep folder costs no more than one in any other.
        let kept = max(0, components.count - 1) - folder[common...].count { $0 == slash }
        components.removeLast(components.count - kept)
        ends.removeLast(ends.count - kept)
        // Folders have bytes of their own: a part of this path would keep all of it in memory.
        for part in path[((ends.last ?? -1) + 1)...].split(separator: slash) {
            components.append(part.endIndex == path.count ? part : ArraySlice(Array(part)))
            ends.append(part.endIndex)
        }
        folder = Array(path[..<nameStart])
        return kept
    }
}

/// An ordered list of patterns and the way to the path last asked about.
struct PatternTrail: Sendable {
    let patterns: [PathPattern]
    /// Which of them have had the last word on something.
    private var haveMatched: [Bool]
    private let foldsCase: Bool
    private var cursor = PathCursor()
    private var foldedCursor = PathCursor()
    /// For the folder of each depth on the way: the last pattern that matches it or a folder above it.
    private var levels: [Int?] = [nil]

    init(_ patterns: [PathPattern]) {
        self.patterns = patterns
        haveMatched = Array(repeating: false, count: patterns.count)
        foldsCase = patterns.contains(where: \.ignoresCase)
    }

    /// The patterns that have had the last word on nothing so far, each once.
    var unmatched: [PathPattern] {
        var known = Set(patterns.indices.filter { haveMatched[$0] }.map { patterns[$0] })
        return patterns.filter { known.insert($0).inserted }
    }

    /// The index of the last pattern that matches `path` or a folder above it below `top`, if any.
    ///
    /// - Parameter top: how many leading components are never matched by themselves. It must be the same for
    ///   all paths beneath one folder.
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

    /// The last match of the first `depth` components, given the answer for the folder above.
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

    /// Whether a pattern that is not negated could match something beneath the folder last asked about.
    func mayMatchBeneath() -> Bool {
        patterns.contains { pattern in
            !pattern.isNegated
                && pattern.mayMatchBeneath(
                    (pattern.ignoresCase ? foldedCursor.components : cursor.components)[...])
        }
    }
}
