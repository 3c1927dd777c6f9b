// ContainerHints: runs the parsers over a file as it is read, and tracks the offset up to which all cuts are known.
//
// Always holds: hints follow from the content alone. `settled` never decreases. It stays behind the end of the bytes
// that have been read by at most `largestHold` or one window. The number of parser steps for each byte is bounded. Any
// irregularity silently ends the hints: the rest of the file is cut as if it had no structure.

struct ContainerHints {
    /// The longest window that a parser may request.
    static let largestWindow = 128 << 10
    /// The largest number of bytes that may be read beyond a place before the cutter must decide about that place.
    static let largestHold: UInt64 = 4 << 20
    /// The deepest nesting; containers below it are payload.
    private static let mostNested = 4
    private static let stepAllowance: UInt64 = 512
    private static let bytesPerStep: UInt64 = 2048

    private struct Level {
        var parser: any HintParser
        var request: HintRequest
        /// The latest possible end of the container.
        var end: UInt64
    }

    private var levels: [Level]
    private var steps: UInt64 = 0
    private(set) var list = HintList()
    /// All cuts before this offset are known. Nothing beyond it may be cut yet.
    private(set) var settled: UInt64 = 0

    init(_ kind: ContainerKind) {
        let parser = kind.parser(start: 0)
        levels = [Level(parser: parser, request: parser.first, end: HintWindow.largestOffset)]
    }

    mutating func removeNext() { list.removeNext() }

    /// Continues with the bytes that have been read.
    ///
    /// - Parameters:
    ///   - bytes: the part of the file that has been read, from `offset` on. `offset` is not beyond `settled`.
    ///   - isLast: true if the file ends with these bytes.
    mutating func advance(over bytes: UnsafeRawBufferPointer, from offset: UInt64, isLast: Bool) {
        let end = offset + UInt64(bytes.count)
        guard settled < end || isLast else { return }
        let file = HintWindow(bytes: bytes, offset: offset)
        while let level = levels.last {
            let isAhead = Self.start(level.request) >= list.floor
            guard isAhead, let window = Self.window(for: level, in: file, isLast: isLast) else {
                // The requested bytes are gone or will never come.
                if isLast || !isAhead || !isPossible(level) {
                    leave()
                    continue
                }
                settled = max(settled, min(max(Self.held(level.request, end), list.floor), end))
                return
            }
            guard step(at: window.offset, level.request) else { break }
            list.floor = max(list.floor, Self.held(level.request, end))
            advanceParser(window)
        }
        levels = []
        settled = .max
    }

    /// Passes the window to the innermost parser.
    private mutating func advanceParser(_ window: HintWindow) {
        let last = levels.count - 1
        let outerEnd = levels[last].end
        var nested: NestedContainer?
        let request = levels[last].parser.parse(window, &list, &nested)
        levels[last].request = request
        if case .done = request { leave() }
        guard let nested, levels.count < Self.mostNested else { return }
        // A parser that returns to bytes of the inner container would suggest cuts in a part that is already cut.
        precondition(Self.held(request, .max) >= nested.range.upperBound, "a parser reads a part twice")
        let parser = nested.kind.parser(start: nested.range.lowerBound)
        levels.append(
            Level(parser: parser, request: parser.first, end: min(nested.range.upperBound, outerEnd)))
    }

    /// Returns to the enclosing container.
    private mutating func leave() { levels.removeLast() }

    /// True if the request can still be met.
    private func isPossible(_ level: Level) -> Bool {
        switch level.request {
        case .window(let offset, let count, _):
            count > 0 && count <= Self.largestWindow && offset < level.end
                && UInt64(count) <= level.end - offset
        case .search(let offset, let least):
            least > 0 && least <= Self.largestWindow && offset < level.end
                && UInt64(least) <= level.end - offset
        case .tail(_, let count): count <= Self.largestWindow
        case .done: false
        }
    }

    /// Counts a step. Returns false after too many steps for a file of this size. Searches are not counted, because
    /// they are bounded already.
    private mutating func step(at offset: UInt64, _ request: HintRequest) -> Bool {
        if case .search = request { return true }
        steps += 1
        return steps <= Self.stepAllowance + offset / Self.bytesPerStep
    }

    /// Returns the offset at which the request starts. If it is below `list.floor`, the bytes may be gone.
    private static func start(_ request: HintRequest) -> UInt64 {
        switch request {
        case .window(let offset, _, _), .search(let offset, _): offset
        case .tail, .done: .max
        }
    }

    /// Returns the offset at which cutting must stop until the request is met, for a file that has been read up to
    /// `end`.
    private static func held(_ request: HintRequest, _ end: UInt64) -> UInt64 {
        switch request {
        case .window(let offset, _, let hold):
            offset - min(hold, offset) <= largestHold ? min(hold, offset) : offset
        case .search(let offset, _): offset
        case .tail(let offset, let count): max(offset, end - min(end, UInt64(count)))
        case .done: end
        }
    }

    /// Returns the requested window if all of it has been read.
    private static func window(for level: Level, in file: HintWindow, isLast: Bool) -> HintWindow? {
        switch level.request {
        case .window(let offset, let count, _):
            guard count > 0, count <= largestWindow, offset >= file.offset, offset < file.end,
                UInt64(count) <= min(file.end, level.end) - min(offset, level.end)
            else { return nil }
            return file.part(from: Int(offset - file.offset), count: count)
        case .search(let offset, let least):
            let end = min(file.end, level.end)
            guard offset >= file.offset, offset < end, end - offset >= UInt64(max(least, 1)) else {
                return nil
            }
            return file.part(from: Int(offset - file.offset), count: Int(end - offset))
        case .tail(let offset, let count):
            guard isLast, offset < file.end, count <= largestWindow else { return nil }
            let start = max(held(level.request, file.end), file.offset)
            return file.part(from: Int(start - file.offset), count: Int(file.end - start))
        case .done: return nil
        }
    }
}
