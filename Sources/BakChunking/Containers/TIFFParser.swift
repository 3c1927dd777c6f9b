// TIFFParser: TIFF, DNG and raw formats with the same structure (NEF, ARW, CR2, PEF, RW2, ORF). Directories may lie
// anywhere; the parser reads only those beyond the bytes that it has read. A picture's payload begins at its first
// strip, tile or preview. Metadata begin again at each directory.

struct TIFFParser: HintParser {
    /// A place in the file that the parser still has to read.
    private struct Place: Equatable {
        /// A directory, or a number in a list: the start of a picture's first strip, the start of its last strip, or
        /// the last strip's length.
        enum Kind { case directory, firstOffset, lastOffset, lastCount }
        var offset: UInt64
        var kind: Kind
        /// The number of bytes to read. The first two bytes of a directory determine its size.
        var byteCount = 2
        /// The index in `lastStrips` of the picture that the number belongs to.
        var picture = 0
    }

    private static let leastPictureBytes: UInt64 = 2048
    private static let mostPlaces = 32
    /// The tags that programs rewrite when they edit metadata: XMP, IPTC, Photoshop's resources.
    private static let edited: Set<Int> = [0x02bc, 0x83bb, 0x8649]

    private let start: UInt64
    private var header: TIFFHeader?
    /// The places to read, ascending.
    private var places: [Place] = []
    private var seen: Set<UInt64> = []
    private var directoryCount = 0
    /// The offset and length, once known, of the last strip or tile of each directory's picture. Metadata begin again
    /// after that strip.
    private var lastStrips: [(offset: UInt64?, byteCount: UInt64?)] = []
    /// The cutter must not cut at or after this offset yet. In a small file it stays at the beginning, because the
    /// directories often come last.
    private var held: UInt64

    init(start: UInt64) {
        self.start = start
        held = start + UInt64(TIFFHeader.byteCount)
    }

    var first: HintRequest { .at(start, TIFFHeader.byteCount) }

    mutating func parse(
        _ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?
    ) -> HintRequest {
        guard let header else {
            guard let header = TIFFHeader(window) else { return .done }
            self.header = header
            look(at: header.firstDirectory, .directory)
            return next()
        }
        // The cutter no longer waits at an offset that is further back than `largestHold`, so the bytes there are gone.
        if window.offset - held > ContainerHints.largestHold { held = window.offset }
        guard let place = places.first else { return .done }
        switch place.kind {
        case .firstOffset, .lastOffset, .lastCount:
            places.removeFirst()
            let number =
                place.byteCount == 2
                ? window.u16(0, isLittle: header.isLittle).map { UInt64($0) }
                : window.u32(0, isLittle: header.isLittle)
            if let number { note(number, place, &hints) }
        case .directory:
            if directoryCount == 0 {
                guard let count = window.u16(0, isLittle: header.isLittle), count > 0,
                    count <= TIFFDirectory.mostEntries
                else {
                    places.removeFirst()
                    return next()
                }
                directoryCount = count
            } else {
                places.removeFirst()
                directoryCount = 0
                hints.cutIfFar(at: window.offset, .metadata)
                if let directory = TIFFDirectory(window, at: 0, isLittle: header.isLittle) {
                    follow(directory, &hints)
                }
            }
        }
        return next()
    }

    /// Handles a number from a list.
    private mutating func note(_ number: UInt64, _ place: Place, _ hints: inout HintList) {
        switch place.kind {
        case .firstOffset: return picture(at: number, &hints)
        case .lastOffset: lastStrips[place.picture].offset = number
        case .lastCount: lastStrips[place.picture].byteCount = number
        case .directory: return
        }
        let strip = lastStrips[place.picture]
        if let header, let offset = strip.offset, let byteCount = strip.byteCount {
            hints.cut(at: header.base + offset + byteCount, .metadata)
        }
    }

    private func next() -> HintRequest {
        guard let place = places.first else { return .done }
        return .window(
            offset: place.offset,
            count: directoryCount > 0 ? TIFFDirectory.byteCount(directoryCount) : place.byteCount,
            hold: min(held, place.offset))
    }

    /// Notes the places that a directory refers to.
    private mutating func follow(_ directory: TIFFDirectory, _ hints: inout HintList) {
        if directory.next != 0 { look(at: directory.next, .directory) }
        lastStrips.append((nil, nil))
        for entry in directory.entries {
            switch entry.tag {
            case 0x8769, 0x8825: if entry.count == 1 { look(at: entry.value, .directory) }
            case 0x014a:
                look(
                    at: entry.value, entry.count == 1 ? .directory : .firstOffset,
                    byteCount: entry.count == 1 ? 2 : 4)
            case 0x0111, 0x0144:
                if entry.isOutside {
                    look(at: entry.value, .firstOffset, byteCount: 4)
                    lookAtLast(of: entry, .lastOffset)
                } else {
                    picture(at: entry.value, &hints)
                }
            case 0x0117, 0x0145: if entry.isOutside { lookAtLast(of: entry, .lastCount) }
            default:
                if entry.isOutside, entry.byteCount >= Self.leastPictureBytes, let header {
                    let offset = header.base + entry.value
                    if Self.edited.contains(entry.tag) {
                        hints.cutIfFar(at: offset, .metadata)
                    } else {
                        // Maker notes and profiles stay in one piece.
                        hints.cutExactly(at: offset, .metadata)
                    }
                    hints.cut(at: offset + entry.byteCount, .metadata)
                }
            }
        }
        if let (offset, byteCount) = directory.picture, byteCount >= Self.leastPictureBytes, let header {
            picture(at: offset, &hints)
            hints.cut(at: header.base + offset + byteCount, .metadata)
        }
    }

    private func picture(at offset: UInt64, _ hints: inout HintList) {
        if let header { hints.cut(at: header.base + offset, .payload) }
    }

    /// Requests the last number of a list with numbers of two or four bytes.
    private mutating func lookAtLast(of entry: TIFFDirectory.Entry, _ kind: Place.Kind) {
        guard entry.type == 3 || entry.type == 4 else { return }
        let byteCount = entry.type == 3 ? 2 : 4
        look(
            at: entry.value + (entry.count - 1) * UInt64(byteCount), kind, byteCount: byteCount,
            picture: lastStrips.count - 1)
    }

    private mutating func look(
        at offset: UInt64, _ kind: Place.Kind, byteCount: Int = 2, picture: Int = 0
    ) {
        guard let header, places.count < Self.mostPlaces, seen.count < 2 * Self.mostPlaces else { return }
        let place = Place(
            offset: header.base + offset, kind: kind, byteCount: byteCount, picture: picture)
        guard place.offset >= held, seen.insert(place.offset).inserted else { return }
        let index = places.firstIndex { $0.offset > place.offset } ?? places.count
        places.insert(place, at: index)
    }
}
