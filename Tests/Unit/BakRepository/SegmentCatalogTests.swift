// SegmentCatalog, compared with sets of ids.

import BakCore
import BakFormat
import TestSupport
import Testing

@testable import BakRepository

@Suite struct SegmentCatalogTests {
    @Test func eachSegmentIsThereOnceWithItsSnapshots() {
        let random = TestSeed.random("segment catalogue")
        for _ in 0..<100 {
            let all = (0..<random.number(1...12)).map { number in
                ManifestSegmentReference(
                    blob: random.reference(), recordCount: 1, firstPath: [UInt8(97 + number)])
            }
            var catalog = SegmentCatalog()
            var model: [ID128: Set<Int>] = [:]
            var place = 0
            for _ in 0..<random.number(1...30) {
                // A snapshot without a manifest also has a place.
                place += random.number(1...2)
                var some = all.filter { _ in !random.oneIn(3) }
                if random.oneIn(5), let last = some.last { some.append(last) }
                let new = catalog.note(ManifestRoot(segments: some), of: place)
                #expect(Set(new.map(\.reference.blob.id)) == Set(some.map(\.blob.id)).subtracting(model.keys))
                for segment in some { model[segment.blob.id, default: []].insert(place) }
            }
            #expect(catalog.segments.count == model.count)
            for (number, segment) in catalog.segments.enumerated() {
                let places = model[segment.reference.blob.id]!
                #expect(Set(segment.holders.runs.flatMap { Array($0) }) == places)
                #expect(segment.holders.count == places.count)
                #expect(segment.holders.only == (places.count == 1 ? places.first : nil))
                #expect((0...place + 1).allSatisfy { segment.holders.contains($0) == places.contains($0) })
                #expect(catalog.note(segment.reference, of: place + 1) == number)
            }
        }
    }

    @Test func snapshotsInARowTakeOneRun() {
        let random = TestSeed.random("runs of snapshots")
        var catalog = SegmentCatalog()
        let root = ManifestRoot(segments: [
            ManifestSegmentReference(blob: random.reference(), recordCount: 1, firstPath: [97])
        ])
        for place in 0..<1000 { catalog.note(root, of: place) }
        #expect(catalog.segments[0].holders.runs == [0...999])
    }
}
