// TIFFParser: TIFF, DNG and the raw formats built alike (NEF, ARW, CR2, PEF, RW2, ORF). Directories may lie anywhere;
// only those ahead are followed. Pictures (strips, tiles, previews) are payload from the first of each on, and
// metadata begin again at each directory.

struct TIFFParser: HintParser {
    /// Something to look at further on.
    private struct Place: Equatable {
        enum Kind { case directory, firstOffset }
        var offset: UInt64
        var kind: Kind
    }

    private static let leastPictureBytes: UInt64 = 2048
    private static let mostPlaces = 32

    private let start: UInt64
    private var header: TIFFHeader?
    /// What is to be looked at, ascending.
    private var places: [Place] = []
    private var seen: Set<UInt64> = []
    private var position: UInt64
    private var directoryCount = 0
    /// Small files are held until all is known, as their directories often come last.
    private var held: UInt64

    init(start: UInt64) {
        self.start = start
        position = start
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
        // What lies behind is gone when it was not worth holding any longer.
        if window.offset - held > ContainerHints.largestHold { held = window.offset }
        switch places.first?.kind {
        case .firstOffset:
            places.removeFirst()
            if let offset = window.u32(0, isLittle: header.isLittle) { picture(at: offset, &hints) }
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
        case nil: return .done
        }
        return next()
    }

    private func next() -> HintRequest {
        guard let place = places.first else { return .done }
        let directoryBytes = directoryCount > 0 ? TIFFDirectory.byteCount(directoryCount) : 2
        return .window(
            offset: place.offset, count: place.kind == .directory ? directoryBytes : 4,
            hold: min(held, place.offset))
    }

    /// Notes what a directory refers to.
    private mutating func follow(_ directory: TIFFDirectory, _ hints: inout HintList) {
        if directory.next != 0 { look(at: directory.next, .directory) }
        for entry in directory.entries {
            switch entry.tag {
            case 0x8769, 0x8825: if entry.count == 1 { look(at: entry.value, .directory) }
            case 0x014a: look(at: entry.value, entry.count == 1 ? .directory : .firstOffset)
            case 0x0111, 0x0144:
                if entry.isOutside {
                    look(at: entry.value, .firstOffset)
                } else {
                    picture(at: entry.value, &hints)
                }
            default:
                // Previews, maker notes and profiles in one piece.
                if entry.isOutside, entry.byteCount >= Self.leastPictureBytes, let header {
                    let offset = header.base + entry.value
                    hints.cutIfFar(at: offset, .metadata)
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

    private mutating func look(at offset: UInt64, _ kind: Place.Kind) {
        guard let header, places.count < Self.mostPlaces, seen.count < 2 * Self.mostPlaces else { return }
        let place = Place(offset: header.base + offset, kind: kind)
        guard place.offset >= held, seen.insert(place.offset).inserted else { return }
        let index = places.firstIndex { $0.offset > place.offset } ?? places.count
        places.insert(place, at: index)
    }
}
