// Fuzzes the container parsers. An input is the content of a file. It is cut twice: once with all bytes available, and
// once with the bytes arriving in pieces. Both cuts must give the same chunks, and the chunks must cover the file.

import BakChunking

private let chunkers: ChunkerSet = {
    let key = ChunkerKey(secret: (0..<ChunkerKey.secretByteCount).map { UInt8(truncatingIfNeeded: $0 &* 37) })
    return ChunkerSet(
        general: Chunker(parameters: ChunkerParameters(minimum: 256, maximum: 768)!, key: key),
        media: Chunker(parameters: ChunkerParameters(minimum: 1024, maximum: 3072)!, key: key))
}()

/// Files shorter than this have no hints.
private let leastBytes = 8 << 10

/// Returns the chunks of a file if `step` more bytes become available whenever the cutter asks for more.
private func chunks(_ file: UnsafeRawBufferPointer, step: Int) -> [ContentChunk] {
    var cutter = ContentCutter(chunkers)
    var chunks: [ContentChunk] = []
    var start = 0
    var filled = min(step, file.count)
    while start < file.count {
        let rest = UnsafeRawBufferPointer(rebasing: file[start..<filled])
        if let chunk = cutter.nextChunk(in: rest, isLast: filled == file.count) {
            precondition(chunk.byteCount > 0 && chunk.byteCount <= rest.count, "a chunk of no bytes")
            chunks.append(chunk)
            start += chunk.byteCount
        } else {
            precondition(filled < file.count, "the last bytes are not cut")
            filled = min(filled + step, file.count)
        }
    }
    precondition(chunks.count <= file.count / 128 + 40, "too many chunks")
    return chunks
}

/// Cuts an input as a file. The input's last byte decides the size of the pieces.
private func challenge(_ input: UnsafeRawBufferPointer) {
    let step = 1 + Int(input[input.count - 1]) * 8
    // The memory ends where the file ends, so that the sanitizer notices a read beyond the file.
    let file = UnsafeMutableRawBufferPointer.allocate(byteCount: max(input.count, leastBytes), alignment: 1)
    defer { file.deallocate() }
    file.copyMemory(from: input)
    for place in file.indices.dropFirst(input.count) { file[place] = UInt8(truncatingIfNeeded: place &* 89) }
    let bytes = UnsafeRawBufferPointer(file)
    precondition(chunks(bytes, step: file.count) == chunks(bytes, step: step), "reads decide the cuts")
}

/// Returns a short beginning for each kind of container.
private func beginnings() -> [(name: String, bytes: [UInt8])] {
    let exif = "\u{0}\u{40}Exif\0\0II*\0\u{8}\0\0\0\u{1}\0\u{3e}\u{12}\u{7}\0\0\u{8}\0\0\u{40}\0\0\0\0\0\0\0"
    return [
        ("jpeg", [0xff, 0xd8, 0xff, 0xe1] + Array(exif.utf8) + [0xff, 0xda, 0, 2]),
        (
            "mpf",
            [0xff, 0xd8, 0xff, 0xe2, 0, 8] + Array("MPF\0II".utf8) + [
                0xff, 0xda, 0, 2, 0xff, 0xd9, 0xff, 0xd8,
            ]
        ),
        ("heic", Array("\0\0\0\u{10}ftypheic\0\0\0\0\0\0\0\u{10}mdatabcdefgh\0\0\0\u{40}meta\0\0\0\0".utf8)),
        ("items", Array("\0\0\0\u{10}iinf\0\0\0\0\0\u{1}\0\0\0\u{15}infe\u{2}\0\0\0\0\u{1}\0\0Exif\0".utf8)),
        ("film", Array("\0\0\0\u{10}ftypisom\0\0\0\0\0\0\0\u{18}moov\0\0\0\u{10}trak\0\0\0\u{8}stco".utf8)),
        ("png", [0x89] + Array("PNG\r\n\u{1a}\n\0\0\0\u{1}IHDRx1234\0\0\0\u{8}IDAT".utf8)),
        ("webp", Array("RIFF\0\0\0\0WEBPVP8X\u{2}\0\0\0abVP8 \u{8}\0\0\0".utf8)),
        ("tiff", Array("II*\0\u{8}\0\0\0\u{1}\0\u{11}\u{1}\u{4}\0\u{1}\0\0\0\u{40}\0\0\0\0\0\0\0".utf8)),
        ("raf", Array("FUJIFILMCCD-RAW ".utf8)),
        ("zip", Array("PK\u{3}\u{4}".utf8) + [UInt8](repeating: 0, count: 26)),
        ("mp3", Array("ID3\u{3}\0\0\0\0\u{10}\0APIC\0\0\u{10}\0\0\0".utf8)),
        ("flac", Array("fLaC\0\0\0\u{4}abcd\u{6}\0\u{18}\0".utf8)),
    ]
}

extension FuzzTarget {
    /// The container parsers, called through `ContentCutter`.
    static let hints = FuzzTarget(run: challenge, samples: beginnings)
}
