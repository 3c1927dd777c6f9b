// PNGParser: PNG (RFC 2083). After a signature of eight bytes come chunks: a length of four bytes, a type of four, the
// content, and a CRC of four. IDAT and APNG's fcTL and fdAT are payload; all other chunks are metadata.

struct PNGParser: HintParser {
    private static let leastLargeBytes: UInt64 = 2048

    private let start: UInt64
    private var isInPayload = false

    init(start: UInt64) { self.start = start }

    var first: HintRequest { .at(start + 8, 8) }

    mutating func parse(
        _ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?
    ) -> HintRequest {
        guard let count = window.u32(0), count < 1 << 31 else { return .done }
        let end = window.offset + count + 12
        let isPayload = window.has("IDAT", at: 4) || window.has("fdAT", at: 4) || window.has("fcTL", at: 4)
        if isPayload != isInPayload {
            hints.cut(at: window.offset, isPayload ? .payload : .metadata)
        } else if !isPayload, count >= Self.leastLargeBytes {
            hints.setApart(window.offset..<end, .metadata)
        }
        isInPayload = isPayload
        return window.has("IEND", at: 4) ? .done : .at(end, 8)
    }
}
