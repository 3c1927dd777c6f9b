// The requests of a planner are compared with a plan that is made blob by blob. A damaged blob in a request makes only
// itself unreadable.

import BakCore
import BakFormat
import TestSupport
import Testing

@testable import BakRepository

@Suite struct RangePlannerTests {
    /// Returns blobs of some packs in the order of their offsets. Some have gaps between them, some come twice, and
    /// some lie within others, as only a hostile index says.
    private func locations(_ random: SeededRandom) -> [BlobLocation] {
        let packs = (0..<random.number(1...3)).map { _ in random.id() }
        return (0..<random.number(0...40)).map { _ in
            BlobLocation(
                pack: packs[random.number(0...(packs.count - 1))], offset: UInt32(random.number(0...5000)),
                storedLength: UInt32(random.oneIn(6) ? random.number(0...3000) : random.number(0...100)))
        }.sorted { ($0.pack, $0.offset) < ($1.pack, $1.offset) }
    }

    @Test func everyBlobIsInOneRequestThatIsAsLongAsItMay() {
        let random = TestSeed.random("planned requests")
        for _ in 0..<500 {
            let locations = locations(random)
            let planner = RangePlanner(gapBytes: random.number(0...300), mostBytes: random.number(1...2000))
            let requests = planner.requests(for: locations, { $0 })
            #expect(requests.flatMap(\.items) == locations)
            for (request, next) in zip(requests, requests.dropFirst().map(Optional.some) + [nil]) {
                let first = request.items.first!
                let end = request.items.map(\.endOffset).max()!
                #expect(request.range == Int(first.offset)..<end)
                #expect(request.items.allSatisfy { $0.pack == request.pack })
                // A request is longer than the limit only if its first blob is. It may then have more blobs that lie
                // within the first.
                #expect(request.range.count <= max(planner.mostBytes, first.endOffset - Int(first.offset)))
                var covered = first.endOffset
                for item in request.items {
                    #expect(Int(item.offset) - covered <= planner.gapBytes)
                    covered = max(covered, item.endOffset)
                }
                // The next blob did not fit into this request.
                guard let blob = next?.items.first, blob.pack == request.pack else { continue }
                let isNear = Int(blob.offset) - end <= planner.gapBytes
                #expect(!isNear || blob.endOffset - Int(first.offset) > planner.mostBytes)
            }
        }
    }

    @Test func aReaderThatGoesForwardLooksFurtherAhead() {
        var ahead = ReadAhead(mostBytes: 1 << 20)
        #expect(ahead.bytes(reading: 0..<1000) == 128 << 10)
        #expect(ahead.bytes(reading: 1000..<2000) == 256 << 10)
        #expect(ahead.bytes(reading: 2000..<3000) == 512 << 10)
        #expect(ahead.bytes(reading: 3000..<4000) == 1 << 20)
        #expect(ahead.bytes(reading: 4000..<5000) == 1 << 20)
        #expect(ahead.bytes(reading: 5000..<(5000 + 2 << 20)) == UInt64((5000 + 2 << 20) - 5000))
        // The reader jumps, and then goes forward again.
        #expect(ahead.bytes(reading: 0..<1000) == 1000)
        #expect(ahead.bytes(reading: 1000..<2000) == 128 << 10)
        #expect(ahead.bytes(reading: 50_000..<50_010) == 10)
    }

    @Test func manyBlobsAreReadByFewRequestsAndDamageCostsOne() throws {
        let random = TestSeed.random("blobs by requests")
        let fixture = Fixture()
        let repository = try fixture.create()
        let session = try fixture.session(repository)
        let writer = session.makeWriter(.chunkPack, compression: .auto)
        let contents = (0..<60).map { _ in random.bytes(random.number(1...3000)) }
        let references = try contents.map { try writer.store($0) }
        _ = try session.commit(continuing: false) { record($0, hasIndex: $1, root: references[0]) }
        let index = try BlobIndex(repository)
        let reader = BlobReader(repository)
        var generator = random
        let wanted = references.shuffled(using: &generator)
        fixture.store.clearCalls()
        var found: [BlobReference: [UInt8]] = [:]
        try reader.read(wanted, kind: .chunkPack, index: index) { reference, result in
            found[reference] = Array(try result.get())
        }
        #expect(found == Dictionary(zip(references, contents)) { one, _ in one })
        #expect(fixture.store.calls.filter { $0.operation == .read }.count == 1)

        // Damage one bit, ask for an unknown blob, and then cut off the end of the pack.
        let place = random.number(0...59)
        let location = try #require(index.location(of: references[place]))
        let pack = ObjectNames.pack(location.pack).description
        let bytes = try #require(fixture.store[pack])
        func failures() throws -> Set<BlobReference> {
            var failed: Set<BlobReference> = []
            let unknown = BlobReference(id: random.id(), length: 5)
            try reader.read(references + [unknown], kind: .chunkPack, index: index) { reference, result in
                switch result {
                case .success(let bytes): #expect(Array(bytes) == found[reference])
                case .failure(let error):
                    failed.insert(reference)
                    #expect(reference == unknown ? error is MissingBlobError : error is CorruptionError)
                }
            }
            #expect(failed.remove(unknown) != nil)
            return failed
        }
        var damaged = bytes
        damaged[Int(location.offset) + 48] ^= 1
        fixture.store[pack] = damaged
        #expect(try failures() == [references[place]])
        fixture.store[pack] = Array(bytes.prefix(location.endOffset - 1))
        let cut = references.filter { index.location(of: $0)!.offset >= location.offset }
        #expect(try failures() == Set(cut))
    }
}
