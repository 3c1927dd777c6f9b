// ProgressLine: shows progress while work goes on. `ProgressLine` makes the text and the JSON object, without side
// effects. `ProgressReporter` decides when to show them.
//
// Always holds: the live line goes only to standard error, and only if standard error is a terminal. With --quiet
// nothing is shown.

import BakCore

/// How far the work has come.
struct Progress: Equatable, Sendable {
    /// Files done; nil if the work is not counted in files.
    var files: UInt64?
    /// Files found so far or in all; nil if that is not known.
    var totalFiles: UInt64?
    /// The current step; nil if the work has only one.
    var step: String?
    /// True if `bytes` and `totalBytes` count objects.
    var countsObjects = false
    /// Bytes done.
    var bytes: UInt64 = 0
    /// Bytes found so far or in all.
    var totalBytes: UInt64?
    /// True if the totals are final, so that the time left can be estimated.
    var totalsAreFinal = false
    /// Bytes that were new to the repository; nil if the work stores nothing.
    var newBytes: UInt64?
    /// Items that could not be read or written.
    var errors: UInt64 = 0
    /// The files that are being processed.
    var currentFiles: [[UInt8]] = []

    /// Returns the seconds left at the pace so far; nil if they cannot be estimated, as in the first second.
    func secondsRemaining(after elapsed: Double) -> Double? {
        guard totalsAreFinal, let totalBytes, bytes > 0, elapsed >= 1 else { return nil }
        guard totalBytes > bytes else { return 0 }
        return Double(totalBytes - bytes) * elapsed / Double(bytes)
    }
}

/// Makes the text and the JSON of progress.
enum ProgressLine {
    /// How much a part of the line matters. If there is no room for all parts, the part with the least weight is
    /// dropped first.
    private enum Weight: Int, CaseIterable {
        case file, new, rate, files, elapsed, amount, step, errors, percent, left
    }

    /// Returns one line of at most `width` columns. If it is too long, the least important parts are dropped. The time
    /// left is never dropped.
    static func text(_ progress: Progress, seconds: Double, width: Int, isASCII: Bool = false) -> String {
        var parts = parts(progress, seconds)
        if isASCII { for index in parts.indices { parts[index].text = Formatting.ascii(parts[index].text) } }
        let mark = TextWidth.mark(isASCII)
        let length = { (parts: [(weight: Weight, text: String)]) in
            parts.reduce(-2) { $0 + 2 + TextWidth.of($1.text) }
        }
        for weight in Weight.allCases where weight != .left && length(parts) > width {
            guard let index = parts.firstIndex(where: { $0.weight == weight }) else { continue }
            // A file's name or a step is still useful when it is cut.
            let room = width - length(parts) + TextWidth.of(parts[index].text)
            if weight == .file || weight == .step, room >= 8 {
                parts[index].text = TextWidth.cut(parts[index].text, to: room, mark: mark)
            } else if parts.count > 1 {
                parts.remove(at: index)
            }
        }
        return TextWidth.cut(parts.map(\.text).joined(separator: "  "), to: width, mark: mark)
    }

    /// Returns the parts of the line, in order.
    private static func parts(_ progress: Progress, _ seconds: Double) -> [(weight: Weight, text: String)] {
        var parts: [(weight: Weight, text: String)] = []
        if let step = progress.step { parts.append((.step, step)) }
        let amount = { progress.countsObjects ? Formatting.count($0) : Formatting.size($0) }
        if let total = progress.totalBytes, total > 0, progress.totalsAreFinal {
            parts.append((.percent, Formatting.percent(progress.bytes, of: total)))
            parts.append((.amount, "\(amount(progress.bytes)) of \(amount(total))"))
        } else {
            parts.append((.amount, amount(progress.bytes)))
        }
        if let files = progress.files { parts.append((.files, Formatting.count(files, "file", "files"))) }
        // The seconds count all steps together, so the rate of a single step is not known.
        let isWhole = progress.step == nil
        let rate = Formatting.rate(progress.bytes, seconds: seconds)
        if !rate.isEmpty, isWhole { parts.append((.rate, rate)) }
        if isWhole, let left = progress.secondsRemaining(after: seconds), left > 0 {
            parts.append((.left, "\(Formatting.duration(seconds: left)) left"))
        } else {
            parts.append((.elapsed, Formatting.duration(seconds: seconds)))
        }
        if let new = progress.newBytes { parts.append((.new, "\(Formatting.size(new)) new")) }
        if progress.errors > 0 {
            parts.append((.errors, Formatting.count(progress.errors, "error", "errors")))
        }
        if let file = progress.currentFiles.first { parts.append((.file, Formatting.name(file))) }
        return parts
    }

    /// Returns a `status` object with restic's field names.
    static func json(_ progress: Progress, seconds: Double) -> [UInt8] {
        Message.json(.status) { json in
            json.member("seconds_elapsed", UInt64(max(0, seconds)))
            if let step = progress.step { json.member("step", step) }
            if progress.step == nil, let left = progress.secondsRemaining(after: seconds), left < 0x1p63 {
                json.member("seconds_remaining", UInt64(left))
            }
            let total = progress.totalBytes ?? 0
            json.member("percent_done", total > 0 ? min(1, Double(progress.bytes) / Double(total)) : 0)
            if let files = progress.totalFiles { json.member("total_files", files) }
            if let files = progress.files { json.member("files_done", files) }
            let unit = progress.countsObjects ? "objects" : "bytes"
            if let all = progress.totalBytes { json.member("total_" + unit, all) }
            json.member(unit + "_done", progress.bytes)
            json.member("error_count", progress.errors)
            json.member("current_files", bytes: progress.currentFiles)
        }
    }
}

/// Shows progress on a terminal or as JSON. Every call may come from any thread.
final class ProgressReporter: @unchecked Sendable {
    /// The form in which progress is shown.
    enum Style: Equatable {
        case silent
        /// A live line on standard error.
        case line
        /// A `status` object a second on standard output.
        case json
    }

    private let style: Style
    private let terminal: any Console
    private let clock: any TimeSource
    private let interval: UInt64
    private let start: UInt64
    private let monitor = Monitor()
    private var nextAt: UInt64
    private var isDrawn = false

    /// Starts the clock.
    init(style: Style, terminal: any Console, clock: any TimeSource, fps: Double) {
        self.style = style
        self.terminal = terminal
        self.clock = clock
        interval = style == .json ? 1_000_000_000 : UInt64(1e9 / fps)
        start = clock.monotonicNanoseconds()
        nextAt = style == .json ? start + interval : start
    }

    /// True if anything is ever shown.
    var isShown: Bool { style != .silent }

    /// True if `finish` has been called.
    var isFinished: Bool { monitor.locked { nextAt == .max } }

    /// Seconds since the start.
    var secondsElapsed: Double { Double(clock.monotonicNanoseconds() - start) / 1e9 }

    /// Shows progress if enough time has passed since the last update. Calls `progress` only in this case.
    func update(_ progress: () -> Progress) {
        guard style != .silent else { return }
        monitor.locked {
            let now = clock.monotonicNanoseconds()
            guard now >= nextAt else { return }
            nextAt = now + interval
            let seconds = Double(now - start) / 1e9
            if style == .json {
                // A failure is ignored here, because the flush at the end of the command throws it again.
                try? terminal.writeOutput(ProgressLine.json(progress(), seconds: seconds))
                try? terminal.flushOutput()
            } else {
                // The last column stays free: some terminals break the line when it is filled.
                let line = ProgressLine.text(
                    progress(), seconds: seconds, width: terminal.width - 1, isASCII: terminal.isASCII)
                terminal.writeError(Array("\r\u{1b}[K\(line)".utf8))
                isDrawn = true
            }
        }
    }

    /// Removes the live line and runs `body`, which may print. The next update draws the line again.
    func whileCleared(_ body: () -> Void) {
        monitor.locked {
            clear()
            body()
            // Output may reach the same terminal through a pipe such as `| tee`, so it is flushed before the line is
            // drawn again.
            if style == .line { try? terminal.flushOutput() }
        }
    }

    /// Removes the live line for good.
    func finish() {
        monitor.locked {
            clear()
            nextAt = .max
        }
    }

    private func clear() {
        guard isDrawn else { return }
        terminal.writeError(Array("\r\u{1b}[K".utf8))
        isDrawn = false
        nextAt = 0
    }
}
