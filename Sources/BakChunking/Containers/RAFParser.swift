// RAFParser: Fujifilm's raw pictures. The header has big-endian offsets and lengths: at 84 those of a JPEG with the
// metadata, at 92 those of the sensor's description, at 100 those of the samples.

struct RAFParser: HintParser {
    private let start: UInt64

    init(start: UInt64) { self.start = start }

    var first: HintRequest { .at(start, 108) }

    mutating func parse(
        _ window: HintWindow, _ hints: inout HintList, _ nested: inout NestedContainer?
    ) -> HintRequest {
        guard let picture = window.u32(84), let pictureBytes = window.u32(88), let samples = window.u32(100),
            picture >= 108, pictureBytes > 0
        else { return .done }
        let range = start + picture..<start + picture + pictureBytes
        hints.cut(at: range.upperBound, .metadata)
        if start + samples >= range.upperBound { hints.cut(at: start + samples, .payload) }
        nested = NestedContainer(kind: .jpeg, range: range)
        return .done
    }
}
