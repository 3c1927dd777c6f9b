// JPEGParser: JPEG (ITU-T T.81) as cameras write it. An image begins with segments; programs edit those of the types
// APPn and COM. Tables and scans follow. Previews and gain maps (CIPA DC-007, MPF) or the MP4 of a motion photo may
// follow the image.
//
// The payload begins with the first table after the last APPn or COM, and ends with the image. The parser searches the
// scan for the end of the image only if the metadata announce more data after it.

struct JPEGParser: HintParser {
    private enum State {
        case start
        /// At a marker.
        case marker
        /// At a segment whose content is parsed.
        case segment
        /// In a scan, searching for its end.
        case scan
        /// After an image.
        case behind
    }

    private static let markerBytes = 4
    /// A shorter segment gets no chunk of its own, and is parsed only if its type is APP1 or APP2.
    private static let leastSegmentBytes = 2048
    private static let mostFillBytes = 16
    /// The largest gap before appended data. Cameras leave a gap to align that data, but none larger than this.
    private static let largestGapBytes: UInt64 = 64 << 10

    private let start: UInt64
    private var state = State.start
    private var position: UInt64
    private var fillBytes = 0
    /// The start of the tables before a scan.
    private var tables: UInt64?
    private var announcesMore = false
    /// The end of the image, if the metadata contain its length.
    private var announcedEnd: UInt64?

    init(start: UInt64) {
        self.start = start
        position = start
    }

    var first: HintRequest { .at(start, 3) }

    mutating func parse(
        _ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?
    ) -> HintRequest {
        switch state {
        case .start:
            guard window.u16(0) == 0xffd8, window.byte(2) == 0xff else { return .done }
            return next(at: start + 2)
        case .marker: return parseMarker(window, &hints)
        case .segment: return parseSegment(window, &hints)
        case .scan: return searchEnd(window, &hints)
        case .behind: return parseBehind(window, &hints, &nested)
        }
    }

    private mutating func next(at offset: UInt64) -> HintRequest {
        state = .marker
        position = offset
        return .window(offset: offset, count: Self.markerBytes, hold: tables ?? offset)
    }

    private mutating func parseMarker(_ window: HintWindow, _ hints: inout HintList) -> HintRequest {
        guard window.byte(0) == 0xff, let marker = window.byte(1), let length = window.u16(2) else {
            return .done
        }
        if marker == 0xff {
            fillBytes += 1
            return fillBytes <= Self.mostFillBytes ? next(at: position + 1) : .done
        }
        guard length >= 2 else { return .done }
        switch marker {
        case 0xe0...0xef, 0xfe:
            tables = nil
            guard length + 2 >= Self.leastSegmentBytes || marker == 0xe1 || marker == 0xe2 else {
                return next(at: position + UInt64(length) + 2)
            }
            state = .segment
            return .at(position, length + 2)
        case 0xc0...0xcf, 0xdb, 0xdd...0xdf:
            tables = tables ?? position
            return next(at: position + UInt64(length) + 2)
        case 0xda:
            hints.cut(at: tables ?? position, .payload)
            guard announcesMore || announcedEnd != nil else { return .done }
            state = .scan
            return .search(offset: max(position, announcedEnd.map { $0 - 2 } ?? 0), least: 2)
        default: return .done
        }
    }

    /// Parses a segment. Some of its parts stay the same when a program edits the others; such parts get chunks of
    /// their own.
    private mutating func parseSegment(_ window: HintWindow, _ hints: inout HintList) -> HintRequest {
        let content = window.part(from: 4, count: window.count - 4)
        if content.has("Exif\0", at: 0) {
            for (range, part) in TIFFDirectory.largeParts(of: content.part(from: 6, count: content.count - 6))
            {
                hints.setApart(range, part)
            }
        } else if content.has("MPF\0", at: 0) {
            announcesMore = true
            let index = content.part(from: 4, count: content.count - 4)
            announcedEnd = TIFFDirectory.firstPictureBytes(ofMultiPicture: index).map { start + $0 }
        } else if content.has("http://ns.adobe.com/xap/1.0/", at: 0) {
            for word: StaticString in ["MotionPhoto", "MicroVideo", "GContainer", "Container:Directory"] {
                announcesMore = announcesMore || content.contains(word)
            }
        } else if window.count >= Self.leastSegmentBytes, !content.has("http://ns.adobe.com/xmp/", at: 0),
            !content.has("Photoshop 3.0", at: 0)
        {
            hints.setApart(window.offset..<window.end, .metadata)
        }
        return next(at: window.end)
    }

    /// Searches for the end marker, which cannot be part of entropy-coded data.
    private mutating func searchEnd(_ window: HintWindow, _ hints: inout HintList) -> HintRequest {
        guard let found = window.first(0xff, 0xd9, from: 0) else {
            // The last byte that was read may be the marker's first byte.
            return .search(offset: window.end - 1, least: 2)
        }
        position = window.offset + UInt64(found) + 2
        hints.cut(at: position, .payload)
        state = .behind
        return .at(position, 12)
    }

    /// Checks what follows an image: another image, a film, or zeros before either.
    private mutating func parseBehind(
        _ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?
    ) -> HintRequest {
        let rest = window.offset..<HintWindow.largestOffset
        if window.u16(0) == 0xffd8, window.byte(2) == 0xff {
            hints.cut(at: window.offset, .metadata)
            self = JPEGParser(start: window.offset)
            // More images may follow one appended image.
            announcesMore = true
            return first
        }
        if window.has("ftyp", at: 4) {
            hints.cut(at: window.offset, .metadata)
            nested = NestedContainer(kind: .boxes, range: rest)
            return .done
        }
        guard let next = (1..<window.count).first(where: { window.byte($0) != 0 }) else {
            return window.offset - position < Self.largestGapBytes ? .at(window.offset + 8, 12) : .done
        }
        return window.byte(0) == 0 && window.offset - position < Self.largestGapBytes
            ? .at(window.offset + UInt64(next), 12) : .done
    }
}
