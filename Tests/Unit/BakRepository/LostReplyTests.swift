// Puts whose reply is lost. If the put is repeated, the program finds its own object and continues. If the put fails,
// the program does not undo anything that may be needed.

import BakCodec
import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

private func password(_ text: String) -> SecretBytes {
    SecretBytes(copying: Array(text.utf8))
}

private func note(_ name: String) -> KeySlotNote {
    KeySlotNote(name: name, host: "host", program: "test", created: Timestamp(seconds: 1))
}

@Suite struct LostReplyTests {
    private let fixture = Fixture()

    private func create(in store: any ObjectStore) throws -> Repository {
        var options = Repository.Options(classes: Fixture.classes)
        options.packBytes = 1 << 20
        options.encryption = Repository.Encryption(
            method: .aes256GCM, password: password("word"), cost: cheap, note: note("first"))
        return try Repository.create(
            in: store, options: options, cache: MemoryCache(), time: fixture.time, random: fixture.random)
    }

    /// Whether the put of the configuration fails or is repeated, the key slot stays, because the configuration may
    /// need it.
    @Test(arguments: [ReplyLosingStore.Loss.fails(.lostMedium), .isRepeated])
    func aNewRepositoryKeepsItsKeySlot(_ loss: ReplyLosingStore.Loss) throws {
        let store = ReplyLosingStore(fixture.store, loss, of: ObjectNames.config.description)
        switch loss {
        case .isRepeated: _ = try create(in: store)
        case .fails: #expect(throws: StoreError.self) { try create(in: store) }
        }
        #expect(store.lossCount == 1)
        #expect(fixture.keys("keys").count == 1)
        try smallBackup(fixture.open("word"))
        try #expect(fixture.open("word").snapshots().readable.count == 2)
    }

    /// Another program puts its configuration between this program's check and put. Then the key slot has no use and is
    /// removed.
    @Test func theSlotGoesWhereAnotherRepositoryIs() throws {
        let store = InterruptedStore(fixture.store, beforeMutation: 2) { [fixture] in
            _ = try Repository.create(
                in: fixture.store, options: Repository.Options(classes: Fixture.classes),
                cache: MemoryCache(), time: fixture.time, random: SeededRandom(seed: 8))
        }
        let location = fixture.store.location
        #expect(throws: RepositoryError.alreadyExists(location: location)) { try create(in: store) }
        #expect(store.hasStruck && fixture.keys("keys").isEmpty)
        try smallBackup(fixture.open())
    }

    /// A transport repeats every put. Each put finds its own object, and all commands work as usual.
    @Test func everythingThatIsPutIsKnownAgain() throws {
        let store = ReplyLosingStore(fixture.store, .isRepeated)
        let repository = try create(in: store)
        let last = try #require(smallBackup(repository).last)
        let session = try fixture.session(repository)
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        try manifest.append(file(Array("other".utf8), try chunks.store([UInt8](repeating: 9, count: 50_000))))
        let root = try manifest.storeRoot()
        let other = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        try repository.forget([other.id], host: "h", program: "p")
        let abandoned = try fixture.session(repository)
        var options = PruneOptions()
        options.graceSeconds = 0
        let report = try Prune(repository, options, host: "h", program: "p").run()
        // The tombstone counts as this prune's own, although the repeated put found the name taken.
        #expect(report.revokedSessions == 1)
        #expect(try repository.sessionOutcomes().revoked.contains(abandoned.id))
        let second = try repository.addKeySlot(password: password("other"), cost: cheap, note: note("second"))
        try repository.removeKeySlot(second)
        #expect(store.lossCount > 10)
        let opened = try fixture.open("word")
        #expect(try contents(last, opened) == smallContents)
        #expect(try opened.snapshots().readable.count == 2)
    }
}
