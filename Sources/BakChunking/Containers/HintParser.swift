// HintParser: the interface of the container parsers. A parser is a state machine: it requests a window of the file,
// receives exactly that window, suggests cuts, and makes the next request. It never sees how the file is read, so its
// hints cannot depend on that.

/// A parser's next request.
enum HintRequest {
    /// `count` bytes at `offset`. Until the parser has seen them, nothing from `hold` on is cut.
    case window(offset: UInt64, count: Int, hold: UInt64)
    /// All available bytes from `offset` on, at least `least`, for a search. The result of the search must not depend
    /// on how many bytes there are.
    case search(offset: UInt64, least: Int)
    /// The last bytes of the file from `offset` on, up to `count`.
    case tail(offset: UInt64, count: Int)
    /// No further request: the rest of the file, or of the nested container, has no known structure.
    case done

    /// Returns a request for a window that holds back only the window itself.
    static func at(_ offset: UInt64, _ count: Int) -> HintRequest {
        .window(offset: offset, count: count, hold: offset)
    }
}

/// Reads the structure of one kind of container.
protocol HintParser {
    /// Starts a parser for a container whose first byte is at `start` in the file.
    init(start: UInt64)
    /// The first request.
    var first: HintRequest { get }
    /// Parses the requested window and returns the next request. The offsets of requests never decrease.
    mutating func parse(_ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?)
        -> HintRequest
}

/// A container within another. The outer parser continues after it.
struct NestedContainer {
    var kind: ContainerKind
    var range: Range<UInt64>
}

/// The kinds of containers that bakstore can parse.
public enum ContainerKind: String, Sendable, CaseIterable {
    /// JPEG, including data that cameras append.
    case jpeg
    /// ISO base media and QuickTime: MP4, MOV, 3GP, HEIC, AVIF, CR3. JPEG XL and JPEG 2000 use the same boxes.
    case boxes
    /// PNG.
    case png
    /// RIFF: WebP, AVI.
    case riff
    /// TIFF, DNG and raw pictures with the same structure.
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
