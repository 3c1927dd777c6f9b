// The fields of archives and doubts: gone entries in segments, and the fields after a commit record's counters.

import BakCore
import BakFormat
import TestSupport
import Testing

@Suite struct ArchiveFieldTests {
    private static let goneSegment = FormatSpecimen.segment([
        ManifestEntry(
            path: Array("a".utf8), stat: FileStat(type: .fifo), attributes: FileAttributes(), content: nil,
            goneSince: Timestamp(seconds: 0))
    ])

    @Test(arguments: segmentBreaches + fieldBreaches)
    func refused(_ breach: Breach) { breach.expectRefusal() }

    @Test func onlySegmentsWithGoneEntriesHaveTheNewVersion() throws {
        let random = TestSeed.random("versions of segments")
        for _ in 0..<200 {
            let entries = random.entries(random.number(0...4))
            let segment = FormatSpecimen.segment(entries)
            #expect(segment[0] == (entries.contains { $0.goneSince != nil } ? 2 : 1))
        }
    }

    /// A run that is taken over from another segment may bring gone entries, and then the new segment needs the later
    /// version. Otherwise it keeps the earlier version.
    @Test func runsKeepTheVersion() throws {
        let random = TestSeed.random("runs with gone entries")
        for _ in 0..<25 {
            let entries = random.entries(random.number(2...6)).map { entry in
                var entry = entry
                if case .extents(let extents) = entry.content {
                    entry.content = .extents(Array(extents.prefix(FormatLimits.extentsPerRecord)))
                }
                return entry
            }
            let taken = random.number(1...entries.count - 1)
            let again = try FormatSpecimen.segment(entries).withUnsafeBytes { bytes in
                let decoder = try ManifestSegmentDecoder(bytes, object: "")
                var encoder = ManifestSegmentEncoder()
                var run = EntryRun()
                for number in 0...taken {
                    _ = try decoder.advance()
                    if number == 0 {
                        encoder.append(try decoder.entry())
                    } else {
                        run.append(decoder)
                    }
                }
                encoder.append(run)
                return encoder.finish()
            }
            #expect(again == FormatSpecimen.segment(Array(entries[...taken])))
        }
    }

    private static let segmentBreaches: [Breach] = [
        Breach(segment: "a gone entry in a segment without them") {
            $0.raw([1, 0, 1, 97, 4, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        },
        Breach(
            .manifestSegment, "a version for gone entries",
            FormatSpecimen.segment([file("a", type: .fifo)]).withVersion(2)),
        Breach(.manifestSegment, "bytes expected", Array(goneSegment.dropLast())),
        Breach(.manifestSegment, "a gone entry in a segment without them", goneSegment.withVersion(1)),
        Breach(.manifestSegment, "nanoseconds", goneSegment.dropLast() + [0xff, 0xff, 0xff, 0xff, 0x0f]),
    ]

    private static func commit(_ reason: String, _ fields: @escaping (inout ByteWriter) -> Void) -> Breach {
        Breach(.commitRecord, reason) {
            commitHead(&$0)
            $0.varint(2)
            for path in ["a", "b"] { $0.text(path) }
            for _ in 0..<4 { $0.byte(0) }
            $0.id(.zero)
            for _ in 0..<15 { $0.byte(0) }
            fields(&$0)
        }
    }

    /// The fields after the counters.
    private static let fieldBreaches: [Breach] = [
        commit("an unknown last field") { $0.byte(0) },
        commit("an unknown last field") { $0.byte(8) },
        commit("bytes expected") { $0.byte(1) },
        commit("fields are not sorted") { $0.raw([2, 2]) },
        commit("fields are not sorted") {
            $0.byte(2)
            $0.byte(1)
            $0.id(.zero)
        },
        commit("nothing is gone") { $0.raw([3, 0, 0]) },
        commit("number of doubts is 0") { $0.raw([4, 0]) },
        commit("number of doubts") { $0.raw([4, 0xff, 0xff, 0xff, 0xff, 0x0f]) },
        commit("doubtful path's number") { $0.raw([4, 1, 2]) },
        commit("doubtful paths are not sorted") { $0.raw([4, 2, 1, 1]) },
        commit("number of confirmed snapshots is 0") { $0.raw([5, 0]) },
        commit("number of confirmed snapshots") { $0.raw([5, 200, 1]) },
        commit("confirmed snapshots are not sorted") {
            $0.raw([5, 2])
            for _ in 0..<2 { $0.id(FormatSpecimen.object) }
        },
        commit("number of joined archives is 0") { $0.raw([2, 6, 0]) },
        commit("number of joined archives") { $0.raw([2, 6, 200, 1]) },
        commit("what lacks something is no archive") { $0.raw([7]) },
        commit("joined archives in what is none") { $0.raw([6, 1]) },
        commit("joined archives are not sorted") {
            $0.raw([2, 6, 2])
            for _ in 0..<2 { $0.id(FormatSpecimen.object) }
        },
        Breach(.commitRecord, "doubtful paths are not sorted") {
            commitHead(&$0)
            for _ in 0..<5 { $0.byte(0) }
            $0.id(.zero)
            for _ in 0..<15 { $0.byte(0) }
            $0.raw([4, 1, 0])
        },
    ]
}
