// Measurement: seconds, speeds of several rounds, and how they are printed.

import Glibc

/// The seconds of a clock that never goes back.
func secondsNow() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// The speeds that several rounds gave, in gigabytes (10^9 bytes) a second.
struct Speeds {
    private var sorted: [Double] = []

    /// The middle one; the lower of two.
    var median: Double { sorted[(sorted.count - 1) / 2] }
    var least: Double { sorted.first! }
    var most: Double { sorted.last! }
    var count: Int { sorted.count }

    /// Measures one round of `work` on `byteCount` bytes.
    mutating func measure<Result>(_ byteCount: Int, _ work: () -> Result) -> Result {
        let start = secondsNow()
        let result = work()
        let speed = Double(byteCount) / (secondsNow() - start) / 1e9
        sorted.insert(speed, at: sorted.firstIndex { $0 >= speed } ?? sorted.endIndex)
        return result
    }

    /// "25.1 (24.0-26.3)": the median and the spread.
    var text: String { "\(fixed(median, 1)) (\(fixed(least, 1))-\(fixed(most, 1)))" }
    var json: String {
        #"{"median":\#(fixed(median, 3)),"min":\#(fixed(least, 3)),"max":\#(fixed(most, 3))}"#
    }
}

/// A number with so many decimals.
func fixed(_ value: Double, _ decimals: Int) -> String {
    let scale = decimals == 0 ? 1 : (0..<decimals).reduce(1) { power, _ in power * 10 }
    let units = Int((abs(value) * Double(scale)).rounded())
    let fraction = String(units % scale)
    let padding = String(repeating: "0", count: max(0, decimals - fraction.count))
    let sign = value < 0 && units > 0 ? "-" : ""
    return sign + String(units / scale) + (decimals == 0 ? "" : "." + padding + fraction)
}
