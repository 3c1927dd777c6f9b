// ZIPParser: ZIP (APPNOTE 6.3). Members come one after the other, each with a local header of 30 bytes, its name, its
// extra field and its data. The central directory follows. If a member's header lacks the length, the rest of the
// archive gets no hints. A member that is stored uncompressed may be a container itself, and is cut like the same file
// outside the archive.

struct ZIPParser: HintParser {
    private enum State { case header, extra, content }

    private static let headerBytes = 30
    /// A smaller member gets no chunk of its own.
    private static let leastMemberBytes: UInt64 = UInt64(ContentCutter.leastContainerBytes)

    private var state = State.header
    private var position: UInt64
    private var isStored = false
    private var content: Range<UInt64>

    init(start: UInt64) {
        position = start
        content = start..<start
    }

    var first: HintRequest { .at(position, Self.headerBytes) }

    mutating func parse(
        _ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?
    ) -> HintRequest {
        switch state {
        case .header: return parseHeader(window, &hints)
        case .extra:
            guard let byteCount = Self.longLength(window) else { return .done }
            return member(content.lowerBound..<content.lowerBound + byteCount, &hints)
        case .content:
            if isStored, let kind = ContentClass.sniff(firstBytes: window.bytes).container, kind != .zip {
                nested = NestedContainer(kind: kind, range: content)
            }
            return next(at: content.upperBound)
        }
    }

    private mutating func next(at offset: UInt64) -> HintRequest {
        state = .header
        position = offset
        return .at(offset, Self.headerBytes)
    }

    private mutating func parseHeader(_ window: HintWindow, _ hints: inout HintList) -> HintRequest {
        guard window.has("PK\u{3}\u{4}", at: 0), let flags = window.u16(6, isLittle: true), flags & 8 == 0,
            let method = window.u16(8, isLittle: true), let byteCount = window.u32(18, isLittle: true),
            let nameBytes = window.u16(26, isLittle: true), let extraBytes = window.u16(28, isLittle: true)
        else {
            hints.cutIfFar(at: position, .metadata)
            return .done
        }
        isStored = method == 0
        let start = window.end + UInt64(nameBytes) + UInt64(extraBytes)
        guard byteCount == UInt64(UInt32.max) else { return member(start..<start + byteCount, &hints) }
        guard extraBytes >= 20 else { return .done }
        state = .extra
        content = start..<start
        return .at(window.end + UInt64(nameBytes), extraBytes)
    }

    private mutating func member(_ range: Range<UInt64>, _ hints: inout HintList) -> HintRequest {
        guard range.upperBound - range.lowerBound >= Self.leastMemberBytes else {
            return next(at: range.upperBound)
        }
        content = range
        hints.cut(at: range.lowerBound, isStored ? .metadata : .payload)
        hints.cut(at: range.upperBound, .metadata)
        state = .content
        return .at(range.lowerBound, ContentClass.sniffByteCount)
    }

    /// Returns the member's length from the ZIP64 extra field.
    private static func longLength(_ extra: HintWindow) -> UInt64? {
        var place = 0
        while let kind = extra.u16(place, isLittle: true), let count = extra.u16(place + 2, isLittle: true) {
            if kind == 1, count >= 16 { return extra.u64(place + 12, isLittle: true) }
            place += 4 + count
        }
        return nil
    }
}
