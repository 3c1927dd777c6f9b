// An encoded value decodes to the same value, and damaged bytes are refused.

import BakCore
import BakFormat
import TestSupport
import Testing

@Suite struct RoundTripTests {
    @Test(arguments: FormatSpecimen.allCases)
    func everyKind(_ kind: FormatSpecimen) throws {
        let random = TestSeed.random("round trip of \(kind)")
        for _ in 0..<100 {
            let bytes = kind.sample(random)
            let recoded = try kind.recode(bytes)
            #expect(recoded == bytes)
        }
    }

    @Test func valuesSurvive() throws {
        let random = TestSeed.random("values survive")
        let context = FormatSpecimen.context
        for _ in 0..<50 {
            let record = random.commitRecord(id: FormatSpecimen.object)
            let segment = random.indexSegment(session: FormatSpecimen.object)
            let config = random.config()
            let root = random.manifestRoot(20)
            let records = try record.encode(context).withUnsafeBytes {
                try CommitRecord(decoding: $0, object: "", id: record.id, context: context)
            }
            let segments = try segment.encode(context).withUnsafeBytes {
                try IndexSegment(decoding: $0, object: "", session: segment.session, context: context)
            }
            let configs = try config.encode().withUnsafeBytes {
                try RepositoryConfig(decoding: $0, object: "")
            }
            let roots = try root.encode().withUnsafeBytes { try ManifestRoot(decoding: $0, object: "") }
            #expect(records == record)
            #expect(segments == segment)
            #expect(configs == config)
            #expect(roots == root)
        }
    }

    @Test func manifestEntriesSurvive() throws {
        let random = TestSeed.random("manifest entries survive")
        let entries = random.entries(300).map { entry in
            var entry = entry
            if case .extents(let extents) = entry.content {
                entry.content = .extents(Array(extents.prefix(FormatLimits.extentsPerRecord)))
            }
            return entry
        }
        for entry in entries { #expect(entry.fault == nil) }
        let decoded = try FormatSpecimen.segment(entries).withUnsafeBytes { bytes in
            let decoder = try ManifestSegmentDecoder(bytes, object: "")
            var decoded: [ManifestEntry] = []
            while case .entry(let entry)? = try decoder.next() { decoded.append(entry) }
            return decoded
        }
        #expect(decoded == entries)
    }

    @Test(arguments: FormatSpecimen.allCases.filter(\.hasChecksum))
    func everyFlippedBitIsRefused(_ kind: FormatSpecimen) {
        var bytes = kind.smallSample(TestSeed.random("flipped bits of \(kind)"))
        for bit in 0..<bytes.count * 8 {
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            let taken = try? kind.recode(bytes)
            #expect(taken == nil, "bit \(bit)")
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        }
    }

    @Test(arguments: FormatSpecimen.allCases)
    func everyTruncationIsRefused(_ kind: FormatSpecimen) {
        let bytes = kind.smallSample(TestSeed.random("truncations of \(kind)"))
        for count in 0..<bytes.count {
            let taken = try? kind.recode(Array(bytes.prefix(count)))
            #expect(taken == nil, "\(count) bytes")
        }
    }

    @Test(arguments: FormatSpecimen.allCases)
    func everyFlippedBitOfBlobsIsHarmless(_ kind: FormatSpecimen) {
        var bytes = kind.smallSample(TestSeed.random("challenged bits of \(kind)"))
        for bit in 0..<bytes.count * 8 {
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            var repaired = bytes
            kind.repair(&repaired)
            repaired.withUnsafeBytes { _ = kind.challenge($0) }
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        }
    }
}
