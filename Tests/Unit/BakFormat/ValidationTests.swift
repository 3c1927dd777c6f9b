// Every rule of a decoder is broken once, in a value with a correct checksum.

import BakCodec
import BakCore
import BakFormat
import TestSupport
import Testing

/// Writes the beginning of a plan or a decision, after the repository's id.
private func head(_ writer: inout ByteWriter, round: UInt64 = FormatSpecimen.round) {
    writer.integer(round)
    writer.timestamp(Timestamp(seconds: 0))
    for _ in 0..<2 { writer.text("") }
}

/// Writes a decision with lists of equal ids. `counts` has the length of each list.
private func lists(_ writer: inout ByteWriter, _ counts: [Int]) {
    head(&writer)
    for count in counts { writer.integer(UInt32(count)) }
    for count in counts { for _ in 0..<count { writer.id(FormatSpecimen.object) } }
}

/// Writes the fields of a configuration up to its number of classes.
private func configHead(
    _ body: inout ByteWriter, required: UInt64 = 0, algorithm: UInt8 = 1, sealed: UInt8 = 0
) {
    body.integer(required)
    body.integer(UInt64.max)
    body.byte(algorithm)
    body.byte(sealed)
}

private func configClass(_ body: inout ByteWriter, _ sizes: [Int] = [64, 128, 256]) {
    body.byte(1)
    for size in sizes { body.varint(size) }
}

private func configEnd(
    _ body: inout ByteWriter, packBytes: Int = 1 << 20, inlineBytes: Int = 0, compression: String = "auto"
) {
    body.zeros(32)
    body.varint(packBytes)
    body.varint(inlineBytes)
    body.text(compression)
    body.timestamp(Timestamp(seconds: 0))
}

private func indexBody(
    _ body: inout ByteWriter, packs: [(id: UInt64, size: UInt64, kind: UInt8, pad: UInt8)],
    entries: [(id: UInt64, pack: UInt32, offset: UInt32, raw: UInt32, stored: UInt32)]
) {
    body.integer(UInt32(packs.count))
    body.integer(UInt32(entries.count))
    for pack in packs {
        body.id(ID128(high: pack.id, low: 0))
        body.integer(pack.size)
        body.byte(pack.kind)
        body.byte(pack.pad)
        body.zeros(6)
    }
    for entry in entries {
        body.id(ID128(high: entry.id, low: 0))
        for field in [entry.pack, entry.offset, entry.raw, entry.stored] { body.integer(field) }
    }
}

@Suite struct ValidationTests {
    @Test(arguments: frameBreaches + configBreaches + recordBreaches)
    func smallObjects(_ breach: Breach) { breach.expectRefusal() }

    @Test(arguments: packBreaches + indexBreaches)
    func packsAndIndexes(_ breach: Breach) { breach.expectRefusal() }

    @Test(arguments: segmentBreaches + entryBreaches + rootBreaches)
    func manifests(_ breach: Breach) { breach.expectRefusal() }

    private static let frameBreaches: [Breach] = [
        Breach(.session, "before its header and checksum", [1, 2, 3]),
        Breach(.session, "does not begin as", at: 0, [0]),
        Breach(.session, "its kind is 99", at: 8, [99]),
        Breach(.session, "its kind is 1", at: 8, [1]),
        Breach(.session, "sealed by method 7", at: 9, [7]),
        Breach(.session, "Use a newer bakstore", at: 10, [2]),
        Breach(.session, "reserved bytes", at: 15, [1]),
        Breach(.session, "not the one its name says", at: 16, [0]),
        Breach(.session, "a salt in an unsealed object", at: 63, [1]),
        Breach(.session, "it belongs to repository", at: 64, [0xee]),
    ]

    private static let configBreaches: [Breach] = [
        Breach(.config, "it belongs to repository", at: 64, [0xee]),
        Breach(.config, "features of a newer program") { configHead(&$0, required: 1) },
        Breach(.config, "unknown id algorithm") { configHead(&$0, algorithm: 9) },
        Breach(.config, "another seal than in the header") { configHead(&$0, sealed: 1) },
        Breach(.config, "no chunk sizes for general") {
            configHead(&$0)
            $0.byte(0)
        },
        Breach(.config, "impossible chunk sizes") {
            configHead(&$0)
            $0.byte(1)
            configClass(&$0, [63, 128, 256])
        },
        Breach(.config, "impossible chunk sizes") {
            configHead(&$0)
            $0.byte(1)
            configClass(&$0, [128, 128, 256])
        },
        Breach(.config, "impossible chunk sizes") {
            configHead(&$0)
            $0.byte(2)
            configClass(&$0)
            configClass(&$0)
        },
        Breach(.config, "over the limit") {
            configHead(&$0)
            $0.byte(1)
            configClass(&$0, [64, 128, 9 << 20])
        },
        wholeConfig("pack size of 1048575", packBytes: (1 << 20) - 1),
        wholeConfig("over the limit", packBytes: (1 << 30) + 1),
        wholeConfig("over the limit", inlineBytes: 4097),
        wholeConfig("unknown compression", compression: "zstd:99"),
        Breach(.config, "left over") {
            configHead(&$0)
            $0.byte(1)
            configClass(&$0)
            configEnd(&$0)
            $0.byte(0)
        },
    ]

    private static func wholeConfig(
        _ reason: String, packBytes: Int = 1 << 20, inlineBytes: Int = 0, compression: String = "auto"
    ) -> Breach {
        Breach(.config, reason) {
            configHead(&$0)
            $0.byte(1)
            configClass(&$0)
            configEnd(&$0, packBytes: packBytes, inlineBytes: inlineBytes, compression: compression)
        }
    }

    private static func vouchHead(
        _ writer: inout ByteWriter, files: [String],
        content: (Int) -> ID128 = { ID128(high: 0, low: UInt64($0)) }
    ) {
        writer.timestamp(Timestamp(seconds: 0))
        for text in ["host", "program"] { writer.text(text) }
        writer.id(FormatSpecimen.object)
        writer.varint(files.count)
        for (number, file) in files.enumerated() {
            writer.id(content(number))
            writer.byteString(Array(file.utf8))
        }
    }

    private static let recordBreaches: [Breach] = [
        Breach(.tombstone, "left over") { $0.byte(0) },
        Breach(.tombstone, "its kind is 10", at: 8, [ObjectKind.forgetMarker.rawValue]),
        Breach(.forgetMarker, "host") { writer in
            writer.timestamp(Timestamp(seconds: 0))
            writer.text(String(repeating: "h", count: 1025))
        },
        Breach(.vouch, "files are not sorted") {
            vouchHead(&$0, files: ["a", "b"], content: { _ in .zero })
        },
        Breach(.vouch, "an impossible component") { vouchHead(&$0, files: [""]) },
        Breach(.vouch, "over the limit") { writer in
            vouchHead(&writer, files: [])
            writer.bytes[writer.bytes.count - 1] = 1
        },
        Breach(.vouch, "left over") { writer in
            vouchHead(&writer, files: ["a"])
            writer.byte(0)
        },
        Breach(.plan, "of round 13") { head(&$0, round: 13) },
        Breach(.plan, "2 ids do not fill 16 bytes") { writer in
            head(&writer)
            writer.integer(UInt32(2))
            writer.id(.zero)
        },
        Breach(.plan, "condemned packs are not sorted") { writer in
            head(&writer)
            writer.integer(UInt32(2))
            for _ in 0..<2 { writer.id(FormatSpecimen.object) }
        },
        Breach(.decision, "of round 0") { head(&$0, round: 0) },
        Breach(.decision, "12884901885 ids do not fill 0 bytes") { writer in
            head(&writer)
            for _ in 0..<3 { writer.integer(UInt32.max) }
        },
        Breach(.decision, "deleted packs are not sorted") { lists(&$0, [2, 0, 0]) },
        Breach(.decision, "base segments are not sorted") { lists(&$0, [0, 2, 0]) },
        Breach(.decision, "superseded sessions are not sorted") { lists(&$0, [0, 0, 2]) },
        Breach(.session, "nanoseconds") {
            $0.varint(0)
            $0.varint(1_000_000_000)
        },
        Breach(.session, "host") {
            $0.timestamp(Timestamp(seconds: 0))
            $0.text(String(repeating: "x", count: 1025))
        },
        Breach(.session, "not UTF-8") {
            $0.timestamp(Timestamp(seconds: 0))
            $0.byteString([0xff])
        },
        Breach(.session, "left over") {
            $0.timestamp(Timestamp(seconds: 0))
            $0.text("")
            $0.text("")
            $0.byte(0)
        },
        Breach(.commitRecord, "number of paths") {
            commitHead(&$0)
            $0.varint(1 << 60)
        },
        Breach(.commitRecord, "number of tags") {
            commitHead(&$0)
            $0.varint(0)
            $0.varint(1 << 60)
        },
        Breach(.commitRecord, "neither 0 nor 1") {
            commitHead(&$0)
            $0.varint(0)
            $0.varint(0)
            $0.byte(2)
        },
        Breach(.commitRecord, "root's length") {
            commitHead(&$0)
            for _ in 0..<5 { $0.byte(0) }
            $0.id(.zero)
            $0.varint(FormatLimits.blobBytes + 1)
        },
    ]
}

extension ValidationTests {
    private static let goodPack = (id: UInt64(1), size: UInt64(1000), kind: UInt8(2), pad: UInt8(0))

    private static func index(
        _ reason: String, entry: (id: UInt64, pack: UInt32, offset: UInt32, raw: UInt32, stored: UInt32)
    ) -> Breach {
        Breach(.indexSegment, reason) { indexBody(&$0, packs: [goodPack], entries: [entry]) }
    }

    fileprivate static let indexBreaches: [Breach] = [
        Breach(.indexSegment, "do not fill") {
            $0.integer(UInt32.max)
            $0.integer(UInt32.max)
        },
        Breach(.indexSegment, "unknown kind") { indexBody(&$0, packs: [(1, 1000, 1, 0)], entries: []) },
        Breach(.indexSegment, "impossible size") { indexBody(&$0, packs: [(1, 111, 2, 0)], entries: []) },
        Breach(.indexSegment, "impossible size") { indexBody(&$0, packs: [(1, 1 << 32, 2, 0)], entries: []) },
        Breach(.indexSegment, "unknown kind") { indexBody(&$0, packs: [(1, 1000, 2, 9)], entries: []) },
        Breach(.indexSegment, "packs are not sorted") {
            indexBody(&$0, packs: [goodPack, goodPack], entries: [])
        },
        index("an entry in pack number 1", entry: (1, 1, 64, 10, 10)),
        index("a blob of 0 bytes", entry: (1, 0, 64, 0, 0)),
        index("a blob of 16777216 bytes", entry: (1, 0, 64, 1 << 24, 10)),
        index("stored as 11", entry: (1, 0, 64, 10, 11)),
        index("at bytes 63", entry: (1, 0, 63, 10, 10)),
        index("of a pack of 1000", entry: (1, 0, 900, 10, 10)),
        index("of a pack of 1000", entry: (1, 0, .max, 16_000_000, 16_000_000)),
        Breach(.indexSegment, "entries are not sorted") {
            indexBody(&$0, packs: [goodPack], entries: [(1, 0, 64, 9, 9), (1, 0, 200, 9, 9)])
        },
    ]

    /// Makes a pack with one blob, changes it, and corrects the checksum at its end.
    private static func pack(_ reason: String, at offset: Int, _ replacement: [UInt8]) -> Breach {
        var bytes = FormatSpecimen.pack(kind: .chunkPack, [[1, 2, 3, 4, 5]])
        bytes.replaceSubrange(offset..<offset + replacement.count, with: replacement)
        FormatSpecimen.pack.repair(&bytes)
        return Breach(.pack, reason, bytes)
    }

    fileprivate static let packBreaches: [Breach] = [
        pack("kind is 4", at: 8, [4]),
        pack("not the one its name says", at: 16, [0]),
        pack("no blob begins here", at: 64, [0]),
        pack("does not match its checksum", at: 70, [1]),
        pack("a damaged blob", at: 112, [9]),
        pack("was expected", at: 133, [65]),
        pack("a blob of 0 bytes", at: 137, [0]),
        pack("stored as 11", at: 141, [11]),
        pack("was expected", at: 141, [6]),
        pack("footer table begins", at: 141, [4]),
        pack("unknown codec 3", at: 145, [3]),
        pack("unknown codec 257", at: 145, [1, 1]),
        pack("stored as 5", at: 145, [0]),
        pack("does not end as a pack does", at: 157, [0]),
        pack("a footer table of 2 blobs", at: 161, [2]),
        pack("a footer table of 4294967295", at: 161, [255, 255, 255, 255]),
        pack("at byte 116", at: 165, [116]),
        pack("does not fit its footer table", at: 188, [1]),
    ]
}

extension ValidationTests {
    /// Writes the bytes of an entry's record from its tag to its path.
    private static func path(_ body: inout ByteWriter, shared: Int = 0, _ suffix: String) {
        body.byte(1)
        body.varint(shared)
        body.text(suffix)
    }

    fileprivate static let segmentBreaches: [Breach] = [
        Breach(.manifestSegment, "bytes expected", []),
        Breach(.manifestSegment, "Use a newer bakstore", [3, 0]),
        Breach(.manifestSegment, "a manifest segment of", [UInt8](repeating: 1, count: (8 << 20) + 1)),
        Breach(segment: "number of records", records: 1000) { _ in },
        Breach(segment: "left over", records: 0) { $0.byte(0) },
        Breach(segment: "unknown kind of record") { $0.byte(3) },
        Breach(segment: "shared prefix") { path(&$0, shared: 1, "a") },
        Breach(segment: "unknown type") {
            path(&$0, "a")
            $0.byte(8)
        },
        Breach(segment: "missing parts, and none") {
            path(&$0, "a")
            $0.raw([2, 128] + [UInt8](repeating: 0, count: 12))
        },
        Breach(segment: "missing parts 4") {
            path(&$0, "a")
            $0.raw([2, 128] + [UInt8](repeating: 0, count: 11) + [4])
        },
        Breach(segment: "missing content of an entry that is not a file") {
            path(&$0, "a")
            $0.raw([2, 128] + [UInt8](repeating: 0, count: 11) + [3])
        },
        Breach(segment: "the owner of no entry") {
            path(&$0, "a")
            $0.raw([2, 1, 0])
        },
        Breach(segment: "the device of no entry") {
            path(&$0, "a")
            $0.raw([2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        },
        Breach(segment: "the mode") {
            path(&$0, "a")
            $0.raw([2, 0])
            $0.varint(0o10000)
        },
        Breach(segment: "the owner is") {
            path(&$0, "a")
            $0.raw([2, 0, 0])
            $0.varint(1 << 32)
        },
        Breach(segment: "unknown form of content") {
            path(&$0, "a")
            $0.raw([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
        },
        Breach(segment: "number of extents") {
            $0.byte(2)
            $0.varint(2049)
        },
        Breach(segment: "further extents, and none") { $0.raw([2, 0]) },
        Breach(segment: "an empty extent") { $0.raw([2, 1, 1]) },
        Breach(segment: "a chunk of") {
            $0.raw([2, 1])
            $0.varint(1 << 25)
        },
        Breach(segment: "over 2^63") {
            $0.raw([2, 2])
            for _ in 0..<2 { $0.varint(UInt64.max) }
        },
        Breach(
            .manifestSegment, "extents after an entry that has none",
            FormatSpecimen.segment([file("a", type: .fifo)]).withCount(2) + [2, 0]),
        Breach(.manifestSegment, "paths are not sorted", FormatSpecimen.segment([file("b"), file("a")])),
        Breach(.manifestSegment, "paths are not sorted", FormatSpecimen.segment([file("a"), file("a")])),
        Breach(.manifestSegment, "paths are not sorted", FormatSpecimen.segment([file("a.b"), file("a/b")])),
    ]

    fileprivate static let entryBreaches: [Breach] =
        ["", "/a", "a/", "a//b", ".", "a/..", "a/./b", "a\0b", String(repeating: "x", count: 1025)].map {
            path in
            Breach(entry: "an impossible component") { $0.path = Array(path.utf8) }
        } + [
            Breach(entry: "path") { $0.path = [UInt8](repeating: 97, count: (1 << 16) + 1) },
            Breach(entry: "inline bytes of") { $0.stat.size = 3 },
            Breach(entry: "inline content") {
                $0.content = .inline([UInt8](repeating: 0, count: 4097))
                $0.stat.size = 4097
            },
            Breach(entry: "a file of") {
                $0.content = .extents([])
                $0.stat.size = 1 << 63
            },
            Breach(entry: "over 2^63") { $0.content = .extents([.hole(.max >> 1), .hole(1)]) },
            Breach(entry: "not sorted") {
                let attribute = ExtendedAttribute(name: [97], value: [])
                $0.attributes.extendedAttributes = [attribute, attribute]
            },
            Breach(entry: "not sorted") {
                $0.attributes.extendedAttributes = [ExtendedAttribute(name: [], value: [])]
            },
            Breach(entry: "zero byte") {
                $0.attributes.extendedAttributes = [ExtendedAttribute(name: [0], value: [])]
            },
            Breach(entry: "attribute's value") {
                let value = [UInt8](repeating: 0, count: 4 << 20)
                $0.attributes.extendedAttributes = [ExtendedAttribute(name: [97], value: value)]
            },
            Breach(entry: "owner's name") { $0.attributes.userName = [UInt8](repeating: 97, count: 1025) },
        ]

    private static func root(_ reason: String, _ paths: [String], length: UInt32 = 100, records: Int = 1)
        -> Breach
    {
        let segments = paths.map {
            ManifestSegmentReference(
                blob: BlobReference(id: .zero, length: length), recordCount: records,
                firstPath: Array($0.utf8))
        }
        return Breach(.manifestRoot, reason, ManifestRoot(segments: segments).encode())
    }

    fileprivate static let rootBreaches: [Breach] = [
        Breach(.manifestRoot, "Use a newer bakstore", [2, 0]),
        Breach(.manifestRoot, "number of segments", [1, 200, 1]),
        Breach(.manifestRoot, "left over", [1, 0, 0]),
        root("not sorted", ["b", "a"]),
        root("impossible component", ["a/../b"]),
        root("segment's length", ["a"], length: UInt32(FormatLimits.segmentBytes) + 1),
        root("number of records", ["a"], records: 101),
        root(
            "segments that are named again", [String](repeating: "a", count: 514),
            length: UInt32(FormatLimits.segmentBytes)),
    ]

    @Test func aSmallRootCannotStandForMuchMemory() {
        let deep = Array(repeating: String(repeating: "x", count: 1000), count: 60).joined(separator: "/")
        var root = ByteWriter()
        root.byte(1)
        root.varint(3000)
        for number in 0..<3000 {
            root.id(.zero)
            root.varint(100)
            root.varint(1)
            root.varint(number == 0 ? 0 : deep.utf8.count)
            root.text(number == 0 ? deep : "")
        }
        let breach = Breach(.manifestRoot, "too many bytes of paths", root.bytes)
        #expect(breach.bytes.count < 140_000)
        breach.expectRefusal()
    }

    /// A root may name any number of different segments. Only repeated segments are limited.
    @Test func aRootMayNameManySegments() throws {
        let segments = (0..<1000).map {
            ManifestSegmentReference(
                blob: BlobReference(id: ID128(high: 0, low: $0), length: UInt32(FormatLimits.segmentBytes)),
                recordCount: 1, firstPath: [97])
        }
        let root = ManifestRoot(segments: segments)
        #expect(root.repeatedBytes == 0)
        #expect(try root.encode().withUnsafeBytes { try ManifestRoot(decoding: $0, object: "") } == root)
    }

    /// A fingerprint does not depend on the division of the extents into records.
    @Test(arguments: [0, 1, 2048, 9000]) func aFingerprintTakesExtentsInParts(_ count: Int) {
        let extents: [Extent] = (0..<count).map {
            let id = ID128(high: UInt64($0), low: 7)
            return $0 % 3 == 0 ? .hole(UInt64($0) + 1) : .chunk(BlobReference(id: id, length: 50))
        }
        var bytes = ByteWriter()
        bytes.byte(1)
        for extent in extents {
            switch extent {
            case .hole(let length): bytes.varint(length * 2 + 1)
            case .chunk(let reference):
                bytes.varint(reference.length * 2)
                bytes.id(reference.id)
            }
        }
        let expected = bytes.bytes.withUnsafeBytes(Checksum.xxh3_128)
        #expect(FileContent.extents(extents).fingerprint == expected)
        let fingerprint = ContentFingerprint(.extents(Array(extents.prefix(count / 3))))
        for extent in extents.dropFirst(count / 3) { fingerprint.add([extent]) }
        #expect(fingerprint.value() == expected)
    }
}
