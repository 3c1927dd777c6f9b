// Suggestion: guesses what the user meant by an unknown word.

enum Suggestion {
    /// A question for the end of a message that offers the given paths; nil if there are none.
    ///
    /// - Parameter show: converts a path to the form in which the message shows it.
    static func question(_ paths: [[UInt8]], as show: (String) -> String = { $0 }) -> String? {
        paths.isEmpty
            ? nil : ". Did you mean \(paths.map { show(Formatting.name($0.absolute)) }.joinedAsChoice)?"
    }

    /// The candidate nearest to `word`; nil if none is near enough for a typing mistake.
    static func nearest(to word: String, among candidates: [String]) -> String? {
        let limit = max(1, word.count / 3)
        let rated = candidates.map { (candidate: $0, distance: distance(word, $0)) }
        if let best = rated.min(by: { $0.distance < $1.distance }), best.distance <= limit {
            return best.candidate
        }
        // An unfinished word also counts, if it is the start of exactly one candidate.
        let continued = candidates.filter { word.count >= 3 && $0.hasPrefix(word) }
        return continued.count == 1 ? continued[0] : nil
    }

    /// The number of edits between two words: insertions, deletions, replacements and swaps of neighbours (optimal
    /// string alignment distance).
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
