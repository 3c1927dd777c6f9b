// Sizes and offsets, as the headers of the source files and docs/format.md define them.

import BakCodec
import BakCore
import BakFormat
import TestSupport
import Testing

@Suite struct LayoutTests {
    @Test func sizes() {
        #expect(ObjectHeader.byteCount == 64)
        #expect(ObjectFrame.checksumBytes == 16)
        #expect(PackLayout.blobHeaderBytes == 48)
        #expect(PackLayout.footerEntryBytes == 40)
        #expect(PackLayout.tailBytes == 48)
        #expect(PackLayout.minimumBytes == 112)
        #expect(IndexEntry.byteCount == 32)
        #expect(Tombstone.objectBytes == 96)
        #expect(
            FormatLimits.segmentBytes
                > (256 << 10) + FormatLimits.extendedAttributeBytes + 2 * FormatLimits.pathBytes)
    }

    @Test func header() {
        let bytes = FormatSpecimen.session.sample(SeededRandom(seed: 1))
        #expect(Array(bytes[0..<8]) == Array("bakstore".utf8))
        #expect(bytes[8] == ObjectKind.session.rawValue)
        #expect(bytes[9] == SealMethod.none.rawValue)
        #expect(Array(bytes[10..<12]) == [1, 0])
        #expect(Array(bytes[12..<16]) == [0, 0, 0, 0])
        bytes.withUnsafeBytes { #expect(ID128(loading: $0.baseAddress! + 16) == FormatSpecimen.object) }
        #expect(bytes[32..<64].allSatisfy { $0 == 0 })
        let checksum = bytes.dropLast(16).withUnsafeBytes(Checksum.xxh3_128)
        bytes.withUnsafeBytes { #expect(ID128(loading: $0.baseAddress! + $0.count - 16) == checksum) }
    }

    @Test func pack() {
        let stored: [UInt8] = [1, 2, 3, 4, 5]
        let bytes = FormatSpecimen.pack(kind: .chunkPack, [stored])
        #expect(bytes.count == 64 + 48 + 5 + 40 + 48)
        func integer<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
            bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
        }
        let checksum = stored.withUnsafeBytes(Checksum.xxh3_64)
        let id = stored.withUnsafeBytes(Checksum.xxh3_128)
        // The blob's header.
        #expect(Array(bytes[64..<68]) == Array("blob".utf8))
        #expect(Array(bytes[68..<72]) == [Codec.zstd.rawValue, 0, 0, 0])
        #expect(integer(72, UInt32.self) == 10)
        #expect(integer(76, UInt32.self) == 5)
        bytes.withUnsafeBytes { #expect(ID128(loading: $0.baseAddress! + 80) == id) }
        #expect(integer(96, UInt64.self) == checksum)
        #expect(integer(104, UInt64.self) == bytes[64..<104].withUnsafeBytes(Checksum.xxh3_64))
        #expect(Array(bytes[112..<117]) == stored)
        // The footer's row.
        bytes.withUnsafeBytes { #expect(ID128(loading: $0.baseAddress! + 117) == id) }
        #expect(integer(133, UInt32.self) == 64)
        #expect(integer(137, UInt32.self) == 10)
        #expect(integer(141, UInt32.self) == 5)
        #expect(Array(bytes[145..<149]) == [Codec.zstd.rawValue, 0, 0, 0])
        #expect(integer(149, UInt64.self) == checksum)
        // The tail.
        #expect(Array(bytes[157..<161]) == Array("tail".utf8))
        #expect(integer(161, UInt32.self) == 1)
        #expect(integer(165, UInt64.self) == 117)
        #expect(bytes[173..<189].allSatisfy { $0 == 0 })
        let checked = Array(bytes[0..<64] + bytes[117..<189])
        bytes.withUnsafeBytes {
            #expect(ID128(loading: $0.baseAddress! + 189) == checked.withUnsafeBytes(Checksum.xxh3_128))
        }
    }
}
