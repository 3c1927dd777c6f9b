// Checking an object piece by piece gives the same verdict as reading it whole.

import BakCodec
import BakCore
import BakFormat
import Testing

@Suite struct CheckPiecesTests {
    private let name = "index/x"

    private func verdict(_ bytes: [UInt8]) -> String? {
        do {
            try ObjectFrame.checkPieces(size: bytes.count, object: name) { offset, buffer in
                buffer.copyBytes(from: bytes[offset..<(offset + buffer.count)])
            }
            return nil
        } catch { return "\(error)" }
    }

    private func whole(_ bytes: [UInt8]) -> String? {
        do {
            try bytes.withUnsafeBytes {
                _ = try ObjectFrame.frame($0, object: name, expecting: [.indexSegment], id: nil)
            }
            return nil
        } catch { return "\(error)" }
    }

    @Test func itIsTheSameInPiecesAsWhole() {
        let piece = 1 << 20
        for count in [0, 1, 100, piece - 64, piece - 63, 2 * piece - 16, 3 * piece + 5] {
            let body = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let id = ID128(high: 1, low: 2)
            let object = ObjectFrame.encode(kind: .indexSegment, id: id, body: body, sealer: .plain)
            #expect(verdict(object) == nil, "\(count)")
            // Every part of the object is changed once, also its version. It is then this program's object and damaged,
            // not a newer program's.
            for place in [8, 10, 11, 63, 64, 64 + count / 2, object.count - 17, object.count - 1]
            where place < object.count {
                var changed = object
                changed[place] ^= 0x10
                #expect(verdict(changed) == whole(changed), "\(count) changed at \(place)")
                #expect(verdict(changed) != nil, "\(count) changed at \(place)")
            }
            var newer = object
            newer[10] = 2
            newer[20] ^= 1
            #expect(verdict(newer) == whole(newer))
            #expect(verdict(newer)?.contains("newer bakstore") == true)
        }
    }

    @Test func whatTheMediumDoesNotGiveIsItsError() {
        struct Refusal: Error {}
        let object = ObjectFrame.encode(
            kind: .indexSegment, id: .zero, body: [UInt8](repeating: 1, count: 3 << 20), sealer: .plain)
        for failing in [0, 64, 2 << 20, object.count - 16] {
            #expect(throws: Refusal.self) {
                try ObjectFrame.checkPieces(size: object.count, object: name) { offset, buffer in
                    if (offset..<(offset + buffer.count)).contains(failing) { throw Refusal() }
                    buffer.copyBytes(from: object[offset..<(offset + buffer.count)])
                }
            }
        }
    }
}
