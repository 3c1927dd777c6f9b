import BakCore
import Testing

@Suite struct TextLinesTests {
    private func lines(_ bytes: [UInt8]) throws -> [String] {
        try TextLines.split(bytes).map { "\($0.number):" + String(decoding: $0.bytes, as: UTF8.self) }
    }

    @Test(
        arguments: [
            ("", []), ("\n", ["1:"]), ("a", ["1:a"]), ("a\n", ["1:a"]), ("a\n\nb", ["1:a", "2:", "3:b"]),
            ("a\r\nb\r\n", ["1:a", "2:b"]), ("a\rb\n", ["1:a\rb"]), (" a \n", ["1: a "]), ("\r\n", ["1:"]),
            ("ä\nö", ["1:ä", "2:ö"]),
        ] as [(String, [String])])
    func areTheSameWithMarkAndWithout(text: String, expected: [String]) throws {
        // CR LF is one Character, but here bytes count.
        #expect(try lines(Array(text.utf8)) == expected)
        #expect(try lines([0xef, 0xbb, 0xbf] + Array(text.utf8)) == expected)
    }

    @Test func aMarkWithinStays() throws {
        #expect(try TextLines.split(Array("a\n\u{feff}b".utf8))[1].bytes == Array("\u{feff}b".utf8))
    }

    @Test func otherEncodingsAreNamed() {
        #expect(throws: TextFault.wideEncoding("UTF-16")) { try TextLines.split([0xff, 0xfe, 0x61, 0]) }
        #expect(throws: TextFault.wideEncoding("UTF-16")) { try TextLines.split([0xfe, 0xff, 0, 0x61]) }
        #expect(throws: TextFault.wideEncoding("UTF-32")) { try TextLines.split([0xff, 0xfe, 0, 0]) }
        #expect(throws: TextFault.wideEncoding("UTF-32")) { try TextLines.split([0, 0, 0xfe, 0xff]) }
        #expect(throws: TextFault.zeroByte(line: 2)) { try TextLines.split([0x61, 0x0a, 0x61, 0]) }
        #expect(throws: TextFault.zeroByte(line: 1)) { try TextLines.split([0x61, 0, 0x0a, 0]) }
    }

    @Test func namesNeedNotBeUTF8() throws {
        #expect(try TextLines.split([0xfe, 0x0a, 0xc3]).map(\.bytes) == [[0xfe], [0xc3]])
    }
}
