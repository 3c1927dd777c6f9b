// ReasonTally: counts messages about many items, by reason. A condition of the whole run, such as a medium that keeps
// no owners, gets one line with a count instead of a line for each item. Otherwise its many lines would bury rare
// messages.

import BakCore

/// Counts by reason. May be used from any thread.
final class ReasonTally: @unchecked Sendable {
    /// A reason and how often it was given.
    struct Line: Equatable {
        var reason: String
        var count: UInt64
        /// The number of items for which `add` returned false.
        var untold: UInt64
        /// The first item.
        var example: [UInt8]
    }

    /// The number of reasons that are counted separately. All later reasons are counted together as `otherReasons`.
    static let mostReasons = 200
    static let otherReasons = "other reasons"

    private let monitor = Monitor()
    private let toldEach: UInt64
    private var places: [String: Int] = [:]
    private var lines: [Line] = []

    /// Makes an empty tally. For the first `toldEach` items of each reason, `add` returns true.
    init(toldEach: UInt64) { self.toldEach = toldEach }

    /// Counts an item. Returns true if the caller should report this item by itself.
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

    /// The reasons for which `add` returned false, in the order in which they first occurred.
    var untold: [Line] { monitor.locked { lines.filter { $0.untold > 0 } } }
}
