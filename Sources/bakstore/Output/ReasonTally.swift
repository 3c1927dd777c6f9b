// ReasonTally: counts messages about many items, by reason. A condition of the whole run, such as a medium that keeps
// no owners, gets one line with a count instead of a line for each item. Otherwise it would bury rare messages.

import BakCore

/// Counts by reason. May be used from any thread.
final class ReasonTally: @unchecked Sendable {
    /// A reason and how often it was given.
    struct Line: Equatable {
        var reason: String
        var count: UInt64
        /// How many items `add` returned false for.
        var untold: UInt64
        /// The first item.
        var example: [UInt8]
    }

    /// How many reasons are counted separately. All later reasons count as one.
    static let mostReasons = 200
    static let otherReasons = "other reasons"

    private let monitor = Monitor()
    private let toldEach: UInt64
    private var places: [String: Int] = [:]
    private var lines: [Line] = []

    /// Makes an empty tally. The first `toldEach` items of each reason are to be reported by themselves.
    init(toldEach: UInt64) { self.toldEach = toldEach }

    /// Counts an item. Returns true if it is to be reported by itself.
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

    /// The reasons with items that were not reported by themselves, in the order in which they came up.
    var untold: [Line] { monitor.locked { lines.filter { $0.untold > 0 } } }
}
