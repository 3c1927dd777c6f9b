// RIFFParser: RIFF. After a header of 12 bytes come chunks: a type of four bytes, a little-endian length of four, the
// content, and a padding byte if the length is odd. In a WebP, ICCP, EXIF and XMP are metadata. In an AVI, all chunks
// but the list `movi` are metadata. Audio files (WAVE) are not compressed and are cut as general content.

struct RIFFParser: HintParser {
    private static let metadataTypes: [StaticString] = [
        "VP8X", "ICCP", "EXIF", "XMP ", "LIST", "JUNK", "idx1", "avih",
    ]
    private static let leastLargeBytes: UInt64 = 2048

    private let start: UInt64
    private var isInPayload = false

    init(start: UInt64) { self.start = start }

    var first: HintRequest { .at(start + 12, 12) }

    mutating func parse(
        _ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?
    ) -> HintRequest {
        guard let count = window.u32(4, isLittle: true) else { return .done }
        let end = window.offset + 8 + count + count % 2
        let isMovie = window.has("LIST", at: 0) && window.has("movi", at: 8)
        let isPayload = isMovie || !Self.metadataTypes.contains { window.has($0, at: 0) }
        if isPayload != isInPayload {
            hints.cut(at: window.offset + (isMovie ? 12 : 0), isPayload ? .payload : .metadata)
        } else if !isPayload, count >= Self.leastLargeBytes {
            hints.setApart(window.offset..<end, .metadata)
        }
        isInPayload = isPayload
        return .at(end, 12)
    }
}
