import BakCore
import Testing

@Suite struct ByteCodingTests {
    @Test(arguments: [0, 1, 127, 128, 16383, 16384, UInt64.max - 1, UInt64.max])
    func varintsRoundTrip(value: UInt64) throws {
        var writer = ByteWriter()
        writer.varint(value)
        try writer.bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes, object: "test")
            let decoded = try reader.varint()
            #expect(decoded == value)
            #expect(reader.isAtEnd)
        }
    }

    @Test(arguments: [Int64.min, -1, 0, 1, 63, -64, 64, Int64.max])
    func signedVarintsRoundTrip(value: Int64) throws {
        var writer = ByteWriter()
        writer.signedVarint(value)
        try writer.bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes, object: "test")
            let decoded = try reader.signedVarint()
            #expect(decoded == value)
        }
    }

    @Test(arguments: [
        [0x80, 0x00],  // a useless last byte
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],  // 65 bits
        [0x80, 0x80],  // cut off
    ])
    func badVarintsAreRefused(bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes, object: "test")
            #expect(throws: CorruptionError.self) { try reader.varint() }
        }
    }

    @Test func idsOrderAsTheirBytes() throws {
        let id = try #require(ID128("000102030405060708090a0b0c0d0e0f"))
        var writer = ByteWriter()
        writer.id(id)
        #expect(writer.bytes == Array(0..<16))
        #expect(id < ID128(high: id.high, low: id.low + 1))
        #expect(id.description == "000102030405060708090a0b0c0d0e0f")
        #expect(ID128("0001") == nil)
        #expect(ID128("000102030405060708090A0B0C0D0E0F") == nil)
    }

    @Test func foldersPrecedeTheirContentAndThenLongerNames() {
        let sorted = ["a", "a/b", "a/b/c", "a-b", "a.b", "ab"].map { Array($0.utf8) }
        for (earlier, later) in zip(sorted, sorted.dropFirst()) {
            #expect(PathOrder.precedes(earlier, later))
            #expect(!PathOrder.precedes(later, earlier))
        }
    }
}
