// ContentType: a file's type, for reports. The file's first bytes decide the type. It affects nothing but reports.

/// A type of file.
public enum ContentType: UInt8, Sendable, CaseIterable {
    case jpeg, heic, avif, png, webp, gif, jpegXL, jpeg2000, raw
    case mp4, quickTime, threeGP, matroska, avi, windowsMedia, mpeg
    case mp3, m4a, aac, flac, ogg, wave
    case zip, compressed
    case sqlite, pdf, text, other, empty

    /// A group of types, as users think of them.
    public enum Group: String, Sendable, CaseIterable {
        case pictures, videos, sound, archives, others
    }

    /// The number of bytes at a file's start that determine its type.
    public static let sniffByteCount = 4096

    /// Recognises a file by its first `sniffByteCount` bytes, or by all of a shorter file.
    public init(firstBytes: UnsafeRawBufferPointer) {
        if let signature = Signature.all.first(where: { $0.matches(firstBytes) }) {
            self = signature.type == .mp4 ? Self.ofBrand(firstBytes) : signature.type
        } else {
            self = Self.ofGeneral(firstBytes)
        }
    }

    /// Returns the type of ISO base media, by the major brand after `ftyp`.
    private static func ofBrand(_ bytes: UnsafeRawBufferPointer) -> ContentType {
        guard bytes.count >= 12 else { return .mp4 }
        let brand = String(decoding: bytes[8..<12], as: UTF8.self)
        switch brand {
        case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1": return .heic
        case "avif", "avis": return .avif
        case "crx ": return .raw
        case "qt  ": return .quickTime
        case "M4A ", "M4B ": return .m4a
        default: return brand.hasPrefix("3g") ? .threeGP : .mp4
        }
    }

    private static func ofGeneral(_ bytes: UnsafeRawBufferPointer) -> ContentType {
        if bytes.isEmpty { return .empty }
        if bytes.starts(with: "SQLite format 3\0".utf8) { return .sqlite }
        if bytes.starts(with: "%PDF-".utf8) { return .pdf }
        if bytes.starts(with: "RIFF".utf8), bytes.dropFirst(8).starts(with: "WAVE".utf8) { return .wave }
        return isText(bytes.prefix(sniffByteCount)) ? .text : .other
    }

    /// True if the bytes are UTF-8 without unusual control characters, or begin with the byte-order mark of UTF-16.
    private static func isText(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        if bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) { return true }
        return bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7f || (0x08...0x0d).contains($0) || $0 == 0x1b }
            && hasWholeCharacters(bytes)
    }

    /// True if the bytes are UTF-8, apart from a character that is cut off at the end.
    private static func hasWholeCharacters(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        (0..<4).contains { String(validating: bytes.dropLast($0), as: UTF8.self) != nil }
    }

    /// The type's name in reports.
    public var name: String {
        switch self {
        case .jpeg: "JPEG"
        case .heic: "HEIC"
        case .avif: "AVIF"
        case .png: "PNG"
        case .webp: "WebP"
        case .gif: "GIF"
        case .jpegXL: "JPEG XL"
        case .jpeg2000: "JPEG 2000"
        case .raw: "TIFF and raw pictures"
        case .mp4: "MP4"
        case .quickTime: "QuickTime"
        case .threeGP: "3GP"
        case .matroska: "Matroska and WebM"
        case .avi: "AVI"
        case .windowsMedia: "Windows Media"
        case .mpeg: "MPEG"
        case .mp3: "MP3"
        case .m4a: "M4A"
        case .aac: "AAC"
        case .flac: "FLAC"
        case .ogg: "Ogg"
        case .wave: "WAV"
        case .zip: "ZIP and Office"
        case .compressed: "other archives"
        case .sqlite: "SQLite databases"
        case .pdf: "PDF"
        case .text: "text"
        case .other: "other files"
        case .empty: "empty files"
        }
    }

    /// The group that the type belongs to.
    public var group: Group {
        switch self {
        case .jpeg, .heic, .avif, .png, .webp, .gif, .jpegXL, .jpeg2000, .raw: .pictures
        case .mp4, .quickTime, .threeGP, .matroska, .avi, .windowsMedia, .mpeg: .videos
        case .mp3, .m4a, .aac, .flac, .ogg, .wave: .sound
        case .zip, .compressed: .archives
        case .sqlite, .pdf, .text, .other, .empty: .others
        }
    }
}
