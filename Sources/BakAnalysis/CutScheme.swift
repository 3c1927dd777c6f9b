// CutScheme: a way of cutting files that a benchmark tries, and the cursor that cuts one file by it.

import BakEngine
import BakChunking
import BakCodec
import BakCore
import BakFormat

/// A way of cutting files.
public enum CutScheme: Hashable, Sendable {
    /// The repository's own way: sizes by content class, and restarts at hints.
    case standard
    /// The repository's sizes by content class, without restarts at hints.
    case withoutHints
    /// Chunks with one average size in bytes, whatever the content.
    case oneSize(average: Int)
    /// FastCDC with normalization level 2 and this normal size in bytes.
    case fastCDC(normal: Int)

    /// The schemes that a benchmark tries on a whole library.
    public static let all: [CutScheme] =
        [.standard] + [64, 128, 256, 512, 1024, 2048, 4096].map { .oneSize(average: $0 << 10) }
        + [.fastCDC(normal: 128 << 10), .fastCDC(normal: 1 << 20)]
    /// The schemes that a benchmark tries on changed files.
    public static let forChanges: [CutScheme] = [.standard, .withoutHints, .fastCDC(normal: 1 << 20)]
}

/// The chunkers of a scheme, with one repository's key.
enum SchemeCutter: Sendable {
    case content(ChunkerSet)
    case plain(Chunker)
    case fastCDC(FastCDC)

    init(_ scheme: CutScheme, _ config: RepositoryConfig) throws {
        switch scheme {
        case .standard: self = .content(try ChunkerSet(config))
        case .withoutHints: self = .content(try ChunkerSet(config, readsStructure: false))
        case .oneSize(let average):
            let sizes = ChunkerParameters(minimum: average / 2, maximum: average * 3 / 2)!
            self = .plain(Chunker(parameters: sizes, key: ChunkerKey(config)))
        case .fastCDC(let normal):
            // FastCDC needs a table of random numbers, its gear table. The repository's secret gives the same table
            // each time.
            let bytes = KeyDerivation.expand(
                secret: config.secret, label: "bakstore comparison", count: FastCDC.gearCount * 8)
            let gear = bytes.withUnsafeBytes { bytes in
                (0..<FastCDC.gearCount).map {
                    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self))
                }
            }
            self = .fastCDC(FastCDC(normal: Double(normal), gear: gear))
        }
    }

    /// The number of bytes in which the scheme always finds the end of a chunk.
    var bytesForAChunk: Int {
        switch self {
        case .content(let chunkers): chunkers.bytesForAChunk
        case .plain(let chunker): chunker.parameters.maximum
        case .fastCDC(let chunker): chunker.maximum
        }
    }
}

/// Cuts one file by a scheme.
struct SchemeCursor {
    private let cutter: SchemeCutter
    private var content: ContentCutter?
    /// The start of the next chunk in the buffer.
    var start = 0

    init(_ cutter: SchemeCutter) {
        self.cutter = cutter
        if case .content(let chunkers) = cutter { content = ContentCutter(chunkers) }
    }

    /// Returns the next chunk of the bytes that have been read; nil if the scheme needs more bytes, or at the end.
    mutating func next(in bytes: UnsafeRawBufferPointer, isLast: Bool) -> ContentChunk? {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
        switch cutter {
        case .content: return content!.nextChunk(in: rest, isLast: isLast)
        case .plain(let chunker): return Self.chunk(chunker.firstCut(in: rest, isLast: isLast))
        case .fastCDC(let chunker): return Self.chunk(chunker.firstCut(in: rest, isLast: isLast))
        }
    }

    private static func chunk(_ byteCount: Int?) -> ContentChunk? {
        byteCount.map { ContentChunk(byteCount: $0, isCompressed: false) }
    }

    mutating func skipHole(_ byteCount: UInt64) { content?.skipHole(byteCount) }
}
