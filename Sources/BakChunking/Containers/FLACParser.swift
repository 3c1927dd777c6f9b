// FLACParser: FLAC (RFC 9639). The file begins with `fLaC` and metadata blocks. Each block has a type byte, whose
// highest bit marks the last block, a length of three bytes, and its content. Audio frames follow. Large pictures get
// chunks of their own.

struct FLACParser: HintParser {
    private static let leastPictureBytes: UInt64 = 4096

    private let start: UInt64

    init(start: UInt64) { self.start = start }

    var first: HintRequest { .at(start + 4, 4) }

    mutating func parse(
        _ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?
    ) -> HintRequest {
        guard let word = window.u32(0), word >> 24 & 0x7f != 0x7f else { return .done }
        let end = window.end + (word & 0xff_ffff)
        let isLast = word >> 31 == 1
        if word >> 24 & 0x7f == 6, word & 0xff_ffff >= Self.leastPictureBytes {
            hints.cutIfFar(at: window.end, .payload)
            hints.cut(at: end, .metadata)
        }
        if isLast { hints.cut(at: end, .payload) }
        return isLast ? .done : .at(end, 4)
    }
}
