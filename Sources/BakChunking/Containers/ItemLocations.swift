// ItemLocations: where the EXIF and XMP items of a HEIC or AVIF lie, by the boxes `iinf` and `iloc` in its `meta`
// (ISO/IEC 14496-12, 8.11).

enum ItemLocations {
    private static let mostItems = 32
    private static let metaHeaderBytes = 12
    private static let boxHeaderBytes = 8

    /// The ranges in the file of the metadata items that a `meta` box, which fills the window, tells of.
    static func metadataRanges(in meta: HintWindow) -> [Range<UInt64>] {
        let boxes = children(of: meta, from: metaHeaderBytes)
        guard let information = boxes.first(where: { $0.has("iinf", at: 4) }),
            let locations = boxes.first(where: { $0.has("iloc", at: 4) })
        else { return [] }
        let wanted = metadataItems(information)
        return wanted.isEmpty ? [] : ranges(locations, of: wanted)
    }

    /// The boxes in a box from `place` on; what does not fit ends the list.
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

    /// The numbers of the items that are EXIF or MIME.
    private static func metadataItems(_ information: HintWindow) -> Set<UInt64> {
        // Version 0 counts entries with two bytes, later ones with four.
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

    /// The extents of the items in `wanted` that are counted from the file's start.
    private static func ranges(_ box: HintWindow, of wanted: Set<UInt64>) -> [Range<UInt64>] {
        guard let version = box.byte(8), version <= 2, let sizes = box.u16(12) else { return [] }
        let (offsetBytes, lengthBytes) = (sizes >> 12, sizes >> 8 & 15)
        let (baseBytes, indexBytes) = (sizes >> 4 & 15, version == 0 ? 0 : sizes & 15)
        var cursor = Cursor(window: box, place: 14)
        // Extents without a length tell nothing, and any number of them would fit.
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

        /// The next number of 0, 2, 4 or 8 bytes, below 2^60 so that three of them may be added.
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
