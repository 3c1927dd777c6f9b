// Tests of BlobCache with one thread and with many: the blobs that it returns, the memory that it uses, and the number
// of its reads.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A store that counts the reads of packs and can make them wait.
private final class WaitingStore: ForwardingStore, @unchecked Sendable {
    private let monitor = Monitor()
    private var isOpen = true
    private var fails = false
    private(set) var reads = 0

    func setOpen(_ open: Bool, failing: Bool = false) {
        monitor.locked {
            (isOpen, fails) = (open, failing)
            monitor.signalAll()
        }
    }

    /// Waits until `count` reads have begun.
    func await(reads count: Int) { monitor.locked { while reads < count { monitor.wait() } } }

    override func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        let fails = monitor.locked {
            reads += 1
            monitor.signalAll()
            while !isOpen { monitor.wait() }
            return self.fails
        }
        if fails {
            throw StoreError(kind: .full, operation: "read", object: key.description, message: "injected")
        }
        try base.read(key, at: offset, into: buffer)
    }
}

/// A counter for several threads.
private final class Count: @unchecked Sendable {
    private let monitor = Monitor()
    private var number = 0

    var value: Int { monitor.locked { number } }
    func add() { monitor.locked { number += 1 } }
}

/// A repository with chunks of given sizes.
private struct Chunks: Sendable {
    let store: WaitingStore
    let repository: Repository
    let index: BlobIndex
    let references: [BlobReference]
    let contents: [BlobReference: [UInt8]]

    init(_ random: SeededRandom, _ sizes: [Int]) throws {
        let fixture = Fixture()
        let session = try fixture.session(try fixture.create())
        let writer = session.makeWriter(.chunkPack, compression: .auto)
        var (references, contents): ([BlobReference], [BlobReference: [UInt8]]) = ([], [:])
        for size in sizes {
            let content = random.bytes(size)
            let reference = try writer.store(content)
            references.append(reference)
            contents[reference] = content
        }
        _ = try session.commit(continuing: false) { record($0, hasIndex: $1, root: references[0]) }
        store = WaitingStore(fixture.store)
        repository = try Repository.open(
            store, cache: fixture.cache, time: fixture.time, random: fixture.random)
        index = try BlobIndex(repository)
        (self.references, self.contents) = (references, contents)
    }

    func expect(_ reference: BlobReference, of cache: BlobCache) throws {
        let bytes = try cache.blob(reference, kind: .chunkPack).withBytes { Array($0) }
        #expect(bytes == contents[reference])
    }
}

@Suite struct BlobCacheTests {
    @Test func whatItSaysIsWhatIsStoredWhateverItHolds() throws {
        let random = TestSeed.random("blob cache")
        let chunks = try Chunks(random, (0..<50).map { _ in random.number(1...4000) })
        for mostBytes in [0, 5000, 40_000, 1 << 30] {
            let cache = BlobCache(chunks.repository, chunks.index, mostBytes: mostBytes)
            for _ in 0..<300 {
                let reference = chunks.references[random.number(0...49)]
                if random.oneIn(5) {
                    let some = (0..<random.number(0...9)).map { _ in
                        chunks.references[random.number(0...49)]
                    }
                    try cache.load(some, kind: .chunkPack)
                }
                try chunks.expect(reference, of: cache)
                #expect(cache.heldBytes <= mostBytes)
            }
        }
    }

    @Test func whatWasUsedLongestAgoGoes() throws {
        let random = TestSeed.random("blob cache order")
        let chunks = try Chunks(random, (0..<20).map { _ in 1000 })
        let room = 5
        let cache = BlobCache(chunks.repository, chunks.index, mostBytes: room * (1000 + 256))
        var model: [BlobReference] = []
        for _ in 0..<400 {
            let reference = chunks.references[random.number(0...19)]
            let before = chunks.store.reads
            try chunks.expect(reference, of: cache)
            #expect((chunks.store.reads == before) == model.contains(reference))
            model.removeAll { $0 == reference }
            model = Array((model + [reference]).suffix(room))
        }
    }

    @Test func oneReadServesAllThatWait() throws {
        let random = TestSeed.random("one read for many")
        let chunks = try Chunks(random, [3000])
        let cache = BlobCache(chunks.repository, chunks.index)
        chunks.store.setOpen(false)
        let before = chunks.store.reads
        let good = Count()
        let threads = (0..<8).map { _ in
            Thread {
                let bytes = try? cache.blob(chunks.references[0], kind: .chunkPack).withBytes { Array($0) }
                if bytes == chunks.contents[chunks.references[0]] { good.add() }
            }
        }
        chunks.store.await(reads: before + 1)
        chunks.store.setOpen(true)
        for thread in threads { thread.join() }
        #expect(good.value == 8)
        #expect(chunks.store.reads == before + 1)
    }

    @Test func aFailureIsToldAndNotKept() throws {
        let random = TestSeed.random("failures of a cache")
        let chunks = try Chunks(random, [3000, 2000])
        let cache = BlobCache(chunks.repository, chunks.index)
        chunks.store.setOpen(true, failing: true)
        #expect(throws: StoreError.self) { try cache.blob(chunks.references[0], kind: .chunkPack) }
        #expect(throws: StoreError.self) { try cache.load(chunks.references, kind: .chunkPack) }
        #expect(throws: MissingBlobError.self) {
            try cache.blob(BlobReference(id: chunks.references[0].id, length: 7), kind: .chunkPack)
        }
        chunks.store.setOpen(true)
        // The same id in the other domain means other content.
        #expect(throws: CorruptionError.self) { try cache.blob(chunks.references[0], kind: .manifestPack) }
        for reference in chunks.references { try chunks.expect(reference, of: cache) }
    }

    @Test func threadsThatReadAheadAndShareSeeWhatIsStored() throws {
        let random = TestSeed.random("threads at a blob cache")
        let chunks = try Chunks(random, (0..<40).map { _ in random.number(1...4000) })
        for mostBytes in [2000, 20_000] {
            let cache = BlobCache(chunks.repository, chunks.index, mostBytes: mostBytes)
            let wrong = Count()
            let threads = (0..<6).map { number in
                Thread {
                    let random = SeededRandom(seed: UInt64(number))
                    for _ in 0..<200 {
                        let reference = chunks.references[random.number(0...39)]
                        if random.oneIn(4) {
                            let some = (0..<6).map { _ in chunks.references[random.number(0...39)] }
                            if (try? cache.load(some, kind: .chunkPack)) == nil {
                                wrong.add()
                            }
                        }
                        let bytes = try? cache.blob(reference, kind: .chunkPack).withBytes { Array($0) }
                        if bytes != chunks.contents[reference] { wrong.add() }
                    }
                }
            }
            for thread in threads { thread.join() }
            #expect(wrong.value == 0)
            #expect(cache.heldBytes <= mostBytes)
        }
    }
}
