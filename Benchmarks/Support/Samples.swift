// Samples: the results of repeated measurements, and the clock for taking them.

import Glibc

/// Repeated measurements. There must be at least one before any other member is used.
struct Samples: Sendable {
    var values: [Double] = []

    var median: Double {
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
    var minimum: Double { values.min()! }
    var maximum: Double { values.max()! }

    /// `median [minimum-maximum]`.
    func text(_ decimals: Int) -> String {
        guard values.count > 1 else { return fixed(median, decimals) }
        return "\(fixed(median, decimals)) [\(fixed(minimum, decimals))-\(fixed(maximum, decimals))]"
    }

    var json: JSONValue {
        [
            "median": .number(median), "minimum": .number(minimum), "maximum": .number(maximum),
            "values": .array(values.map(JSONValue.number)),
        ]
    }
}

/// A monotonic clock.
enum Stopwatch {
    /// Seconds since an arbitrary start.
    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Returns the seconds that `body` takes.
    static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let start = now()
        try body()
        return now() - start
    }

    /// Returns the seconds that each of `count` calls of `body` takes, after one call that does not count.
    static func samples(_ count: Int, _ body: () throws -> Void) rethrows -> Samples {
        try body()
        return Samples(values: try (0..<count).map { _ in try seconds(body) })
    }
}

/// Formats a number with a fixed number of decimals.
func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "-" }
    let scale = (0..<decimals).reduce(1) { power, _ in power * 10 }
    let units = Int((abs(value) * Double(scale)).rounded())
    let fraction = String(units % scale)
    let padding = String(repeating: "0", count: max(0, decimals - fraction.count))
    let sign = value < 0 && units > 0 ? "-" : ""
    return sign + String(units / scale) + (decimals == 0 ? "" : "." + padding + fraction)
}

/// Formats a number of any magnitude with about three significant digits.
func rounded(_ value: Double) -> String {
    switch abs(value) {
    case 100...: fixed(value, 0)
    case 10..<100: fixed(value, 1)
    case 1..<10: fixed(value, 2)
    case 0.01..<1: fixed(value, 3)
    default: fixed(value, 5)
    }
}
