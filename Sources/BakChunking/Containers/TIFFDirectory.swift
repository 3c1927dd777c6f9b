// TIFFDirectory: the directories of TIFF 6.0, and of EXIF and MPF, which have the same structure. The parsers use them
// to find large values. A directory has a count of two bytes, entries of 12 bytes, and the offset of the next
// directory. Offsets count from the header, `II` or `MM`. BigTIFF has wider fields and is not parsed.

/// The base of a TIFF's offsets, and its byte order.
struct TIFFHeader {
    /// The header's own offset in the file.
    let base: UInt64
    let isLittle: Bool
    /// The first directory's offset from `base`.
    let firstDirectory: UInt64

    static let byteCount = 8

    /// Reads a header at the window's start; nil if there is none. Raw formats have their own magic numbers.
    init?(_ window: HintWindow) {
        guard window.has("II", at: 0) || window.has("MM", at: 0) else { return nil }
        base = window.offset
        isLittle = window.has("II", at: 0)
        guard let magic = window.u16(2, isLittle: isLittle), magic != 43,
            let first = window.u32(4, isLittle: isLittle), first >= 8
        else { return nil }
        firstDirectory = first
    }
}

/// The entries of one directory.
struct TIFFDirectory {
    static let mostEntries = 512
    private static let entryBytes = 12
    /// A smaller value shares a chunk with its directory.
    private static let leastLargeBytes: UInt64 = 2048

    struct Entry {
        var tag: Int
        var type: Int
        var count: UInt64
        /// The value if it fits, otherwise its offset from the header.
        var value: UInt64
        /// The value's length in bytes; 0 for unknown types.
        var byteCount: UInt64 {
            let sizes: [UInt64] = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4]
            return type < sizes.count ? count * sizes[type] : 0
        }
        var isOutside: Bool { byteCount > 4 }
    }

    private(set) var entries: [Entry] = []
    /// The next directory's offset from the header; 0 for none.
    private(set) var next: UInt64 = 0

    /// Returns the size in bytes of a directory with `count` entries.
    static func byteCount(_ count: Int) -> Int { 2 + count * entryBytes + 4 }

    /// Reads a directory at `place` in a window; nil if it is incomplete there or has too many entries.
    init?(_ window: HintWindow, at place: Int, isLittle: Bool) {
        guard let count = window.u16(place, isLittle: isLittle), count > 0, count <= Self.mostEntries else {
            return nil
        }
        for index in 0..<count {
            let at = place + 2 + index * Self.entryBytes
            guard let tag = window.u16(at, isLittle: isLittle),
                let type = window.u16(at + 2, isLittle: isLittle),
                let number = window.u32(at + 4, isLittle: isLittle),
                let value = window.u32(at + 8, isLittle: isLittle)
            else { return nil }
            var entry = Entry(tag: tag, type: type, count: number, value: value)
            // A short value occupies the first two bytes of the field.
            if type == 3, number == 1, let short = window.u16(at + 8, isLittle: isLittle) {
                entry.value = UInt64(short)
            }
            entries.append(entry)
        }
        next = window.u32(place + 2 + count * Self.entryBytes, isLittle: isLittle) ?? 0
    }

    /// Returns the value of an entry that has a single number.
    func number(_ tag: Int) -> UInt64? {
        entries.first { $0.tag == tag && $0.count == 1 && !$0.isOutside }?.value
    }

    /// The offset from the header and the length of the directory's picture; nil if there is none in one piece, such as
    /// a JPEG or a single strip.
    var picture: (offset: UInt64, byteCount: UInt64)? {
        guard let offset = number(0x0201) ?? number(0x0111), let count = number(0x0202) ?? number(0x0117)
        else { return nil }
        return count > 0 ? (offset, count) : nil
    }
}

extension TIFFDirectory {
    /// Returns the large values (maker notes, thumbnails) of an EXIF structure that fills `window`, ascending and
    /// disjoint.
    static func largeParts(of window: HintWindow) -> [(range: Range<UInt64>, part: ContainerPart)] {
        guard let header = TIFFHeader(window) else { return [] }
        // A preview within maker notes often moves when a program rewrites the notes, so find it by its markers.
        let pictures = window.embeddedPictures.filter { $0.count >= leastLargeBytes }
        var found: [(range: Range<UInt64>, part: ContainerPart)] = pictures.map { ($0, .payload) }
        func note(_ offset: UInt64, _ byteCount: UInt64) {
            guard byteCount >= leastLargeBytes, offset + byteCount <= UInt64(window.count) else { return }
            var start = window.offset + offset
            let end = start + byteCount
            for picture in pictures where picture.upperBound > start && picture.lowerBound < end {
                if start < picture.lowerBound { found.append((start..<picture.lowerBound, .metadata)) }
                start = picture.upperBound
            }
            if start < end { found.append((start..<end, .metadata)) }
        }
        func directory(_ offset: UInt64?) -> TIFFDirectory? {
            guard let offset, offset >= UInt64(TIFFHeader.byteCount), offset < UInt64(window.count) else {
                return nil
            }
            return TIFFDirectory(window, at: Int(offset), isLittle: header.isLittle)
        }
        let main = directory(header.firstDirectory)
        for directory in [main, directory(main?.number(0x8769)), directory(main?.next)] {
            guard let directory else { continue }
            for entry in directory.entries where entry.isOutside {
                note(entry.value, entry.byteCount)
            }
            if let (offset, byteCount) = directory.picture { note(offset, byteCount) }
        }
        var end: UInt64 = 0
        return found.sorted { $0.range.lowerBound < $1.range.lowerBound }.filter { found in
            defer { end = max(end, found.range.upperBound) }
            return found.range.lowerBound >= end
        }
    }

    /// Returns the length of a file's first picture, from the index of an MPF segment (CIPA DC-007).
    static func firstPictureBytes(ofMultiPicture window: HintWindow) -> UInt64? {
        guard let header = TIFFHeader(window), header.firstDirectory < UInt64(window.count),
            let index = TIFFDirectory(
                window, at: Int(header.firstDirectory), isLittle: header.isLittle),
            let list = index.entries.first(where: { $0.tag == 0xb002 && $0.isOutside }),
            list.value < UInt64(window.count),
            let count = window.u32(Int(list.value) + 4, isLittle: header.isLittle), count >= 4
        else { return nil }
        return count
    }
}

extension HintWindow {
    private static let mostPictures = 4

    /// The JPEGs within the window, each from its start marker to its end marker.
    fileprivate var embeddedPictures: [Range<UInt64>] {
        var found: [Range<UInt64>] = []
        var place = 0
        while found.count < Self.mostPictures, let start = first(0xff, 0xd8, from: place) {
            place = start + 2
            guard byte(place) == 0xff else { continue }
            guard let end = first(0xff, 0xd9, from: place) else { break }
            place = end + 2
            found.append(offset + UInt64(start)..<offset + UInt64(place))
        }
        return found
    }
}
