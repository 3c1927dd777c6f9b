// ContainerSamples: small files of every container format. They are made from parts, so that a test knows where each
// part begins.

import SeededNumbers

@testable import BakChunking

/// A file with metadata that people edit, and a payload that stays.
struct ContainerSample {
    /// The hints that the file must get: where each payload begins, and where metadata begins again.
    var expected: [Hint] = []
    var bytes: [UInt8] = []

    /// Appends bytes.
    mutating func add(_ more: [UInt8]) { bytes += more }

    /// Expects a hint at this position.
    mutating func expect(_ part: ContainerPart) {
        expected.append(Hint(offset: UInt64(bytes.count), part: part))
    }
}

func bigEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
}

func littleEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

extension ContainerKind {
    /// Returns a file of this format with about `tagBytes` of tags and `payloadBytes` of payload. `seed` determines the
    /// payload, and `tagBytes` the tags.
    func sample(tagBytes: Int, payloadBytes: Int, seed: UInt64) -> ContainerSample {
        var generator = SplitMix64(seed: seed)
        let payload = generator.bytes(payloadBytes)
        let picture = generator.bytes(6000).map { $0 == 0xff ? 0xfe : $0 }
        var tagGenerator = SplitMix64(seed: UInt64(tagBytes))
        let tags = InputKind.text.bytes(tagBytes, seed: tagGenerator.next())
        switch self {
        case .jpeg: return Self.jpeg(tags, picture, payload)
        case .boxes: return Self.film(tags, payload)
        case .png: return Self.png(tags, picture, payload)
        case .riff: return Self.webP(tags, payload)
        case .tiff: return Self.tiff(tags, payload)
        case .raf: return Self.raf(tags, picture, payload)
        case .zip: return Self.zip(tags, payload)
        case .mpegAudio: return Self.mp3(tags, picture, payload)
        case .flac: return Self.flac(tags, picture, payload)
        }
    }

    /// Returns a segment of a JPEG.
    static func segment(_ marker: UInt8, _ content: [UInt8]) -> [UInt8] {
        [0xff, marker] + bigEndian(UInt16(content.count + 2)) + content
    }

    /// Returns a TIFF directory in `II` byte order, for offset 8, with its long values after it.
    private static func directory(_ values: [(tag: UInt16, type: UInt16, value: [UInt8])]) -> [UInt8] {
        var entries: [UInt8] = []
        var outside: [UInt8] = []
        let outsideStart = 8 + 2 + 12 * values.count + 4
        for (tag, type, value) in values {
            let width = type == 4 ? 4 : 1
            entries += littleEndian(tag) + littleEndian(type) + littleEndian(UInt32(value.count / width))
            if value.count <= 4 {
                entries += value + [UInt8](repeating: 0, count: 4 - value.count)
            } else {
                entries += littleEndian(UInt32(outsideStart + outside.count))
                outside += value
            }
        }
        return Array("II".utf8) + [42, 0, 8, 0, 0, 0] + littleEndian(UInt16(values.count)) + entries
            + [0, 0, 0, 0] + outside
    }

    private static func jpegPicture(_ content: [UInt8]) -> [UInt8] {
        [0xff, 0xd8, 0xff] + content + [0xff, 0xd9]
    }

    private static func jpeg(_ tags: [UInt8], _ thumbnail: [UInt8], _ payload: [UInt8]) -> ContainerSample {
        var sample = ContainerSample()
        let exif = directory([(0x010e, 2, tags), (0x927c, 7, jpegPicture(thumbnail))])
        sample.add([0xff, 0xd8] + segment(0xe0, Array("JFIF\0".utf8)))
        sample.add([0xff, 0xe1] + bigEndian(UInt16(exif.count + 8)) + Array("Exif\0\0".utf8))
        sample.add(exif.dropLast(thumbnail.count + 5))
        sample.expect(.payload)
        sample.add(jpegPicture(thumbnail))
        sample.expect(.metadata)
        sample.add(segment(0xe1, Array("http://ns.adobe.com/xap/1.0/\0 MicroVideo=1".utf8)))
        sample.add(segment(0xfe, tags))
        sample.expect(.payload)
        sample.add(segment(0xdb, [UInt8](repeating: 1, count: 65)) + segment(0xc4, [UInt8](0..<30)))
        sample.add(segment(0xda, [3, 1, 0, 2, 0x11, 3, 0x11, 0, 0x3f, 0]))
        sample.add(payload.flatMap { $0 == 0xff ? [$0, 0] : [$0] } + [0xff, 0xd9])
        // The film of a motion photo.
        sample.expect(.metadata)
        sample.add(box("ftyp", Array("mp42".utf8)))
        sample.add(box("free", tags) + bigEndian(UInt32(payload.count + 8)) + Array("mdat".utf8))
        sample.expect(.payload)
        sample.add(payload)
        return sample
    }

    static func box(_ type: String, _ content: [UInt8]) -> [UInt8] {
        bigEndian(UInt32(content.count + 8)) + Array(type.utf8) + content
    }

    private static func film(_ tags: [UInt8], _ payload: [UInt8]) -> ContainerSample {
        var sample = ContainerSample(bytes: box("ftyp", Array("isom".utf8) + bigEndian(UInt32(512))))
        let table = box("stco", bigEndian(UInt64(1)) + bigEndian(UInt32(tags.count + 600)))
        sample.add(box("moov", box("trak", box("mdia", table)) + box("udta", tags)))
        sample.add(bigEndian(UInt32(1)) + Array("mdat".utf8) + bigEndian(UInt64(payload.count + 16)))
        sample.expect(.payload)
        sample.add(payload)
        sample.expect(.metadata)
        sample.add(box("uuid", tags))
        return sample
    }

    /// Returns a HEIC. Its `meta` box gives the position of the EXIF item, which is in `mdat`. `meta` comes before or
    /// after `mdat`.
    static func heic(_ tags: [UInt8], _ payload: [UInt8], metaComesFirst: Bool) -> ContainerSample {
        let brand = box("ftyp", Array("heic".utf8) + bigEndian(UInt32(0)) + Array("mif1heic".utf8))
        let entries = ["hvc1", "Exif"].enumerated().map { number, type in
            box("infe", [2, 0, 0, 0] + bigEndian(UInt16(number + 1)) + [0, 0] + Array(type.utf8) + [0])
        }
        func meta(_ start: Int) -> [UInt8] {
            let items = [(start, payload.count / 2), (start + payload.count / 2, tags.count)]
            var locations: [UInt8] = []
            for (number, item) in items.enumerated() {
                locations += bigEndian(UInt16(number + 1)) + bigEndian(UInt16(0)) + bigEndian(UInt16(1))
                locations += bigEndian(UInt32(item.0)) + bigEndian(UInt32(item.1))
            }
            let information = box("iinf", [0, 0, 0, 0, 0, 2] + entries.flatMap { $0 })
            let location = box("iloc", [0, 0, 0, 0, 0x44, 0, 0, 2] + locations)
            return box(
                "meta", [0, 0, 0, 0] + box("hdlr", [UInt8](repeating: 7, count: 30)) + information + location)
        }
        var sample = ContainerSample(bytes: brand)
        let metaBytes = metaComesFirst ? meta(0).count : 0
        if metaComesFirst { sample.add(meta(brand.count + metaBytes + 8)) }
        sample.add(bigEndian(UInt32(payload.count + tags.count + 8)) + Array("mdat".utf8))
        sample.expect(.payload)
        sample.add(Array(payload.prefix(payload.count / 2)))
        sample.expect(.metadata)
        sample.add(tags)
        sample.expect(.payload)
        sample.add(Array(payload.dropFirst(payload.count / 2)))
        sample.expect(.metadata)
        sample.add(metaComesFirst ? box("free", tags) : meta(brand.count + 8))
        return sample
    }

    private static func png(_ tags: [UInt8], _ profile: [UInt8], _ payload: [UInt8]) -> ContainerSample {
        func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
            bigEndian(UInt32(content.count)) + Array(type.utf8) + content + [1, 2, 3, 4]
        }
        var sample = ContainerSample(bytes: [0x89] + Array("PNG\r\n\u{1a}\n".utf8))
        sample.add(chunk("IHDR", [UInt8](repeating: 0, count: 13)) + chunk("tEXt", tags))
        sample.expect(.metadata)
        sample.add(chunk("iCCP", profile))
        sample.expect(.payload)
        for start in stride(from: 0, to: payload.count, by: 8192) {
            sample.add(chunk("IDAT", Array(payload[start..<min(start + 8192, payload.count)])))
        }
        sample.expect(.metadata)
        sample.add(chunk("eXIf", Array(tags.prefix(1500))) + chunk("IEND", []))
        return sample
    }

    private static func webP(_ tags: [UInt8], _ payload: [UInt8]) -> ContainerSample {
        func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
            Array(type.utf8) + littleEndian(UInt32(content.count)) + content
                + (content.count % 2 == 1 ? [0] : [])
        }
        var sample = ContainerSample(
            bytes: Array("RIFF".utf8) + littleEndian(UInt32(9999)) + Array("WEBP".utf8))
        sample.add(chunk("VP8X", [UInt8](repeating: 0, count: 10)) + chunk("ICCP", Array(tags.prefix(1001))))
        sample.expect(.payload)
        sample.add(chunk("VP8 ", payload))
        sample.expect(.metadata)
        sample.add(chunk("EXIF", Array(tags.prefix(1999))) + chunk("XMP ", [7, 7, 7, 7]))
        return sample
    }

    private static func tiff(_ tags: [UInt8], _ payload: [UInt8]) -> ContainerSample {
        func head(_ strip: Int) -> [UInt8] {
            directory(
                [(0x0111, 4, littleEndian(UInt32(strip))), (0x0117, 4, littleEndian(UInt32(payload.count)))]
                    + [(0x010e, 2, Array(tags.prefix(1900)))])
        }
        var sample = ContainerSample(bytes: head(head(0).count))
        sample.expect(.payload)
        sample.add(payload)
        sample.expect(.metadata)
        sample.add(tags)
        return sample
    }

    /// Returns a picture in strips with a colour profile, as programs write it. The directory comes before or after the
    /// strips.
    static func stripedTIFF(
        _ tags: [UInt8], _ strips: [[UInt8]], profile: [UInt8], directoryComesFirst: Bool
    ) -> [UInt8] {
        let lists = strips.count * 4
        let directoryBytes = 2 + 4 * 12 + 4
        let payload = strips.reduce([], +)
        let directoryAt = directoryComesFirst ? 8 : 8 + payload.count
        let values = directoryAt + directoryBytes
        // The tags end at an odd offset, and the profile begins at an even one.
        let profileAt = (values + 2 * lists + tags.count + 1) & ~1
        let fill = [UInt8](repeating: 0, count: profileAt - values - 2 * lists - tags.count)
        var stripAt = directoryComesFirst ? profileAt + profile.count : 8
        var (offsets, counts): ([UInt8], [UInt8]) = ([], [])
        for strip in strips {
            offsets += littleEndian(UInt32(stripAt))
            counts += littleEndian(UInt32(strip.count))
            stripAt += strip.count
        }
        func entry(_ tag: UInt16, _ type: UInt16, _ count: Int, _ value: Int) -> [UInt8] {
            littleEndian(tag) + littleEndian(type) + littleEndian(UInt32(count)) + littleEndian(UInt32(value))
        }
        let directory =
            littleEndian(UInt16(4)) + entry(0x0111, 4, strips.count, values)
            + entry(0x0117, 4, strips.count, values + lists)
            + entry(0x02bc, 1, tags.count, values + 2 * lists) + entry(0x8773, 7, profile.count, profileAt)
            + [0, 0, 0, 0] + offsets + counts + tags + fill + profile
        let head = Array("II".utf8) + [42, 0] + littleEndian(UInt32(directoryAt))
        return head + (directoryComesFirst ? directory + payload : payload + directory)
    }

    private static func raf(_ tags: [UInt8], _ picture: [UInt8], _ payload: [UInt8]) -> ContainerSample {
        let inner = [0xff, 0xd8] + segment(0xe1, Array("Exif\0\0".utf8) + tags)
        let scan = segment(0xdb, [UInt8](repeating: 1, count: 65)) + segment(0xda, [1, 2, 3]) + picture
        let start = 160
        var head = Array("FUJIFILMCCD-RAW 0201FF383501X-T1".utf8)
        head += [UInt8](repeating: 0, count: 84 - head.count)
        let end = start + inner.count + scan.count
        let fields = [start, inner.count + scan.count, end, tags.count, end + tags.count, payload.count]
        head += fields.flatMap { bigEndian(UInt32($0)) }
        var sample = ContainerSample(bytes: head + [UInt8](repeating: 0, count: start - head.count))
        sample.add(inner)
        sample.expect(.payload)
        sample.add(scan)
        sample.expect(.metadata)
        sample.add(tags)
        sample.expect(.payload)
        sample.add(payload)
        return sample
    }

    private static func zip(_ tags: [UInt8], _ payload: [UInt8]) -> ContainerSample {
        var sample = ContainerSample()
        func header(_ name: String, _ method: UInt16, _ count: Int, isLong: Bool = false) -> [UInt8] {
            let size = isLong ? UInt32.max : UInt32(count)
            let extra =
                isLong ? [1, 0, 16, 0] + littleEndian(UInt64(count)) + littleEndian(UInt64(count)) : []
            return [0x50, 0x4b, 3, 4, 45, 0, 0, 0] + littleEndian(method) + [UInt8](repeating: 0, count: 8)
                + littleEndian(size) + littleEndian(size) + littleEndian(UInt16(name.utf8.count))
                + littleEndian(UInt16(extra.count)) + Array(name.utf8) + extra
        }
        sample.add(header("note", 0, tags.count) + tags + header("deflated", 8, payload.count))
        sample.expect(.payload)
        sample.add(payload)
        let photo = ContainerKind.png.sample(tagBytes: 1000, payloadBytes: payload.count, seed: 5)
        sample.expect(.metadata)
        sample.add(header("photo.png", 0, photo.bytes.count, isLong: true))
        sample.expect(.metadata)
        let start = UInt64(sample.bytes.count)
        sample.expected += photo.expected.map { Hint(offset: $0.offset + start, part: $0.part) }
        sample.add(photo.bytes)
        sample.expect(.metadata)
        sample.add(Array("PK\u{1}\u{2}".utf8) + tags)
        return sample
    }

    private static func mp3(_ tags: [UInt8], _ picture: [UInt8], _ payload: [UInt8]) -> ContainerSample {
        func frame(_ type: String, _ content: [UInt8]) -> [UInt8] {
            Array(type.utf8) + bigEndian(UInt32(content.count)) + [0, 0] + content
        }
        let text = frame("TIT2", Array(tags.prefix(2500)))
        let art = frame("APIC", picture)
        let padding = [UInt8](repeating: 0, count: 700)
        let count = text.count + art.count + padding.count
        var sample = ContainerSample(bytes: Array("ID3".utf8) + [3, 0, 0])
        sample.add([21, 14, 7, 0].map { UInt8(count >> $0 & 0x7f) })
        sample.add(text)
        sample.expect(.payload)
        sample.add(art)
        sample.expect(.metadata)
        sample.add(padding)
        sample.expect(.payload)
        sample.add([0xff, 0xfb, 0x90, 0x64] + payload)
        sample.expect(.metadata)
        let items = Array(tags.prefix(900))
        sample.add(Array("APETAGEX".utf8) + [UInt8](repeating: 1, count: 24) + items)
        sample.add(
            Array("APETAGEX".utf8) + littleEndian(UInt32(2000)) + littleEndian(UInt32(items.count + 32)))
        sample.add(littleEndian(UInt32(1)) + littleEndian(UInt32(1) << 31) + [UInt8](repeating: 0, count: 8))
        sample.add(Array("TAG".utf8) + [UInt8](repeating: 32, count: 125))
        return sample
    }

    private static func flac(_ tags: [UInt8], _ picture: [UInt8], _ payload: [UInt8]) -> ContainerSample {
        func block(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
            bigEndian(UInt32(type) << 24 | UInt32(content.count)) + content
        }
        var sample = ContainerSample(bytes: Array("fLaC".utf8) + block(0, [UInt8](repeating: 3, count: 34)))
        sample.add(block(4, tags))
        let art = block(6, picture)
        sample.add(Array(art.prefix(4)))
        sample.expect(.payload)
        sample.add(Array(art.dropFirst(4)))
        sample.expect(.metadata)
        sample.add(block(0x81, [UInt8](repeating: 0, count: 800)))
        sample.expect(.payload)
        sample.add([0xff, 0xf8] + payload)
        return sample
    }
}
