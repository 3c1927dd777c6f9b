// StoreConformance: what every object store must do, whatever medium it uses. The same suite runs on the folder store,
// on the simulated store on which the proofs of the store protocol rest, and on each decorator.

import BakCore
import BakStorage

/// Runs the suite. Each part of the suite gets an empty store of its own.
public final class StoreConformance {
    private let makeStore: () throws -> any ObjectStore
    private var faults: [String] = []

    private init(_ makeStore: @escaping () throws -> any ObjectStore) { self.makeStore = makeStore }

    /// Returns descriptions of what the store does wrong; empty if it conforms.
    public static func faults(_ makeStore: @escaping () throws -> any ObjectStore) throws -> [String] {
        let suite = StoreConformance(makeStore)
        try suite.whatIsNotThere(makeStore())
        try suite.puts(makeStore())
        try suite.reads(makeStore())
        try suite.manyReads(makeStore())
        try suite.listings(makeStore())
        try suite.deletes(makeStore())
        try suite.batches(makeStore())
        try suite.failedBatches(makeStore())
        try suite.leavings(makeStore())
        try suite.putsAtOnce(makeStore())
        return suite.faults
    }

    private func expect(_ isSo: Bool, _ what: String) { if !isSo { faults.append(what) } }

    private func expect(
        _ kind: StoreError.Kind, _ what: String, _ call: () throws -> Void
    ) {
        do {
            try call()
            faults.append(what + ": no error")
        } catch let error as StoreError {
            expect(error.kind == kind, "\(what): \(error.kind)")
        } catch { faults.append("\(what): \(error)") }
    }

    private func put(_ text: String, _ key: String, _ store: any ObjectStore) throws -> PutOutcome {
        try Array(text.utf8).withUnsafeBytes { try store.put(ObjectKey(key), $0) }
    }

    private func stage(_ text: String, _ key: String, _ batch: any StagedBatch) throws {
        try Array(text.utf8).withUnsafeBytes { try batch.stage(ObjectKey(key), $0) }
    }

    private func read(_ key: String, _ range: Range<Int>, _ store: any ObjectStore) throws -> String {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBytes {
            try store.read(ObjectKey(key), at: range.lowerBound, into: $0)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func text(_ key: String, _ store: any ObjectStore) throws -> String? {
        try store.readAtOnce(ObjectKey(key), upTo: 1 << 20).map { String(decoding: $0, as: UTF8.self) }
    }

    private func all(_ folder: String, _ store: any ObjectStore) throws -> [String] {
        var found: [String] = []
        try store.listAll(beneath: folder) { objects, _ in found += objects.map(\.key.description) }
        return found
    }

    // MARK: Single objects

    private func whatIsNotThere(_ store: any ObjectStore) throws {
        let key = ObjectKey("packs/ab/x")
        expect(.notFound, "size of nothing") { _ = try store.size(of: key) }
        expect(.notFound, "a read of nothing") { _ = try read("packs/ab/x", 0..<1, store) }
        expect(.notFound, "a whole read of nothing") { _ = try store.readAtOnce(key, upTo: 10) }
        expect(try store.list("packs/ab").isEmpty, "a folder that is not there is not empty")
        expect(try all("packs", store).isEmpty, "what lies beneath a folder that is not there is not empty")
        try store.delete(key)
        try store.deleteDurably(key)
        try store.delete([key, ObjectKey("config")])
        try store.makeBatch(of: nil).publish()
    }

    private func puts(_ store: any ObjectStore) throws {
        for (name, put) in [
            ("put", { try store.put($0, $1) }), ("putUnsynced", { try store.putUnsynced($0, $1) }),
            ("putFromReserve", { try store.putFromReserve($0, $1) }),
        ] as [(String, (ObjectKey, UnsafeRawBufferPointer) throws -> PutOutcome)] {
            let key = ObjectKey("snapshots/\(name.lowercased())")
            func outcome(_ text: String) throws -> PutOutcome {
                try Array(text.utf8).withUnsafeBytes { try put(key, $0) }
            }
            expect(try outcome("one") == .created, "\(name) of a free name")
            expect(try outcome("two") == .takenByOthers, "\(name) of a taken name")
            expect(try outcome("one") == .alreadyHasThese, "\(name) of the same bytes")
            expect(try outcome("") == .takenByOthers, "\(name) of no bytes")
            expect(try outcome("one more") == .takenByOthers, "\(name) of more bytes")
            expect(try text(key.description, store) == "one", "\(name) changed what was there")
        }
        expect(try put("", "config", store) == .created, "an empty object")
        expect(try put("", "config", store) == .alreadyHasThese, "an empty object once more")
        expect(try store.size(of: ObjectKey("config")) == 0, "the size of an empty object")
        expect(try text("config", store) == "", "the content of an empty object")
        expect(try read("config", 0..<0, store) == "", "a read of no bytes")
    }

    private func reads(_ store: any ObjectStore) throws {
        _ = try put("0123456789", "packs/ab/x", store)
        let key = ObjectKey("packs/ab/x")
        expect(try store.size(of: key) == 10, "the size")
        for range in [0..<10, 0..<1, 9..<10, 3..<7, 10..<10] {
            expect(
                try read("packs/ab/x", range, store)
                    == String("0123456789".dropFirst(range.lowerBound))
                    .prefix(range.count).description, "bytes \(range)")
        }
        for range in [0..<11, 9..<11, 10..<11, 100..<101] {
            expect(.shortRead(size: 10), "bytes \(range) of 10") { _ = try read("packs/ab/x", range, store) }
        }
        expect(try store.readAtOnce(key, upTo: 10) == Array("0123456789".utf8), "as long as the limit")
        expect(try store.readAtOnce(key, upTo: 9) == nil, "longer than the limit")
    }

    private func manyReads(_ store: any ObjectStore) throws {
        _ = try put("abc", "packs/00/1", store)
        _ = try put("0123456789", "packs/00/2", store)
        let requests = [
            RangeRequest(ObjectKey("packs/00/2"), offset: 3, byteCount: 4),
            RangeRequest(ObjectKey("packs/00/3"), offset: 0, byteCount: 1),
            RangeRequest(ObjectKey("packs/00/1"), offset: 0, byteCount: 3),
            RangeRequest(ObjectKey("packs/00/1"), offset: 1, byteCount: 3),
            RangeRequest(ObjectKey("packs/00/2"), offset: 5, byteCount: 0),
        ]
        var found = [String?](repeating: nil, count: requests.count)
        try store.read(requests) { place, result in
            expect(found[place] == nil, "request \(place) is answered twice")
            switch result {
            case .success(let bytes): found[place] = String(decoding: bytes, as: UTF8.self)
            case .failure(let error): found[place] = "\(error.kind)"
            }
        }
        expect(found == ["3456", "notFound", "abc", "shortRead(size: 3)", ""], "many reads: \(found)")
        struct Stop: Error {}
        var calls = 0
        do {
            try store.read(requests) { _, _ in
                calls += 1
                throw Stop()
            }
            expect(false, "many reads go on when they are to stop")
        } catch is Stop { expect(calls == 1, "many reads go on when they are to stop") }
    }

    // MARK: Several objects

    private func listings(_ store: any ObjectStore) throws {
        let names = [
            "packs/ab/1", "packs/ab/2", "packs/ab-c/1", "packs/ab.c", "packs/abc", "packs/b/c/d",
            "snapshots/1",
            "packs2/x", "config",
        ]
        for name in names.reversed() { _ = try put(name, name, store) }
        expect(try store.list("packs/ab").map(\.key.description) == ["packs/ab/1", "packs/ab/2"], "a folder")
        expect(
            try store.list("packs").map(\.key.description) == ["packs/ab.c", "packs/abc"], "above folders")
        let top = try store.list("").map(\.key.description)
        expect(top.contains("config") && !top.contains { $0.contains("/") }, "the top: \(top)")
        expect(try store.list("packs/b").isEmpty, "a folder of folders")
        let beneath = names.filter { $0.hasPrefix("packs/") }.sorted()
        expect(try all("packs", store) == beneath, "beneath a folder: \(try all("packs", store))")
        expect(try all("packs/b", store) == ["packs/b/c/d"], "beneath a folder of folders")
        var sizes = 0
        try store.listAll(beneath: "packs") { objects, _ in sizes += objects.reduce(0) { $0 + $1.size } }
        expect(sizes == beneath.reduce(0) { $0 + $1.utf8.count }, "sizes beneath a folder")
        expect(try store.list("packs/ab").map(\.size) == [10, 10], "sizes in a folder")
        let (objects, _) = try store.listWithObstructions("packs/ab")
        expect(try objects == store.list("packs/ab"), "the two listings of a folder differ")
    }

    private func deletes(_ store: any ObjectStore) throws {
        let names = (1...5).map { "index/\($0)" }
        for name in names { _ = try put(name, name, store) }
        _ = try text(names[0], store)
        _ = try read(names[1], 0..<1, store)
        try store.delete(ObjectKey(names[0]))
        try store.deleteDurably(ObjectKey(names[1]))
        try store.delete([ObjectKey(names[2]), ObjectKey("index/none"), ObjectKey(names[3])])
        expect(try store.list("index").map(\.key.description) == [names[4]], "what is left after deletes")
        for name in names.dropLast() {
            expect(.notFound, "the size of what was deleted") { _ = try store.size(of: ObjectKey(name)) }
            expect(.notFound, "a read of what was deleted") { _ = try read(name, 0..<1, store) }
            expect(.notFound, "a whole read of what was deleted") { _ = try text(name, store) }
        }
        expect(try put("other", names[0], store) == .created, "a put after a delete")
        expect(try text(names[0], store) == "other", "what was put after a delete")
    }

    // MARK: Batches

    private func batches(_ store: any ObjectStore) throws {
        let (first, second) = (store.makeBatch(of: nil), store.makeBatch(of: nil))
        for number in 0..<3 {
            try stage("first \(number)", "packs/\(number)/a", first)
            try stage("second \(number)", "packs/\(number)/b", second)
        }
        expect(try all("packs", store).isEmpty, "staged objects are visible")
        expect(.notFound, "the size of a staged object") { _ = try store.size(of: ObjectKey("packs/0/a")) }
        try first.publish()
        expect(try all("packs", store) == (0..<3).map { "packs/\($0)/a" }, "what a batch published")
        expect(try text("packs/2/a", store) == "first 2", "what a published object has")
        second.abandon()
        try second.publish()
        expect(try all("packs", store).count == 3, "what was given up is published")
        try stage("again", "packs/0/c", first)
        try first.publish()
        expect(try text("packs/0/c", store) == "again", "a batch that is used again")
        do { try stage("gone", "packs/0/d", store.makeBatch(of: nil)) }
        expect(try all("packs", store).count == 4, "a batch that was let go of is published")
    }

    /// A failure in one batch does not affect another.
    private func failedBatches(_ store: any ObjectStore) throws {
        _ = try put("before", "packs/0/a", store)
        let (failing, other) = (store.makeBatch(of: nil), store.makeBatch(of: nil))
        try stage("other", "packs/0/c", other)
        try stage("mine", "packs/0/a", failing)
        try stage("mine", "packs/0/b", failing)
        expect(.alreadyExists, "a batch with a taken name") { try failing.publish() }
        expect(try text("packs/0/a", store) == "before", "a batch has changed what was there")
        try failing.publish()
        try other.publish()
        expect(try text("packs/0/c", store) == "other", "another batch has lost an object")
    }

    private func leavings(_ store: any ObjectStore) throws {
        let session = ID128(high: 1, low: 2)
        let batch = store.makeBatch(of: session)
        try stage("mine", "packs/0/a", batch)
        try store.removeLeavings { () throws(StoreError) in [session] }
        try batch.publish()
        expect(try text("packs/0/a", store) == "mine", "a living session's object was swept")
        expect(
            try store.removeLeavings { () throws(StoreError) in [] } == 0, "published objects are leavings")
        expect(try text("packs/0/a", store) == "mine", "a published object was swept")
    }

    // MARK: Threads

    /// If several threads put an object under one name, one put succeeds, and all others report that the name is taken.
    private func putsAtOnce(_ store: any ObjectStore) throws {
        guard store.guardsNames else { return }
        let monitor = Monitor()
        nonisolated(unsafe) var outcomes: [PutOutcome] = []
        nonisolated(unsafe) var failure: (any Error)?
        let threads = (0..<4).map { number in
            Thread {
                for round in 0..<20 {
                    let result = Result {
                        try Array("\(number)".utf8).withUnsafeBytes {
                            try store.put(ObjectKey("gc/\(round)"), $0)
                        }
                    }
                    monitor.locked {
                        switch result {
                        case .success(let outcome): outcomes.append(outcome)
                        case .failure(let error): failure = error
                        }
                    }
                }
            }
        }
        threads.forEach { $0.join() }
        if let failure { throw failure }
        expect(outcomes.filter { $0 == .created }.count == 20, "of several who put one name not one has won")
        expect(
            outcomes.filter { $0 == .takenByOthers }.count == 60,
            "of several who put one name some do not know")
    }
}
