// ItemLocations: finds the EXIF and XMP items of a HEIC or AVIF from the boxes `iinf` and `iloc` in its `meta` (ISO/IEC
// 14496-12, 8.11).

enum ItemLocations {
    private static let mostItems = 32
    private static let metaHeaderBytes = 12
    private static let boxHeaderBytes = 8

    /// Returns the file ranges of the metadata items that a `meta` box lists. The box fills the window.
    static func metadataRanges(in meta: HintWindow) -> [Range<UInt64>] {
        let boxes = children(of: meta, from: metaHeaderBytes)
        guard let information = boxes.first(where: { $0.has("iinf", at: 4) }),
            let locations = boxes.first(where: { $0.has("iloc", at: 4) })
        else { return [] }
        let wanted = metadataItems(information)
        return wanted.isEmpty ? [] : ranges(locations, of: wanted)
    }

    /// Returns the boxes that follow each other from `place` on. Stops at a box that does not fit into the window.
    private static func children(of window: HintWindow, from place: Int) -> [HintWindow] {
        var boxes: [HintWindow] = []
        var place = place
        while let count = window.u32(place), count >= UInt64(boxHeaderBytes),
            count <= UInt64(window.count - place)
        {
            boxes.append(window.part(from: place, count: Int(count)))
            place += Int(count)
        }
        return boxes
    }

    /// Returns the numbers of the items of type EXIF or MIME.
    private static func metadataItems(_ information: HintWindow) -> Set<UInt64> {
        // Version 0 has an entry count of two bytes, later versions one of four.
        let first = information.byte(boxHeaderBytes) == 0 ? 14 : 16
        var items: Set<UInt64> = []
        for entry in children(of: information, from: first) where items.count < mostItems {
            let version = entry.byte(boxHeaderBytes)
            guard entry.has("infe", at: 4), version == 2 || version == 3 else { continue }
            let number = version == 2 ? entry.u16(12).map { UInt64($0) } : entry.u32(12)
            let type = version == 2 ? 16 : 18
            if let number, entry.has("Exif", at: type) || entry.has("mime", at: type) { items.insert(number) }
        }
        return items
    }

    /// Returns the extents of the items in `wanted` whose offsets count from the start of the file.
    private static func ranges(_ box: HintWindow, of wanted: Set<UInt64>) -> [Range<UInt64>] {
        guard let version = box.byte(8), version <= 2, let sizes = box.u16(12) else { return [] }
        let (offsetBytes, lengthBytes) = (sizes >> 12, sizes >> 8 & 15)
        let (baseBytes, indexBytes) = (sizes >> 4 & 15, version == 0 ? 0 : sizes & 15)
        var cursor = Cursor(window: box, place: 14)
        // Extents without a length are useless, and even a small box could claim any number of them.
        guard lengthBytes > 0, let count = cursor.number(version == 2 ? 4 : 2) else { return [] }
        var ranges: [Range<UInt64>] = []
        for _ in 0..<count {
            guard let number = cursor.number(version == 2 ? 4 : 2),
                let method = version == 0 ? 0 : cursor.number(2), cursor.number(2) != nil,
                let base = cursor.number(baseBytes), let extents = cursor.number(2)
            else { return ranges }
            for _ in 0..<extents {
                guard cursor.number(indexBytes) != nil, let offset = cursor.number(offsetBytes),
                    let length = cursor.number(lengthBytes)
                else { return ranges }
                guard wanted.contains(number), method & 15 == 0, length > 0, ranges.count < mostItems else {
                    continue
                }
                ranges.append(base + offset..<base + offset + length)
            }
        }
        return ranges
    }

    private struct Cursor {
        let window: HintWindow
        var place: Int

        /// Reads the next number of 0, 2, 4 or 8 bytes. Returns nil for a number of 2^60 or more, so that the sum of
        /// three numbers fits in 64 bits.
        mutating func number(_ byteCount: Int) -> UInt64? {
            defer { place += byteCount }
            let value: UInt64?
            switch byteCount {
            case 0: value = 0
            case 2: value = window.u16(place).map { UInt64($0) }
            case 4: value = window.u32(place)
            case 8: value = window.u64(place)
            default: value = nil
            }
            return value.flatMap { $0 < 1 << 60 ? $0 : nil }
        }
    }
}
