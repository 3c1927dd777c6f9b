// The index: the mapped table, the overlay of newer segments, and claims on blobs that are being stored. The program
// trusts the store more than the cache.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

private func overlay(_ segments: [IndexSegment]) -> IndexOverlay {
    var overlay = IndexOverlay()
    overlay.add(segments)
    return overlay
}

@Suite struct IndexTableTests {
    @Test(arguments: [0, 1, 135, 136, 137, 272, 100_000])
    func findsWhatItHolds(count: Int) throws {
        let random = TestSeed.random("index table of \(count)")
        let segment = segment(random, entries: count)
        let (cache, repository) = (MemoryCache(), random.id())
        let table = try #require(
            try IndexTable.write(
                merging: nil, overlay([segment]), repository: repository, generation: random.id(), to: cache))
        #expect(table.count == count)
        #expect(table.packs == segment.packs)
        #expect(table.sessions == [segment.session])
        for entry in segment.entries { #expect(table.find(entry.id) == entry) }
        for entry in segment.entries {
            for id in [
                ID128(high: entry.id.high, low: entry.id.low &+ 1), ID128(high: entry.id.high &- 1, low: 0),
            ] {
                #expect(table.find(id) == nil)
            }
        }
        for id in [ID128.zero, ID128(high: .max, low: .max)] { #expect(table.find(id) == nil) }
        let mapped = try #require(cache.map(IndexTable.cacheName))
        #expect(IndexTable(mapped, repository: random.id()) == nil, "a table of another repository")
        #expect(table.isSound())
    }

    /// Ids that are not uniformly distributed. Each guess in a look-up is then wrong.
    @Test(arguments: 0..<8)
    func idsThatAreNotUniformAreFound(shape: Int) throws {
        let random = TestSeed.random("index of uneven ids, \(shape)")
        var segment = segment(random, entries: 3000)
        let bases = (0..<4).map { _ in random.next() }
        for number in segment.entries.indices {
            let high: UInt64 =
                switch shape {
                case 0: 3
                case 1: .max
                case 2: UInt64(number)
                case 3: .max - UInt64(3000 - number)
                case 4: number < 2999 ? 0 : .max
                case 5: number < 1 ? 0 : .max - 1
                case 6: bases[random.number(0...3)]
                default: bases[random.number(0...3)] &+ UInt64(random.number(0...200))
                }
            segment.entries[number].id = ID128(high: high, low: UInt64(number) * 2)
        }
        segment.entries.sort { $0.id < $1.id }
        let table = try #require(
            try IndexTable.write(
                merging: nil, overlay([segment]), repository: .zero, generation: random.id(),
                to: MemoryCache()))
        for (number, entry) in segment.entries.enumerated() {
            #expect(table.position(of: entry.id) == number)
            #expect(table.find(entry.id) == entry)
            #expect(table.find(ID128(high: entry.id.high, low: entry.id.low + 1)) == nil)
        }
        for id in [ID128.zero, ID128(high: .max, low: .max), ID128(high: bases[0] &+ 50, low: 7)] {
            let isThere = segment.entries.contains { $0.id == id }
            #expect((table.find(id) != nil) == isThere)
        }
    }

    @Test func damageNeverGivesAWrongHit() throws {
        let random = TestSeed.random("damaged index table")
        let segment = segment(random, entries: 400)
        let (cache, repository) = (MemoryCache(), random.id())
        _ = try IndexTable.write(
            merging: nil, overlay([segment]), repository: repository, generation: random.id(), to: cache)
        let whole = try #require(cache[IndexTable.cacheName])
        for _ in 0..<600 {
            var bytes = whole
            bytes[random.number(0...bytes.count - 1)] ^= UInt8(random.number(1...255))
            cache[IndexTable.cacheName] = bytes
            guard
                let table = cache.map(IndexTable.cacheName).flatMap({ IndexTable($0, repository: repository) }
                )
            else { continue }
            #expect(!table.isSound())
            for _ in 0..<20 {
                let entry = segment.entries[random.number(0...399)]
                if let found = table.find(entry.id) { #expect(found == entry) }
            }
        }
        for count in [0, 1, 4095, 4096, whole.count - 1] {
            cache[IndexTable.cacheName] = Array(whole.prefix(count))
            let table = cache.map(IndexTable.cacheName).flatMap { IndexTable($0, repository: repository) }
            #expect(table == nil)
        }
    }

    @Test func mergingEqualsADictionary() throws {
        let random = TestSeed.random("index merging")
        for _ in 0..<20 {
            var segments = (0..<random.number(1...6)).map { _ in
                segment(random, entries: random.number(0...300))
            }
            // A blob that two sessions have stored.
            if let first = segments[0].entries.first, segments.count > 1 {
                var twin = first
                twin.pack = 0
                segments[1].entries = ([twin] + segments[1].entries).sorted { $0.id < $1.id }
            }
            let split = random.number(0...segments.count)
            let cache = MemoryCache()
            let old = try IndexTable.write(
                merging: nil, overlay(Array(segments[..<split])), repository: .zero, generation: random.id(),
                to: cache)
            let table = try #require(
                try IndexTable.write(
                    merging: old, overlay(Array(segments[split...])), repository: .zero,
                    generation: random.id(),
                    to: cache))
            var naive: [ID128: [ID128]] = [:]
            for segment in segments {
                for entry in segment.entries {
                    naive[entry.id, default: []].append(segment.packs[Int(entry.pack)].id)
                }
            }
            #expect(table.count == naive.reduce(0) { $0 + $1.value.count })
            let sorted = SortedIndex(table: table, overlay: IndexOverlay())
            for (id, packs) in naive {
                let entry = try #require(table.find(id))
                #expect(table.packs[Int(entry.pack)].id == packs[0])
                #expect(sorted.copies(of: id).map { table.packs[Int($0.pack)].id } == packs)
            }
        }
    }
}

@Suite struct BlobIndexTests {
    /// Returns a repository with a committed segment of `entries` invented blobs.
    private func repository(_ fixture: Fixture, entries: Int) throws -> (Repository, IndexSegment) {
        let repository = try fixture.create()
        return (repository, try addSegment(fixture, repository, entries: entries))
    }

    private func addSegment(
        _ fixture: Fixture, _ repository: Repository, entries: Int
    ) throws -> IndexSegment {
        let segment = segment(fixture.random, entries: entries)
        let commit = record(
            segment.session, hasIndex: true, root: BlobReference(id: .zero, length: 1))
        fixture.store["index/\(segment.session)"] = segment.encode(repository.context)
        fixture.store["snapshots/\(segment.session)"] = commit.encode(repository.context)
        return segment
    }

    private func expect(_ index: BlobIndex, toHold segment: IndexSegment) {
        for entry in segment.entries {
            #expect(index.location(of: BlobReference(id: entry.id, length: entry.rawLength)) != nil)
            #expect(index.location(of: BlobReference(id: entry.id, length: entry.rawLength + 1)) == nil)
        }
    }

    @Test func theTableIsUsedAndRebuilt() throws {
        let fixture = Fixture()
        let (repository, segment) = try repository(fixture, entries: 5000)
        expect(try BlobIndex(repository), toHold: segment)
        #expect(fixture.cache[IndexTable.cacheName] != nil)
        fixture.store.clearCalls()
        expect(try BlobIndex(repository), toHold: segment)
        #expect(!fixture.store.calls.contains { $0.operation == .read }, "the table holds the segment")
        // The table is out of date: a session that it covers no longer exists.
        fixture.store["snapshots/\(segment.session)"] = nil
        #expect(try BlobIndex(repository).count == 0)
    }

    @Test func aDamagedTableNeitherHidesNorInventsBlobs() throws {
        let fixture = Fixture()
        let (repository, segment) = try repository(fixture, entries: 5000)
        _ = try BlobIndex(repository)
        let whole = try #require(fixture.cache[IndexTable.cacheName])
        for block in [0, 1, 7, whole.count / 4096 - 1] {
            var bytes = whole
            bytes[block * 4096 + 3] ^= 0x10
            fixture.cache[IndexTable.cacheName] = bytes
            expect(try BlobIndex(repository), toHold: segment)
            var ids: [ID128] = []
            try BlobIndex(repository).forEach { entry, _ in ids.append(entry.id) }
            #expect(ids == segment.entries.map(\.id))
        }
    }

    @Test func damageIsNotMergedIntoANewTable() throws {
        let fixture = Fixture()
        let (repository, segment) = try repository(fixture, entries: 5000)
        _ = try BlobIndex(repository)
        var bytes = try #require(fixture.cache[IndexTable.cacheName])
        bytes[4096 + 3] ^= 0x10
        fixture.cache[IndexTable.cacheName] = bytes
        let second = try addSegment(fixture, repository, entries: 5000)
        let index = try BlobIndex(repository)
        expect(index, toHold: segment)
        expect(index, toHold: second)
    }

    @Test func anUnwritableCacheOnlyCostsMemory() throws {
        var fixture = Fixture()
        fixture.cache = MemoryCache(isWritable: false)
        let (repository, segment) = try repository(fixture, entries: 5000)
        expect(try BlobIndex(repository), toHold: segment)
    }

    @Test func aClaimIsMadeOnce() throws {
        let fixture = Fixture()
        let (repository, segment) = try repository(fixture, entries: 10)
        let index = try BlobIndex(repository)
        let references = (0..<2000).map { _ in BlobReference(id: fixture.random.id(), length: 5) }
        let won = BoundedQueue<Int>(capacity: 4)
        let threads = (0..<4).map { _ in
            Thread { won.push(references.filter { (try? index.claim($0)) == true }.count) }
        }
        for thread in threads { thread.join() }
        let total = (0..<4).reduce(0) { sum, _ in sum + (won.pop() ?? 0) }
        #expect(total == references.count)
        let known = BlobReference(id: segment.entries[0].id, length: 12)
        let isNew = try index.claim(known)
        #expect(!isNew)
        #expect(throws: CorruptionError.self) { try index.claim(BlobReference(id: known.id, length: 13)) }
        #expect(throws: CorruptionError.self) {
            try index.claim(BlobReference(id: references[0].id, length: 6))
        }
    }
}
