// BarChart: draws ratios as SVG, as horizontal bars in groups on a logarithmic axis. Bars begin at 1. A bar to the left
// means that the contender is faster than the yardstick. A bar to the right means that it is slower.

import Glibc

/// A chart.
struct BarChart: Sendable {
    /// A group of bars, one for each series that has a value.
    struct Group: Sendable {
        var label: String
        var values: [Double?]
        /// The goal, drawn as a mark across the group.
        var goal: Double?
    }

    var title: String
    var series: [String]
    var groups: [Group] = []

    private static let colours = ["#0b6e4f", "#d17a22", "#7a5195", "#5b8db8"]
    private static let left = 220.0
    private static let plotWidth = 660.0
    private static let right = 90.0
    private static let top = 74.0
    private static let barHeight = 14.0
    private static let groupGap = 12.0
    private static let font = "font-family=\"DejaVu Sans, sans-serif\""

    /// The powers of ten between which all values and the yardstick's 1 lie.
    private var axis: ClosedRange<Int> {
        let values = groups.flatMap { $0.values.compactMap { $0 } + [$0.goal].compactMap { $0 } }
            .filter { $0 > 0 }
        let low = min(values.min().map { Int(log10($0).rounded(.down)) } ?? -1, -1)
        let high = max(values.max().map { Int(log10($0).rounded(.up)) } ?? 1, 1)
        return low...high
    }

    private func place(_ value: Double, _ axis: ClosedRange<Int>) -> Double {
        let part = (log10(value) - Double(axis.lowerBound)) / Double(axis.upperBound - axis.lowerBound)
        return Self.left + Self.plotWidth * min(max(part, 0), 1)
    }

    /// The chart as an SVG document.
    var svg: String {
        let axis = axis
        var body: [String] = []
        var y = Self.top
        for group in groups {
            let height = Self.barHeight * Double(group.values.count { $0 != nil })
            body.append(
                Self.text(group.label, x: Self.left - 10, y: y + height / 2 + 4, anchor: "end", size: 12))
            var barY = y
            var labels: [String] = []
            for (index, value) in group.values.enumerated() {
                guard let value, value > 0 else { continue }
                body.append(bar(value, colour: Self.colours[index % Self.colours.count], y: barY, axis))
                labels.append(label(value, y: barY, axis))
                barY += Self.barHeight
            }
            if let goal = group.goal {
                let x = fixed(place(goal, axis), 1)
                body.append(
                    "<path d=\"M\(x) \(fixed(y - 3, 1))V\(fixed(y + height + 3, 1))\" stroke=\"#c1121f\" "
                        + "stroke-width=\"2\" stroke-dasharray=\"4 2\"/>")
            }
            body += labels
            y += height + Self.groupGap
        }
        let width = Self.left + Self.plotWidth + Self.right
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(fixed(width, 0))" height="\(fixed(y + 34, 0))">
            <rect width="100%" height="100%" fill="#ffffff"/>
            \(Self.text(title, x: 16, y: 24, anchor: "start", size: 15))
            \((legend + grid(axis, bottom: y) + body).joined(separator: "\n"))
            </svg>

            """
    }

    private func bar(_ value: Double, colour: String, y: Double, _ axis: ClosedRange<Int>) -> String {
        let (one, end) = (place(1, axis), place(value, axis))
        return
            "<rect x=\"\(fixed(min(one, end), 1))\" y=\"\(fixed(y, 1))\" width=\"\(fixed(max(abs(end - one), 1), 1))\" "
            + "height=\"\(fixed(Self.barHeight - 2, 1))\" fill=\"\(colour)\"/>"
    }

    /// Makes the number at the bar's far end.
    private func label(_ value: Double, y: Double, _ axis: ClosedRange<Int>) -> String {
        let isLeft = value < 1
        return Self.text(
            rounded(value), x: place(value, axis) + (isLeft ? -4 : 4), y: y + 10,
            anchor: isLeft ? "end" : "start", size: 10)
    }

    private var legend: [String] {
        var items: [String] = []
        var x = Self.left
        for (index, name) in series.enumerated() {
            let colour = Self.colours[index % Self.colours.count]
            items.append(
                "<rect x=\"\(fixed(x, 0))\" y=\"38\" width=\"12\" height=\"12\" fill=\"\(colour)\"/>")
            items.append(Self.text(name, x: x + 17, y: 49, anchor: "start", size: 12))
            x += 100
        }
        guard groups.contains(where: { $0.goal != nil }) else { return items }
        items.append(
            "<path d=\"M\(fixed(x + 6, 0)) 37V51\" stroke=\"#c1121f\" stroke-width=\"2\" stroke-dasharray=\"4 2\"/>"
        )
        items.append(Self.text("goal", x: x + 17, y: 49, anchor: "start", size: 12))
        return items
    }

    private func grid(_ axis: ClosedRange<Int>, bottom: Double) -> [String] {
        axis.flatMap { power -> [String] in
            let x = fixed(place(pow(10, Double(power)), axis), 1)
            let stroke = power == 0 ? "stroke=\"#333333\" stroke-width=\"1.5\"" : "stroke=\"#dddddd\""
            let label = power < 0 ? fixed(pow(10, Double(power)), -power) : fixed(pow(10, Double(power)), 0)
            return [
                "<path d=\"M\(x) \(fixed(Self.top - 8, 1))V\(fixed(bottom, 1))\" \(stroke)/>",
                Self.text(
                    label + " x", x: place(pow(10, Double(power)), axis), y: bottom + 18, anchor: "middle",
                    size: 11),
            ]
        }
    }

    private static func text(_ text: String, x: Double, y: Double, anchor: String, size: Int) -> String {
        let safe = text.map { ["&": "&amp;", "<": "&lt;", ">": "&gt;"][$0] ?? String($0) }.joined()
        return
            "<text x=\"\(fixed(x, 1))\" y=\"\(fixed(y, 1))\" font-size=\"\(size)\" text-anchor=\"\(anchor)\" "
            // The white outline keeps a number readable across a line.
            + "\(font) fill=\"#222222\" stroke=\"#ffffff\" stroke-width=\"2.5\" paint-order=\"stroke\">\(safe)</text>"
    }
}

extension BarChart {
    /// Writes `<path>.svg`, and `<path>.png` if rsvg-convert is on PATH.
    func write(_ path: String) throws {
        try Files.write(path + ".svg", Array(svg.utf8))
        let log = path + ".log"
        let convert = Command("rsvg-convert", "--zoom", "1.5", "-o", path + ".png", path + ".svg")
        if (try? convert.run(log: log)) == nil {
            Benchmark.complain("no \(path).png: rsvg-convert (package librsvg2-bin) did not make it")
        }
        try Files.remove(log)
    }
}
