// The program respects the traits that a store declares: the number of objects in a request, the size of packs, and the
// way to list packs.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A store that deletes several objects in one request, takes only small packs, and counts its requests.
private final class DistantStore: ForwardingStore, @unchecked Sendable {
    private(set) var deletes: [Int] = []

    override var traits: StoreTraits {
        var traits = StoreTraits()
        (traits.deletesAtOnce, traits.mostPackBytes) = (100, 1 << 20)
        return traits
    }
    override func delete(_ keys: [ObjectKey]) throws(StoreError) {
        deletes.append(keys.count)
        try base.delete(keys)
    }
}

@Suite struct StoreTraitTests {
    private let fixture = Fixture()

    private func forgottenBackup(_ repository: Repository) throws {
        let session = try fixture.session(repository)
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        for number in 0..<20 {
            let content = fixture.random.bytes(300_000)
            try manifest.append(file(Array("file\(100 + number)".utf8), try chunks.store(content)))
        }
        let root = try manifest.storeRoot()
        let commit = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        try repository.forget([commit.id], host: "h", program: "p")
    }

    @Test func aSweepRemovesManyInOneRequest() throws {
        let store = DistantStore(fixture.store)
        var options = Repository.Options(classes: Fixture.classes)
        options.packBytes = 1 << 24
        let repository = try Repository.create(
            in: store, options: options, cache: MemoryCache(), time: fixture.time, random: fixture.random)
        #expect(repository.config.packBytes == 1 << 20)
        try forgottenBackup(repository)
        let packs = fixture.keys("packs").count
        #expect(packs > 5)
        _ = try Prune(repository, PruneOptions(), host: "h", program: "p").run()
        #expect(fixture.keys("packs").isEmpty)
        // One request deletes all packs.
        #expect(store.deletes == [packs])
    }

    /// One request lists all packs in all folders.
    @Test func packsAreListedByOneRequest() throws {
        let repository = try fixture.create()
        try forgottenBackup(repository)
        fixture.store.clearCalls()
        #expect(try repository.listPacks().count == fixture.keys("packs").count)
        #expect(fixture.store.calls == [.init(.list, "packs")])
        fixture.store.clearCalls()
        let report = try RepositoryCheck(repository, depth: .structure, workerCount: 1, onEvent: { _ in })
            .run()
        #expect(report.isClean)
        #expect(fixture.store.calls.filter { $0.operation == .list }.count < 40, "\(fixture.store.calls)")
    }

    /// Objects elsewhere beneath `packs` are not packs.
    @Test func onlyTheFoldersOfPacksHoldPacks() throws {
        let repository = try fixture.create()
        for name in ["packs/a", "packs/zz/1", "packs/ab/1/2", "packs/abc/1"] { fixture.store[name] = [1] }
        var found: [String] = []
        fixture.store["packs/ab/1"] = [1]
        try repository.store.listPackFolders { objects, _ in found += objects.map(\.key.description) }
        #expect(found == ["packs/ab/1"])
    }
}
