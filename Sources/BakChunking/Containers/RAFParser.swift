// RAFParser: Fujifilm's raw pictures. The header has three pairs of offset and length, big-endian. The pair at 84
// locates a JPEG with the metadata, the pair at 92 the sensor's description, and the pair at 100 the samples.

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
