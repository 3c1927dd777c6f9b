import Testing

@testable import BakChunking

/// The first bytes of a real file of some type.
struct Header: CustomTestStringConvertible {
    var name: String
    var bytes: [UInt8]

    init(_ name: String, _ bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }

    init(_ name: String, _ prefix: [UInt8] = [], text: String, _ suffix: [UInt8] = []) {
        self.init(name, prefix + Array(text.utf8) + suffix)
    }

    var testDescription: String { name }

    var traits: ContentTraits { bytes.withUnsafeBytes { ContentClass.sniff(firstBytes: $0) } }
}

@Suite struct ContentClassTests {
    static let compressed = [
        Header("JPEG, JFIF", [0xff, 0xd8, 0xff, 0xe0, 0, 0x10, 0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 1, 0, 0x48]),
        Header("JPEG, Exif", [0xff, 0xd8, 0xff, 0xe1, 0x2c, 0x4e, 0x45, 0x78, 0x69, 0x66, 0, 0]),
        Header(
            "PNG", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52]),
        Header("GIF", text: "GIF89a", [0x40, 1, 0xf0, 0]),
        Header("WebP", text: "RIFF", [0x24, 0x10, 0, 0] + Array("WEBPVP8 ".utf8)),
        Header("HEIC", [0, 0, 0, 0x24], text: "ftypheic", [0, 0, 0, 0]),
        Header("AVIF", [0, 0, 0, 0x20], text: "ftypavif", [0, 0, 0, 0]),
        Header("MP4", [0, 0, 0, 0x18], text: "ftypmp42", [0, 0, 0, 0]),
        Header("MOV", [0, 0, 0, 0x14], text: "ftypqt  ", [0x20, 5, 3, 0]),
        Header("3GP", [0, 0, 0, 0x1c], text: "ftyp3gp5", [0, 0, 0, 0]),
        Header("CR3", [0, 0, 0, 0x18], text: "ftypcrx ", [0, 0, 0, 1]),
        Header(
            "QuickTime, moov first", [0, 0, 0x0c, 0xf4], text: "moov", [0, 0, 0, 0x6c] + Array("mvhd".utf8)),
        Header("QuickTime, large mdat first", [0x01, 0x32, 0x07, 0x44], text: "mdat", [0, 0, 0, 1]),
        Header("QuickTime, wide", [0, 0, 0, 8], text: "wide", [0, 1, 2, 3] + Array("mdat".utf8)),
        Header("QuickTime, free", [0, 0, 0, 8], text: "free", [0, 1, 2, 3] + Array("mdat".utf8)),
        Header("QuickTime, skip", [0, 0, 0, 8], text: "skip", [0, 1, 2, 3] + Array("mdat".utf8)),
        Header("JPEG XL", [0xff, 0x0a, 0xfa, 0x7f, 0x01, 0x90]),
        Header("JPEG XL in boxes", [0, 0, 0, 0x0c, 0x4a, 0x58, 0x4c, 0x20, 0x0d, 0x0a, 0x87, 0x0a]),
        Header("JPEG 2000", [0, 0, 0, 0x0c, 0x6a, 0x50, 0x20, 0x20, 0x0d, 0x0a, 0x87, 0x0a]),
        Header("Matroska", [0x1a, 0x45, 0xdf, 0xa3, 0xa3, 0x42, 0x86, 0x81]),
        Header("WMV", [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9]),
        Header("MPEG program stream", [0, 0, 1, 0xba, 0x44, 0, 4]),
        Header("MP3 with ID3v2", text: "ID3", [3, 0, 0, 0, 0, 0x0f, 0x76]),
        Header("MP3", [0xff, 0xfb, 0x90, 0x64, 0, 0]),
        Header("AAC ADTS", [0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f, 0xfc]),
        Header("FLAC", text: "fLaC", [0, 0, 0, 0x22]),
        Header("Ogg", text: "OggS", [0, 2, 0, 0, 0, 0]),
        Header("docx", [0x50, 0x4b, 3, 4, 0x14, 0, 6, 0, 8, 0]),
        Header("empty zip", [0x50, 0x4b, 5, 6] + [UInt8](repeating: 0, count: 12)),
        Header("gzip", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]),
        Header("xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4, 0xe6, 0xd6]),
        Header("bzip2", text: "BZh9", [0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0xaf]),
        Header("zstd", [0x28, 0xb5, 0x2f, 0xfd, 4, 0x58]),
        Header("LZ4 frame", [4, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7]),
        Header("7z", [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0, 4]),
        Header("RAR 5", text: "Rar!", [0x1a, 7, 1, 0]),
    ]

    static let uncompressedMedia = [
        Header("TIFF or DNG, little-endian", [0x49, 0x49, 0x2a, 0, 8, 0, 0, 0]),
        Header("CR2", [0x49, 0x49, 0x2a, 0, 0x10, 0, 0, 0, 0x43, 0x52, 2, 0]),
        Header("NEF, big-endian", [0x4d, 0x4d, 0, 0x2a, 0, 0, 0, 8]),
        Header("BigTIFF", [0x49, 0x49, 0x2b, 0, 8, 0, 0, 0]),
        Header("RW2", [0x49, 0x49, 0x55, 0, 0x18, 0, 0, 0]),
        Header("ORF", text: "IIRO", [8, 0, 0, 0]),
        Header("RAF", text: "FUJIFILMCCD-RAW 0201"),
        Header("AVI", text: "RIFF", [0xd6, 0x10, 0, 0] + Array("AVI LIST".utf8)),
    ]

    static let general = [
        Header("nothing", []),
        Header("SQLite", text: "SQLite format 3", [0, 0x10, 0]),
        Header("ELF", [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]),
        Header("BMP", text: "BM", [0x36, 0x10, 0x0e, 0, 0, 0, 0, 0, 0x36, 0]),
        Header("WAV", text: "RIFF", [0x24, 0x10, 0, 0] + Array("WAVEfmt ".utf8)),
        Header("UTF-16 text", [0xff, 0xfe, 0x41, 0, 0x42, 0]),
        Header("prose that looks like a box", text: "The free encyclopedia"),
        Header("prose that looks like bzip2", text: "BZhou wrote this"),
        Header("PDF", text: "%PDF-1.7\n"),
        Header("zeros", [UInt8](repeating: 0, count: 16)),
    ]

    @Test(arguments: compressed) func compressedMedia(header: Header) {
        #expect(header.traits.contentClass == .media && header.traits.isCompressed)
    }

    @Test(arguments: uncompressedMedia) func mediaThatMayBePlain(header: Header) {
        #expect(header.traits.contentClass == .media && !header.traits.isCompressed)
    }

    @Test(arguments: general) func everythingElse(header: Header) {
        #expect(header.traits == ContentTraits(contentClass: .general, isCompressed: false))
    }

    @Test func truncatedHeadersAreHarmless() {
        for header in Self.compressed + Self.uncompressedMedia + Self.general {
            for count in 0...min(header.bytes.count, ContentClass.sniffByteCount) {
                let truncated = Header(header.name, Array(header.bytes.prefix(count)))
                let isRecognised = truncated.traits == header.traits
                #expect(isRecognised || truncated.traits.contentClass == .general, "\(header.name), \(count)")
            }
        }
    }

    @Test func sniffByteCountSettlesEverything() {
        let longest = Signature.all.map(\.byteCount).max()
        #expect(longest! <= ContentClass.sniffByteCount)
        for header in Self.compressed + Self.uncompressedMedia + Self.general {
            let prefix = Header(header.name, Array(header.bytes.prefix(ContentClass.sniffByteCount)))
            #expect(prefix.traits == header.traits, "\(header.name)")
        }
    }

    @Test func storedValuesStay() {
        #expect(ContentClass.general.rawValue == 1)
        #expect(ContentClass.media.rawValue == 2)
    }
}
