// The program never trusts the cache. The index table has blocks that are old, from another table or at another place,
// each with a correct checksum. A table changes while it is mapped. Each file of the cache has every wrong form.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A cache whose files a test can change while they are mapped.
private final class ShiftyCache: LocalCache, @unchecked Sendable {
    let base = MemoryCache()
    private var mappings: [(start: UnsafeMutableRawBufferPointer, isChanged: Box)] = []
    final class Box: @unchecked Sendable { var value = false }

    func map(_ name: String) -> MappedBytes? {
        guard let bytes = base[name] else { return nil }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 16)
        copy.copyBytes(from: bytes)
        let box = Box()
        mappings.append((UnsafeMutableRawBufferPointer(rebasing: copy[..<bytes.count]), box))
        // The memory is never freed, because the test still writes to it.
        return MappedBytes(
            UnsafeRawBufferPointer(rebasing: copy[..<bytes.count]), isIntact: { !box.value },
            release: { _ in })
    }

    func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) throws { try base.replace(name, write) }

    /// Changes all mapped files.
    func change(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
        for (bytes, box) in mappings {
            body(bytes)
            box.value = true
        }
    }
}

@Suite struct CacheBeliefTests {
    private static let entries = 5000

    /// Returns a repository with a committed segment.
    private func world(_ cache: any LocalCache) throws -> (Fixture, Repository, IndexSegment) {
        let fixture = Fixture()
        _ = try fixture.create()
        let repository = try Repository.open(
            fixture.store, cache: cache, time: fixture.time, random: fixture.random)
        return (fixture, repository, addSegment(fixture, repository))
    }

    private func addSegment(_ fixture: Fixture, _ repository: Repository) -> IndexSegment {
        let segment = segment(fixture.random, entries: Self.entries)
        let commit = record(segment.session, hasIndex: true, root: BlobReference(id: .zero, length: 1))
        fixture.store["index/\(segment.session)"] = segment.encode(repository.context)
        fixture.store["snapshots/\(segment.session)"] = commit.encode(repository.context)
        return segment
    }

    private func expect(_ index: BlobIndex, holds segment: IndexSegment, _ what: String) throws {
        let lost = segment.entries.filter {
            index.location(of: BlobReference(id: $0.id, length: $0.rawLength))?.offset != $0.offset
        }
        #expect(lost.isEmpty, "\(what): \(lost.count) are missing")
        var ids: [ID128] = []
        try index.forEach { entry, _ in ids.append(entry.id) }
        #expect(ids == segment.entries.map(\.id), "\(what): the list is another")
    }

    @Test func aBlockCountsInItsPlaceOfItsTableOnly() throws {
        let cache = MemoryCache()
        let (fixture, repository, segment) = try world(cache)
        _ = try BlobIndex(repository)
        let old = try #require(cache[IndexTable.cacheName])
        cache[IndexTable.cacheName] = nil
        _ = try BlobIndex(repository)
        let whole = try #require(cache[IndexTable.cacheName])
        #expect(old.count == whole.count && old != whole, "the same entries, and another generation")
        let other = try self.world(MemoryCache())
        _ = try BlobIndex(other.1)
        let foreign = try #require((other.1.cache as? MemoryCache)?[IndexTable.cacheName])
        let last = whole.count / 4096 - 2
        func block(_ number: Int) -> Range<Int> { number * 4096..<(number + 1) * 4096 }
        for _ in 0..<60 {
            var bytes = whole
            func put(_ place: Int, _ other: [UInt8], _ from: Int) {
                bytes.replaceSubrange(block(place), with: other[block(from)])
            }
            let (place, from) = (fixture.random.number(1...last), fixture.random.number(1...last))
            let what: String
            switch fixture.random.number(0...6) {
            case 0:
                what = "blocks \(place) and \(from) exchanged"
                put(place, whole, from)
                put(from, whole, place)
            case 1:
                what = "block \(from) also at \(place)"
                put(place, whole, from)
            case 2:
                what = "block \(place) of the older table"
                put(place, old, place)
            case 3:
                what = "block \(place) of another repository's"
                put(place, foreign, place)
            case 4:
                what = "the older table's header"
                put(0, old, 0)
            case 5:
                what = "the first half of the older table"
                let half = 512 * fixture.random.number(1...(whole.count / 512))
                bytes.replaceSubrange(0..<half, with: old[..<half])
            default:
                what = "zeros at \(place)"
                bytes.replaceSubrange(block(place), with: [UInt8](repeating: 0, count: 4096))
            }
            cache[IndexTable.cacheName] = bytes
            try expect(try BlobIndex(repository), holds: segment, what)
            let walked = try BlobIndex(repository)
            try expect(walked, holds: segment, what)
            // The index has noticed the wrong table and written a new one.
            if bytes != whole, bytes != old { #expect(cache[IndexTable.cacheName] != bytes, "\(what): kept") }
            let table = try #require(
                cache.map(IndexTable.cacheName).flatMap {
                    IndexTable($0, repository: repository.config.id)
                }, "\(what): no table")
            #expect(table.isSound(), "\(what)")
        }
    }

    /// Pages of a file that was cut read as zeros. A file that another program overwrites reads as anything.
    @Test(arguments: 0..<40) func aTableThatChangesWhileItIsMapped(round: Int) throws {
        let cache = ShiftyCache()
        let (fixture, repository, segment) = try world(cache)
        _ = try BlobIndex(repository)
        let random = TestSeed.random("a table that changes, \(round)")
        let index = try BlobIndex(repository)
        switch round % 3 {
        case 0: break
        case 1: _ = try index.soundIndex()
        default: for entry in segment.entries.prefix(random.number(1...4000)) { _ = index.blob(entry.id) }
        }
        let sorted = try index.soundIndex()
        cache.change { bytes in
            if round % 2 == 0 {
                for place in bytes.indices { bytes[place] = 0 }
            } else {
                for place in bytes.indices { bytes[place] = UInt8(truncatingIfNeeded: random.next()) }
            }
        }
        // A walk over the changed table ends with an error. It never returns a wrong number, and never reads out of
        // bounds.
        #expect(throws: RepositoryError.cacheChanged) { try sorted.forEachBlob { _, _ in } }
        for entry in segment.entries.prefix(50) { _ = sorted.copies(of: entry.id) }
        #expect(throws: RepositoryError.cacheChanged) { try index.expectIntact() }
        // A look-up continues with the segments in the store.
        try expect(index, holds: segment, "after the change")
        // A backup must not commit, because it may rely on blobs that it found in the old table.
        #expect(throws: RepositoryError.cacheChanged) { try index.expectIntact() }
        try expect(try BlobIndex(repository), holds: segment, "opened anew")
        #expect(throws: Never.self) { try BlobIndex(repository).expectIntact() }
        _ = fixture
    }

    @Test func aBackupDoesNotCommitOnATableThatChanged() throws {
        let cache = ShiftyCache()
        let (_, repository, segment) = try world(cache)
        _ = try BlobIndex(repository)
        let session = try BackupSession(repository, host: "host", program: "test")
        #expect(session.index.holds(BlobReference(id: segment.entries[0].id, length: 12)))
        cache.change { for place in $0.indices { $0[place] = 0 } }
        let root = try session.makeWriter(.manifestPack, compression: .off).store([1, 2, 3])
        #expect(throws: RepositoryError.cacheChanged) {
            try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        }
        session.close()
    }

    @Test func aReferenceThatChangesAfterItWasVerifiedIsRead() throws {
        let cache = ShiftyCache()
        let (random, repository) = (TestSeed.random("references"), ID128(high: 1, low: 2))
        let segments = (0..<40).map { number in
            ManifestSegmentReference(
                blob: BlobReference(id: random.id(), length: 1), recordCount: 1, firstPath: [UInt8(number)])
        }
        let chunks = Dictionary(
            uniqueKeysWithValues: segments.map { segment in
                (segment.blob.id, (0..<30).map { _ in random.id() }.sorted())
            })
        var scanned = 0
        func gather(changing: Bool) throws -> Set<ID128> {
            var found: Set<ID128> = []
            let references = ReferenceCache(cache, repository: repository)
            var bodies = 0
            try references.forEach(
                segments,
                scan: { batch in
                    scanned += batch.count
                    return batch.map { chunks[$0.blob.id]! }
                },
                body: { bytes in
                    bodies += 1
                    if changing, bodies == 5 { cache.change { for place in $0.indices { $0[place] = 0 } } }
                    for offset in stride(from: 0, to: bytes.count, by: 16) {
                        found.insert(ID128(loading: bytes.baseAddress! + offset))
                    }
                })
            return found
        }
        let all = Set(chunks.values.joined())
        #expect(try gather(changing: false) == all)
        #expect(scanned == 40)
        #expect(try gather(changing: false) == all)
        #expect(scanned == 40, "they are kept")
        #expect(try gather(changing: true) == all)
        #expect(scanned > 40, "what cannot be believed is read from the store")
    }
}
