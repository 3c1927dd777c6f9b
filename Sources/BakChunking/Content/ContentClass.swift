// ContentClass: the class of a file's content, judged by its first bytes and never by its name. The class affects only
// sizes and codecs, so a wrong class costs only space or time.

/// The class of chunk sizes that suits a file. The raw values are stored.
public enum ContentClass: UInt8, Sendable, CaseIterable {
    /// Databases, text, bitmaps, mail: edits change small parts of such a file.
    case general = 1
    /// Pictures, video, audio, archives: large, mostly compressed, rarely edited.
    case media = 2

    /// The number of bytes at a file's start that determine its class.
    public static let sniffByteCount = 16

    /// Recognises content by its first bytes. Pass fewer than `sniffByteCount` only for a shorter file. Content that
    /// matches no signature is general and uncompressed.
    public static func sniff(firstBytes: UnsafeRawBufferPointer) -> ContentTraits {
        for signature in Signature.all where signature.matches(firstBytes) { return signature.traits }
        return .unknown
    }
}

/// The properties of a file that follow from its first bytes.
public struct ContentTraits: Hashable, Sendable {
    /// The class of chunk sizes that suits it.
    public var contentClass: ContentClass
    /// True if it is compressed already, so that compressing it would waste time.
    public var isCompressed: Bool
    /// The container format whose structure gives hints; nil if there is none.
    public var container: ContainerKind?

    /// Makes a record.
    public init(contentClass: ContentClass, isCompressed: Bool, container: ContainerKind? = nil) {
        self.contentClass = contentClass
        self.isCompressed = isCompressed
        self.container = container
    }

    /// The traits of unknown content.
    static let unknown = ContentTraits(contentClass: .general, isCompressed: false)
    /// The traits of a container's metadata: small and worth compressing.
    static let metadata = unknown
}

/// The first bytes of a type of file.
struct Signature: Sendable {
    let type: ContentType
    let traits: ContentTraits
    private let pattern: [(value: UInt8, mask: UInt8)]

    /// Makes a signature from tokens separated by spaces. A token in single quotes is text. Any other token is two
    /// hexadecimal digits, and a `.` in it matches any digit.
    private init(
        _ type: ContentType, _ pattern: String, isCompressed: Bool = true, _ container: ContainerKind? = nil
    ) {
        self.type = type
        traits = ContentTraits(contentClass: .media, isCompressed: isCompressed, container: container)
        self.pattern = pattern.split(separator: " ").flatMap { token in
            token.hasPrefix("'") ? Self.text(token) : [Self.digits(token)]
        }
    }

    private static func text(_ token: Substring) -> [(value: UInt8, mask: UInt8)] {
        token.dropFirst().dropLast().utf8.map { ($0, 0xff) }
    }

    private static func digits(_ token: Substring) -> (value: UInt8, mask: UInt8) {
        token.reduce((value: 0, mask: 0)) { byte, digit in
            let nibble = digit.hexDigitValue.map { (UInt8($0), UInt8(0xf)) } ?? (0, 0)
            return (byte.value << 4 | nibble.0, byte.mask << 4 | nibble.1)
        }
    }

    /// The number of bytes that the signature looks at.
    var byteCount: Int { pattern.count }

    func matches(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= pattern.count else { return false }
        for (byte, expected) in zip(bytes, pattern) where byte & expected.mask != expected.value {
            return false
        }
        return true
    }

    /// All known signatures. Sizes, codecs, hints and names follow from this one table. No two signatures conflict, so
    /// their order does not matter.
    static let all: [Signature] = [
        // Pictures.
        Signature(.jpeg, "FF D8 FF", .jpeg),  // JPEG
        Signature(.png, "89 'PNG' 0D 0A 1A 0A", .png),
        Signature(.gif, "'GIF87a'"),
        Signature(.gif, "'GIF89a'"),
        Signature(.webp, "'RIFF' .. .. .. .. 'WEBP'", .riff),
        Signature(.jpegXL, "FF 0A"),  // JPEG XL, bare codestream
        Signature(.jpegXL, "00 00 00 0C 'JXL' 20 0D 0A 87 0A", .boxes),  // JPEG XL in boxes
        Signature(.jpeg2000, "00 00 00 0C 'jP' 20 20 0D 0A 87 0A", .boxes),  // JPEG 2000
        // Raw pictures may hold uncompressed samples, so compression is tried.
        Signature(.raw, "'II' 2A 00", isCompressed: false, .tiff),  // TIFF, DNG, NEF, ARW, CR2
        Signature(.raw, "'MM' 00 2A", isCompressed: false, .tiff),
        Signature(.raw, "'II' 2B 00", isCompressed: false),  // BigTIFF
        Signature(.raw, "'MM' 00 2B", isCompressed: false),
        Signature(.raw, "'IIU' 00", isCompressed: false, .tiff),  // Panasonic RW2
        Signature(.raw, "'IIRO'", isCompressed: false, .tiff),  // Olympus ORF
        Signature(.raw, "'IIRS'", isCompressed: false, .tiff),
        Signature(.raw, "'MMOR'", isCompressed: false, .tiff),
        Signature(.raw, "'FUJIFILMCCD-RAW'", isCompressed: false, .raf),  // Fujifilm RAF
        Signature(.raw, "'FOVb'", isCompressed: false),  // Sigma X3F
        // ISO base media: HEIC, AVIF, MP4, MOV, 3GP, CR3, and QuickTime files that are older than the box `ftyp`. A box
        // below 16 MiB starts with a zero byte, which excludes prose such as "The free ...".
        Signature(.mp4, "00 .. .. .. 'ftyp'", .boxes),
        Signature(.quickTime, "00 .. .. .. 'moov'", .boxes),
        Signature(.quickTime, "00 .. .. .. 'wide'", .boxes),
        Signature(.quickTime, "00 .. .. .. 'free'", .boxes),
        Signature(.quickTime, "00 .. .. .. 'skip'", .boxes),
        Signature(.quickTime, ".. .. .. .. 'mdat'", .boxes),
        // Other video.
        Signature(.matroska, "1A 45 DF A3"),  // Matroska, WebM
        Signature(.avi, "'RIFF' .. .. .. .. 'AVI' 20", isCompressed: false, .riff),
        Signature(.windowsMedia, "30 26 B2 75 8E 66 CF 11"),  // ASF: WMV, WMA
        Signature(.mpeg, "00 00 01 BA"),  // MPEG program stream
        // Audio. A frame sync has only eleven bits, so the headers in use are listed one by one. FF FE, the byte-order
        // mark of UTF-16, is not among them.
        Signature(.mp3, "'ID3' 0.", .mpegAudio),
        Signature(.mp3, "FF FB", .mpegAudio),  // MPEG-1 layer III
        Signature(.mp3, "FF FA", .mpegAudio),
        Signature(.mp3, "FF F3", .mpegAudio),  // MPEG-2 layer III
        Signature(.mp3, "FF F2", .mpegAudio),
        Signature(.mp3, "FF E3", .mpegAudio),  // MPEG-2.5 layer III
        Signature(.aac, "FF F1"),  // AAC ADTS
        Signature(.aac, "FF F9"),
        Signature(.flac, "'fLaC'", .flac),
        Signature(.ogg, "'OggS' 00"),
        // Archives and compressed streams.
        Signature(.zip, "'PK' 03 04", .zip),  // zip, docx, apk
        Signature(.zip, "'PK' 05 06"),  // zip without members
        Signature(.zip, "'PK' 07 08"),  // split zip
        Signature(.compressed, "1F 8B 08"),  // gzip
        Signature(.compressed, "FD '7zXZ' 00"),
        Signature(.compressed, "'BZh' 3. 31 41 59 26 53 59"),  // bzip2 with its first block
        Signature(.compressed, "28 B5 2F FD"),  // zstd
        Signature(.compressed, "04 22 4D 18"),  // LZ4 frame
        Signature(.compressed, "'7z' BC AF 27 1C"),
        Signature(.compressed, "'Rar!' 1A 07"),
    ]
}
