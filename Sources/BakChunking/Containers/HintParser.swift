// HintParser: what the parsers of containers have in common. A parser is a state machine that asks for a window of
// the file, is given exactly that, suggests cuts, and asks for the next. It never sees how the file was read, so
// its hints cannot depend on that.

/// What a parser wants to see next.
enum HintRequest {
    /// `count` bytes at `offset`. Until they are seen, nothing from `hold` on is cut.
    case window(offset: UInt64, count: Int, hold: UInt64)
    /// Whatever there is from `offset` on, `least` bytes at least, to look for something in it. What a parser finds
    /// must not depend on how much it is given.
    case search(offset: UInt64, least: Int)
    /// The last bytes of the file from `offset` on, up to `count`.
    case tail(offset: UInt64, count: Int)
    /// Nothing: the rest of the file, or of the part that was left to it, has no structure to follow.
    case done

    /// A window that holds nothing back but itself.
    static func at(_ offset: UInt64, _ count: Int) -> HintRequest {
        .window(offset: offset, count: count, hold: offset)
    }
}

/// Reads the structure of one kind of container.
protocol HintParser {
    /// Begins with the container's first byte at `start` of the file.
    init(start: UInt64)
    /// The first request.
    var first: HintRequest { get }
    /// Looks at what was requested and says what is wanted next. It asks for offsets that never decrease.
    mutating func parse(_ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?)
        -> HintRequest
}

/// A container within another. The parser that finds it is asked again behind it.
struct NestedContainer {
    var kind: ContainerKind
    var range: Range<UInt64>
}

/// The containers whose structure is known.
public enum ContainerKind: String, Sendable, CaseIterable {
    /// JPEG, with what cameras append to it.
    case jpeg
    /// ISO base media and QuickTime: MP4, MOV, 3GP, HEIC, AVIF, CR3; JPEG XL and JPEG 2000 use the same boxes.
    case boxes
    /// PNG.
    case png
    /// RIFF: WebP, AVI.
    case riff
    /// TIFF, DNG and raw pictures that are built alike.
    case tiff
    /// Fujifilm's raw pictures.
    case raf
    /// ZIP.
    case zip
    /// MPEG audio, with ID3 and APE tags.
    case mpegAudio
    /// FLAC.
    case flac

    func parser(start: UInt64) -> any HintParser {
        switch self {
        case .jpeg: JPEGParser(start: start)
        case .boxes: BoxParser(start: start)
        case .png: PNGParser(start: start)
        case .riff: RIFFParser(start: start)
        case .tiff: TIFFParser(start: start)
        case .raf: RAFParser(start: start)
        case .zip: ZIPParser(start: start)
        case .mpegAudio: MPEGAudioParser(start: start)
        case .flac: FLACParser(start: start)
        }
    }
}
