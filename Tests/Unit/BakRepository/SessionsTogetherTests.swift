// Two sessions of one process on one store. If one of them cannot publish its objects, the other loses nothing and
// commits no references to these objects.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

@Suite struct SessionsTogetherTests {
    private let fixture = Fixture()
    private let repository: Repository

    init() throws { repository = try fixture.create() }

    /// Begins a session and stores a file in it.
    private func begin(_ content: [UInt8]) throws -> (session: BackupSession, root: BlobReference) {
        let session = try fixture.session(repository)
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        try manifest.append(file(Array("file".utf8), try chunks.store(content)))
        // Fill some packs, so that they are staged before the commit.
        for number in 1...3 {
            _ = try chunks.store(SeededRandom(seed: UInt64(content[0]) + UInt64(number)).bytes(600_000))
        }
        return (session, try manifest.storeRoot())
    }

    private func commit(_ begun: (session: BackupSession, root: BlobReference)) throws -> CommitRecord {
        try begun.session.commit(continuing: false) { record($0, hasIndex: $1, root: begun.root) }
    }

    /// `failsFirst` is true if the failing session fails before the other publishes.
    @Test(arguments: [true, false])
    func onesFailureToPublishHarmsNoOther(failsFirst: Bool) throws {
        let (failing, other) = (try begin(smallContents[0]), try begin(smallContents[1]))
        func fail() throws {
            // A sweep that considers only the other session living.
            let left = fixture.store.temporaryCount
            let removed = try fixture.store.removeLeavings { () throws(StoreError) in [other.session.id] }
            #expect(removed > 0 && removed < left || !failsFirst)
            #expect(throws: RepositoryError.self) { try commit(failing) }
            failing.session.close()
        }
        if failsFirst { try fail() }
        let committed = try commit(other)
        if !failsFirst { try fail() }
        #expect(fixture.store.temporaryCount == 0)
        let opened = try fixture.open()
        #expect(try opened.snapshots().readable.map(\.id) == [committed.id])
        try fixture.expectWhole([(committed, [smallContents[1]])], isTidy: false)
        // None of the failed session's packs is visible.
        let named = Set(try BlobIndex(opened).packs.map { ObjectNames.pack($0.id).description })
        #expect(Set(fixture.keys("packs")) == named)
    }

    /// A store fails one call in the publication of one session.
    @Test(arguments: [StoreError.Kind.full, .lostData])
    func aStoreThatFailsOnceFailsOneSession(kind: StoreError.Kind) throws {
        let (failing, other) = (try begin(smallContents[0]), try begin(smallContents[1]))
        // The commit stages the last two packs, and then publishes.
        fixture.store.setFault(.fail(call: 3, kind: kind, forGood: false))
        #expect(throws: StoreError.self) { try commit(failing) }
        #expect(fixture.store.hasFaultStruck)
        let committed = try commit(other)
        failing.session.close()
        try fixture.expectWhole([(committed, [smallContents[1]])], isTidy: false)
        #expect(try fixture.open().snapshots().readable.map(\.id) == [committed.id])
    }
}
