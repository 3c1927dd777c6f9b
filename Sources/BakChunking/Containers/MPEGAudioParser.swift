// MPEGAudioParser: MP3 and similar formats. The file may begin with an ID3v2 tag (id3.org, 2.2 to 2.4), whose large
// pictures get chunks of their own. Audio frames follow. An APE tag and an ID3v1 tag of 128 bytes may come at the end.

struct MPEGAudioParser: HintParser {
    private enum State { case tag, frame, end }

    private static let tagHeaderBytes = 10
    private static let frameHeaderBytes: UInt64 = 10
    private static let leastPictureBytes: UInt64 = 4096
    private static let tailBytes = 64 << 10

    private var state = State.tag
    private let start: UInt64
    private var version = 0
    private var tagEnd: UInt64

    init(start: UInt64) {
        self.start = start
        tagEnd = start
    }

    var first: HintRequest { .at(start, Self.tagHeaderBytes) }

    mutating func parse(
        _ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?
    ) -> HintRequest {
        switch state {
        case .tag:
            guard window.has("ID3", at: 0), let version = window.byte(3), let flags = window.byte(5),
                let byteCount = Self.sevenBits(window, at: 6)
            else { return sound() }
            self.version = Int(version)
            tagEnd = start + UInt64(Self.tagHeaderBytes) + byteCount + (flags & 0x10 != 0 ? 10 : 0)
            hints.cut(at: tagEnd, .payload)
            return frame(at: window.end)
        case .frame:
            // A frame in a tag begins with a letter or digit. Padding does not.
            guard let byteCount = version == 4 ? Self.sevenBits(window, at: 4) : window.u32(4),
                byteCount > 0, window.byte(0)! >= 0x30
            else { return sound() }
            let end = window.offset + Self.frameHeaderBytes + byteCount
            if byteCount >= Self.leastPictureBytes, end <= tagEnd {
                hints.cutIfFar(at: window.offset, .payload)
                if end < tagEnd { hints.cut(at: end, .metadata) }
            }
            return frame(at: end)
        case .end:
            guard let tags = Self.tagBytes(atEndOf: window) else { return .done }
            hints.cut(at: window.end - tags, .metadata)
            return .done
        }
    }

    private mutating func frame(at offset: UInt64) -> HintRequest {
        guard version >= 3, offset + Self.frameHeaderBytes < tagEnd else { return sound() }
        state = .frame
        return .at(offset, Int(Self.frameHeaderBytes))
    }

    private mutating func sound() -> HintRequest {
        state = .end
        return .tail(offset: tagEnd, count: Self.tailBytes)
    }

    /// Returns the length of the tags at the end; nil if there are none.
    private static func tagBytes(atEndOf window: HintWindow) -> UInt64? {
        var rest = window.count
        if window.has("TAG", at: rest - 128) { rest -= 128 }
        // The footer of an APE tag has 32 bytes. It contains the length of the tag up to and including the footer.
        if window.has("APETAGEX", at: rest - 32), let count = window.u32(rest - 20, isLittle: true),
            let flags = window.u32(rest - 12, isLittle: true), count <= UInt64(rest)
        {
            let headerBytes = flags & 1 << 31 != 0 ? 32 : 0
            rest = max(rest - Int(count) - headerBytes, 0)
        }
        return rest == window.count ? nil : UInt64(window.count - rest)
    }

    /// Reads a number of 28 bits, seven in each byte.
    private static func sevenBits(_ window: HintWindow, at place: Int) -> UInt64? {
        guard let value = window.u32(place), value & 0x8080_8080 == 0 else { return nil }
        return value & 0x7f | value >> 1 & 0x3f80 | value >> 2 & 0x1f_c000 | value >> 3 & 0xfe0_0000
    }
}
