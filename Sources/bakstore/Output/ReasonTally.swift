// ReasonTally: what is told of many items, by its reason. A condition of the whole run (a medium that keeps no owners,
// a folder of which nothing may be read) is told in a line with a count, instead of once for each item, so that what
// happened once is seen.

import BakCore

/// Counts by reason. May be used from any thread.
final class ReasonTally: @unchecked Sendable {
    /// A reason and how often it was given.
    struct Line: Equatable {
        var reason: String
        var count: UInt64
        /// How many of them `add` has answered false for.
        var untold: UInt64
        /// The first item.
        var example: [UInt8]
    }

    /// So many reasons are told apart; what comes after them counts as one.
    static let mostReasons = 200
    static let otherReasons = "other reasons"

    private let monitor = Monitor()
    private let toldEach: UInt64
    private var places: [String: Int] = [:]
    private var lines: [Line] = []

    /// Counts; the first `toldEach` items of each reason are to be told by themselves.
    init(toldEach: UInt64) { self.toldEach = toldEach }

    /// Counts an item. True if it is to be told by itself.
    func add(_ reason: String, _ item: [UInt8]) -> Bool {
        monitor.locked {
            let key = places[reason] != nil || lines.count < Self.mostReasons ? reason : Self.otherReasons
            let place = places[key] ?? lines.count
            if place == lines.count {
                places[key] = place
                lines.append(Line(reason: key, count: 0, untold: 0, example: item))
            }
            lines[place].count += 1
            if lines[place].count <= toldEach { return true }
            lines[place].untold += 1
            return false
        }
    }

    /// The reasons of which not every item was told by itself, in the order in which they came up.
    var untold: [Line] { monitor.locked { lines.filter { $0.untold > 0 } } }
}
