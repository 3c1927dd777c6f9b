// Suggestion: what a person may have meant by a word that is not known.

enum Suggestion {
    /// A question, at the end of a line, for the paths that may have been meant; nil where there are none.
    ///
    /// - Parameter show: what is made of a path as it is printed.
    static func question(_ paths: [[UInt8]], as show: (String) -> String = { $0 }) -> String? {
        paths.isEmpty
            ? nil : ". Did you mean \(paths.map { show(Formatting.name($0.absolute)) }.joinedAsChoice)?"
    }

    /// The candidate nearest to `word`, if one is near enough to be a slip of the finger.
    static func nearest(to word: String, among candidates: [String]) -> String? {
        let limit = max(1, word.count / 3)
        let rated = candidates.map { (candidate: $0, distance: distance(word, $0)) }
        if let best = rated.min(by: { $0.distance < $1.distance }), best.distance <= limit {
            return best.candidate
        }
        // An unfinished word: the start of exactly one candidate.
        let continued = candidates.filter { word.count >= 3 && $0.hasPrefix(word) }
        return continued.count == 1 ? continued[0] : nil
    }

    /// The edits between two words: insert, delete, replace, swap neighbours (optimal string alignment).
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.utf8.prefix(64))
        let right = Array(right.utf8.prefix(64))
        var beforePrevious: [Int] = []
        var previous = Array(0...right.count)
        for (row, leftByte) in left.enumerated() {
            var current = [row + 1]
            for (column, rightByte) in right.enumerated() {
                var best = min(
                    current[column] + 1, previous[column + 1] + 1,
                    previous[column] + (leftByte == rightByte ? 0 : 1))
                if row > 0, column > 0, leftByte == right[column - 1], left[row - 1] == rightByte {
                    best = min(best, beforePrevious[column - 1] + 1)
                }
                current.append(best)
            }
            beforePrevious = previous
            previous = current
        }
        return previous[right.count]
    }
}
