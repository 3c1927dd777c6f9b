// BoxParser: ISO base media boxes (ISO/IEC 14496-12) and QuickTime atoms. A box begins with a length of four bytes and
// a type of four. Length 1 means that a length of eight bytes follows; length 0 means that the box ends with the file.
// `mdat` and similar boxes are payload; all other boxes are metadata.
//
// In a HEIC or AVIF (ISO/IEC 23008-12) EXIF and XMP are items inside `mdat`, and `meta` lists their places. If `meta`
// comes after `mdat`, the parser holds the cutter at the start of `mdat` until it has seen `meta`.

struct BoxParser: HintParser {
    private enum State { case header, metaContent }

    private static let headerBytes = 16
    /// A table of at least this size gets hints of its own, because a program that rewrites the container changes some
    /// tables and not others.
    private static let leastTableBytes: UInt64 = 4096
    private static let mostLevels = 8

    private var state = State.header
    private var position: UInt64
    /// The ends of the boxes that contain `position`.
    private var ends: [UInt64] = []
    /// True if the file's brand says that items lie in `mdat`.
    private var hasItems = false
    private var hasSeenMeta = false
    /// The start of the payload whose items are still unknown.
    private var held: UInt64?

    init(start: UInt64) { position = start }

    var first: HintRequest { .at(position, Self.headerBytes) }

    mutating func parse(
        _ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?
    ) -> HintRequest {
        switch state {
        case .header: return parseHeader(window, &hints)
        case .metaContent:
            state = .header
            for range in ItemLocations.metadataRanges(in: window) { setItemApart(range, &hints) }
            held = nil
            return next(at: window.end)
        }
    }

    /// Gives an EXIF or XMP item chunks of its own, because the item may change while the bytes around it stay the
    /// same.
    private func setItemApart(_ range: Range<UInt64>, _ hints: inout HintList) {
        hints.cut(at: range.lowerBound, .metadata)
        hints.cut(at: range.upperBound, .payload)
    }

    private mutating func next(at offset: UInt64) -> HintRequest {
        position = offset
        while let end = ends.last, offset >= end { ends.removeLast() }
        return .window(offset: offset, count: Self.headerBytes, hold: held ?? offset)
    }

    private mutating func parseHeader(_ window: HintWindow, _ hints: inout HintList) -> HintRequest {
        guard let box = Box(window), box.end <= ends.last ?? .max else {
            // The length is too large, or this is not a box. Some makers put other content into boxes that usually
            // contain boxes.
            if let end = ends.last { return next(at: end) }
            hints.cutIfFar(at: position, .payload)
            return .done
        }
        switch box.kind {
        case .payload:
            hints.cut(at: box.content, .payload)
            if box.end < HintWindow.largestOffset { hints.cut(at: box.end, .metadata) }
            if hasItems, !hasSeenMeta { held = box.content }
            return next(at: box.end)
        case .container where ends.count < Self.mostLevels:
            if ends.isEmpty { hints.cutIfFar(at: position, .metadata) }
            ends.append(box.end)
            return next(at: box.content)
        case .items where ends.isEmpty && box.end - position <= UInt64(ContainerHints.largestWindow):
            hints.cutIfFar(at: position, .metadata)
            hasSeenMeta = true
            state = .metaContent
            return .window(offset: position, count: Int(box.end - position), hold: held ?? position)
        case .brand:
            hasItems =
                window.has("hei", at: 8) || window.has("avi", at: 8) || window.has("mif", at: 8)
                || window.has("hev", at: 8) || window.has("msf", at: 8)
            return next(at: box.end)
        default:
            if box.end - position >= Self.leastTableBytes {
                hints.cutIfFar(at: position, .metadata)
                if box.end < HintWindow.largestOffset { hints.cut(at: box.end, .metadata) }
            } else if ends.isEmpty {
                hints.cutIfFar(at: position, .metadata)
            }
            return next(at: box.end)
        }
    }
}

/// The header of a box.
private struct Box {
    enum Kind { case payload, container, items, brand, other }

    /// The start of the content, after the header.
    var content: UInt64
    var end: UInt64
    var kind: Kind

    init?(_ window: HintWindow) {
        guard let short = window.u32(0), let long = window.u64(8) ?? (short == 1 ? nil : 0),
            (4..<8).allSatisfy({ window.byte($0)! >= 0x20 })
        else { return nil }
        let headerBytes: UInt64 = short == 1 ? 16 : 8
        let byteCount = short == 1 ? long : short == 0 ? HintWindow.largestOffset - window.offset : short
        guard byteCount >= headerBytes, byteCount <= HintWindow.largestOffset - window.offset else {
            return nil
        }
        content = window.offset + headerBytes
        end = window.offset + byteCount
        kind = Self.kind(of: window)
    }

    private static func kind(of window: HintWindow) -> Kind {
        let payloads: [StaticString] = ["mdat", "jxlc", "jxlp", "jp2c"]
        // `mpvd` is Samsung's box for a film within a picture.
        let containers: [StaticString] = ["moov", "trak", "mdia", "minf", "stbl", "udta", "mpvd"]
        if payloads.contains(where: { window.has($0, at: 4) }) { return .payload }
        if containers.contains(where: { window.has($0, at: 4) }) { return .container }
        if window.has("meta", at: 4) { return .items }
        return window.has("ftyp", at: 4) ? .brand : .other
    }
}
