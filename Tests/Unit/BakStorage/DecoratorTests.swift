// The purpose of each decorator. The tests control the time.

import BakCore
import BakStorage
import TestSupport
import Testing

private func put(_ text: String, _ key: String, _ store: any ObjectStore) throws -> PutOutcome {
    try Array(text.utf8).withUnsafeBytes { try store.put(ObjectKey(key), $0) }
}

/// Records the requested pauses.
private final class Pauses: @unchecked Sendable {
    private let monitor = Monitor()
    private var noted: [UInt64] = []

    var all: [UInt64] { monitor.locked { noted } }

    /// Records a pause. Returns the number of pauses so far.
    @discardableResult
    func note(_ pause: UInt64) -> Int {
        monitor.locked {
            noted.append(pause)
            return noted.count
        }
    }
}

@Suite struct RetryingStoreTests {
    private let base = SimulatedStore()
    private let pauses = Pauses()

    private func store(stoppingAfter limit: Int = .max) -> RetryingStore {
        RetryingStore(base, random: SeededRandom(seed: 3)) { [pauses] pause in pauses.note(pause) < limit }
    }

    @Test func whatFailsForAWhileIsRepeatedAfterGrowingPauses() throws {
        base.setFault(.fail(call: 1, kind: .transient(retryAfterMs: nil), forGood: true))
        #expect {
            try put("a", "config", store())
        } throws: {
            ($0 as? StoreError)?.kind == .transient(retryAfterMs: nil)
        }
        // Each pause is between half of its maximum and the maximum. The maximum doubles each time.
        #expect(pauses.all.count == 7)
        for (place, pause) in pauses.all.enumerated() {
            let longest = min(250 << UInt64(place), 30_000) as UInt64
            #expect((longest / 2...longest).contains(pause), "pause \(place): \(pause)")
        }
        #expect(base.calls.count == 8)
    }

    @Test func aStoreThatSaysWhenIsAskedThen() throws {
        base.setFault(.fail(call: 1, kind: .transient(retryAfterMs: 90_000), forGood: false))
        #expect(try put("a", "config", store()) == .created)
        #expect(pauses.all == [90_000])
    }

    @Test(arguments: [StoreError.Kind.full, .readOnly, .denied, .lostData, .lostMedium, .failed])
    func whatWillNotComeThroughIsNotRepeated(_ kind: StoreError.Kind) throws {
        base.setFault(.fail(call: 1, kind: kind, forGood: false))
        #expect {
            try put("a", "config", store())
        } throws: {
            ($0 as? StoreError)?.kind == kind
        }
        #expect(pauses.all.isEmpty && base.calls.count == 1)
    }

    @Test func whoIsToldToStopStops() throws {
        base.setFault(.fail(call: 1, kind: .transient(retryAfterMs: nil), forGood: true))
        #expect {
            try store(stoppingAfter: 2).size(of: ObjectKey("config"))
        } throws: {
            ($0 as? StoreError)?.kind == .cancelled
        }
        #expect(base.calls.count == 2)
    }

    /// The reply to a put is lost. The repeated put finds its own object.
    @Test func aPutWhoseReplyWasLostIsOnesOwn() throws {
        let losing = ReplyLosingStore(base, .fails(.transient(retryAfterMs: nil)), of: "config")
        let store = RetryingStore(losing, random: SeededRandom(seed: 3)) { [losing] _ in
            losing.stopLosing()
            return true
        }
        #expect(try put("a", "config", store) == .alreadyHasThese)
        #expect(losing.lossCount == 1)
    }

    /// Publishing a batch fails for a while, and then succeeds completely.
    @Test func aBatchIsPublishedInTheEnd() throws {
        let batch = store().makeBatch(of: nil)
        for key in ["packs/0/a", "packs/0/b"] {
            try [UInt8](key.utf8).withUnsafeBytes { try batch.stage(ObjectKey(key), $0) }
        }
        base.setFault(.fail(call: 2, kind: .transient(retryAfterMs: nil), forGood: false))
        try batch.publish()
        #expect(base.keys == ["packs/0/a", "packs/0/b"] && pauses.all.count == 1)
    }
}

@Suite struct RateLimitedStoreTests {
    private let time = SimulatedTime()
    private let pauses = Pauses()

    private func store(writing: UInt64? = nil, reading: UInt64? = nil) -> RateLimitedStore {
        RateLimitedStore(
            SimulatedStore(), writeBytesPerSecond: writing, readBytesPerSecond: reading, time: time
        ) { [pauses] in pauses.note($0) }
    }

    @Test func aTransferWaitsForThoseBeforeIt() throws {
        let store = store(writing: 100)
        let text = String(repeating: "x", count: 200)
        for number in 0..<3 { _ = try put(text, "index/\(number)", store) }
        // The clock stands still, so the second put waits for two seconds and the third for four.
        #expect(pauses.all == [2_000_000_000, 4_000_000_000])
        time.advance(seconds: 6)
        _ = try put(text, "index/3", store)
        #expect(pauses.all.count == 2)
        // Reading is not limited here.
        for _ in 0..<3 { _ = try store.readAtOnce(ObjectKey("index/0"), upTo: 1000) }
        #expect(pauses.all.count == 2)
    }

    @Test func whatIsReadCountsAfterwardsWhereItsSizeIsNotKnown() throws {
        let store = store(reading: 100)
        _ = try put(String(repeating: "x", count: 300), "config", store)
        _ = try store.readAtOnce(ObjectKey("config"), upTo: 1000)
        #expect(pauses.all.isEmpty)
        var byte: [UInt8] = [0]
        try byte.withUnsafeMutableBytes { try store.read(ObjectKey("config"), at: 0, into: $0) }
        #expect(pauses.all == [3_000_000_000])
    }
}

@Suite struct RecordingStoreTests {
    @Test func callsAreNotedWithTheirCountsAndEnds() throws {
        let store = RecordingStore(SimulatedStore())
        _ = try put("abc", "config", store)
        let batch = store.makeBatch(of: nil)
        try batch.publish()
        _ = try store.list("index")
        _ = try? store.size(of: ObjectKey("index/1"))
        try store.delete([ObjectKey("index/1"), ObjectKey("index/2")])
        var missing = RecordingStore.Call(operation: .size, object: "index/1")
        missing.failure = .notFound
        #expect(
            store.calls == [
                .init(operation: .put, object: "config", byteCount: 3),
                .init(operation: .publish, object: ""),
                .init(operation: .list, object: "index"), missing,
                .init(operation: .delete, object: "index/1", count: 2),
            ])
        #expect(store.calls.filter(\.isMutation).count == 3)
        store.clear()
        #expect(store.calls.isEmpty)
    }
}

@Suite struct CachingStoreTests {
    private let base = SimulatedStore()
    private let cache = MemoryCache()

    /// Returns a store that considers objects valid if they begin with "ok".
    private func store() -> CachingStore {
        CachingStore(
            base, in: cache, keeping: { $0.description.hasPrefix("index/") }, upTo: 100,
            isWhole: { $1.starts(with: "ok".utf8) })
    }

    private func text(_ key: String, _ store: CachingStore) throws -> String? {
        try store.readAtOnce(ObjectKey(key), upTo: 1000).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func whatIsKeptIsReadOnce() throws {
        for key in ["index/1", "snapshots/1"] { _ = try put("ok \(key)", key, base) }
        base.clearCalls()
        for _ in 0..<3 { #expect(try text("index/1", store()) == "ok index/1") }
        #expect(base.calls.count == 1)
        var part = [UInt8](repeating: 0, count: 5)
        try part.withUnsafeMutableBytes { try store().read(ObjectKey("index/1"), at: 3, into: $0) }
        #expect(part == Array("index".utf8) && base.calls.count == 1)
        for _ in 0..<3 { _ = try text("snapshots/1", store()) }
        #expect(base.calls.count == 4)
    }

    @Test func aCopyThatIsNotWholeIsNotBelieved() throws {
        _ = try put("ok", "index/1", base)
        _ = try text("index/1", store())
        cache[CachingStore.cacheName(of: ObjectKey("index/1"))] = Array("no".utf8)
        #expect(try text("index/1", store()) == "ok")
        // An object from the store is not cached if it is invalid or too long.
        for (key, content) in [("index/2", "damaged"), ("index/3", "ok" + String(repeating: "x", count: 99))]
        {
            _ = try put(content, key, base)
            #expect(try text(key, store()) == content)
            #expect(cache[CachingStore.cacheName(of: ObjectKey(key))] == nil)
        }
    }

    @Test func whatIsDeletedIsNotKept() throws {
        let store = store()
        _ = try put("ok", "index/1", store)
        _ = try text("index/1", store)
        try store.delete(ObjectKey("index/1"))
        #expect(throws: StoreError.self) { try text("index/1", store) }
    }
}
