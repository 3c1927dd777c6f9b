// The behaviour of a session when a collection ends it, and the index that counts after a collection. The tests put the
// records of collections by hand.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

extension Fixture {
    static let origin = RecordOrigin(time: Timestamp(seconds: 1), host: "host", program: "test")

    func plan(_ round: UInt64, condemning packs: [ID128]) throws {
        let plan = CollectionPlan(number: round, origin: Self.origin, condemned: packs)
        store["gc/\(round).plan"] = plan.encode(try open().context)
    }

    /// Decides a round. The decision deletes packs, and its base has everything else in the repository.
    func decide(_ round: UInt64, deleting packs: [ID128]) throws {
        let repository = try open()
        let index = try BlobIndex(repository).soundIndex()
        var contents: [ID128: (pack: IndexedPack, blobs: [BlobRecord])] = [:]
        try index.forEach { _, entry in
            let pack = index.packs[Int(entry.pack)]
            guard !packs.contains(pack.id) else { return }
            contents[pack.id, default: (pack, [])].blobs.append(
                BlobRecord(
                    id: entry.id, offset: entry.offset, rawLength: entry.rawLength,
                    storedLength: entry.storedLength, codec: .raw, storedChecksum: 0))
        }
        let base = IndexSegment(session: random.id(), contents: Array(contents.values))
        store["index/\(round)-\(base.session)"] = base.encode(repository.context)
        let superseded = try repository.sessionOutcomes().committed
        let decision = CollectionDecision(
            number: round, origin: Self.origin, deleted: packs, base: [base.session],
            superseded: Array(superseded))
        store["gc/\(round).decision"] = decision.encode(repository.context)
        for id in superseded { store["index/\(id)"] = nil }
        for pack in packs { store["packs/\(pack.description.prefix(2))/\(pack)"] = nil }
    }

    func revoke(_ session: ID128) throws {
        store["snapshots/\(session)"] = Tombstone(session: session).encode(try open().context)
    }
}

@Suite struct RevocationTests {
    /// Begins a session, and gives its writers some content and a manifest.
    private func begin(
        _ repository: Repository, _ contents: [[UInt8]], keeping kept: BackupSession.KeptPacks = .init()
    ) throws -> (session: BackupSession, root: BlobReference) {
        let session = try BackupSession(repository, host: "host", program: "test", keeping: kept)
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .off))
        for (number, content) in contents.enumerated() {
            try manifest.append(file(Array("file\(number)".utf8), try chunks.store(content)))
        }
        return (session, try manifest.storeRoot())
    }

    private func commit(_ begun: (session: BackupSession, root: BlobReference)) throws -> CommitRecord {
        try begun.session.commit(continuing: false) { record($0, hasIndex: $1, root: begun.root) }
    }

    @Test func aRevokedSessionGoesOnUnderANewOne() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let begun = try begin(repository, smallContents)
        let first = begun.session.id
        try fixture.revoke(first)
        let snapshot = try commit(begun)
        #expect(snapshot.id != first)
        #expect(try contents(snapshot, try fixture.open()) == smallContents)
        #expect(try repository.snapshots().readable.map(\.id) == [snapshot.id])
        // Nothing was stored twice. The objects of the revoked session do not count.
        #expect(fixture.store.calls.filter { $0.operation == .stage }.count == 2)
        #expect(!(try BlobIndex(repository).trusted.ids.contains(first)))
    }

    @Test func nothingCondemnedIsCountedOn() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let old = try commit(begin(repository, smallContents))
        let packs = try repository.indexSegment(old.id).packs.map(\.id)
        try fixture.plan(1, condemning: packs)
        let new = try commit(begin(repository, smallContents))
        #expect(Set(try repository.indexSegment(new.id).packs.map(\.id)).isDisjoint(with: packs))
        try fixture.decide(1, deleting: packs)
        #expect(try contents(new, try fixture.open()) == smallContents)
    }

    /// A session is revoked, and its packs are condemned as strays. Meanwhile another backup has stored the same
    /// chunks. The session's snapshot is complete without the condemned packs, so its index segment must not name them.
    @Test func aSegmentNamesNothingCondemned() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        var condemned: [ID128] = []
        let thief = Thief(fixture.store) { key in
            guard key.hasPrefix("snapshots/"), let session = ObjectNames.id(in: ObjectKey(key)) else {
                return false
            }
            condemned = try fixture.open().listPacks().keys.sorted()
            try fixture.revoke(session)
            _ = try commit(begin(try fixture.open(), smallContents))
            try fixture.plan(1, condemning: condemned)
            return true
        }
        let begun = try begin(
            Repository.open(thief, cache: fixture.cache, time: fixture.time, random: fixture.random),
            smallContents)
        thief.isArmed = true
        let snapshot = try commit(begun)
        #expect(condemned.count == 2)
        #expect(!snapshot.hasIndex)
        try fixture.decide(1, deleting: condemned)
        let repository = try fixture.open()
        #expect(Set(try BlobIndex(repository).packs.map(\.id)).isDisjoint(with: condemned))
        #expect(try contents(snapshot, repository) == smallContents)
    }

    @Test func aRunThatLostItsPacksBeginsAgainAndKeepsTheRest() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        // Between the session's packs and its commit record, a collection revokes the session and deletes its chunks.
        let thief = Thief(fixture.store) { key in
            guard key.hasPrefix("snapshots/") else { return false }
            let packs = fixture.store.keys.filter {
                $0.hasPrefix("packs/") && fixture.store[$0]![8] == ObjectKind.chunkPack.rawValue
            }.compactMap { ObjectNames.id(in: ObjectKey($0)) }
            let session = try #require(ObjectNames.id(in: ObjectKey(key)))
            try fixture.revoke(session)
            try fixture.plan(1, condemning: packs)
            try fixture.decide(1, deleting: packs)
            return true
        }
        let stolen = try Repository.open(
            thief, cache: fixture.cache, time: fixture.time, random: fixture.random)
        let second = try begin(stolen, smallContents)
        thief.isArmed = true
        #expect(throws: RepositoryError.self) { try commit(second) }
        let kept = second.session.keptPacks
        #expect(kept.packs.count == 1)
        fixture.store.clearCalls()
        let third = try begin(stolen, smallContents, keeping: kept)
        let snapshot = try commit(third)
        // The session stored the chunks again, but not the manifest.
        #expect(fixture.store.calls.filter { $0.operation == .stage }.count == 1)
        #expect(try contents(snapshot, try fixture.open()) == smallContents)
    }

    /// The session is revoked twice. The second time, its manifest is deleted before the session can look at it.
    @Test func aRunThatLostItsManifestWhileItLookedBeginsAgain() throws {
        let fixture = Fixture()
        _ = try fixture.create()
        var round: UInt64 = 0
        // Right before the first session's commit record, puts a tombstone for that session. Right before the next
        // session's index segment, puts a tombstone for the next session, too, and deletes its manifest in a round.
        let thief = Thief(fixture.store) { key in
            guard let session = ObjectNames.id(in: ObjectKey(key)) else { return false }
            if round == 0, key.hasPrefix("snapshots/") {
                try fixture.revoke(session)
                round = 1
            } else if round == 1, key.hasPrefix("index/") {
                let packs = fixture.store.keys.filter {
                    $0.hasPrefix("packs/") && fixture.store[$0]![8] == ObjectKind.manifestPack.rawValue
                }.compactMap { ObjectNames.id(in: ObjectKey($0)) }
                #expect(packs.count == 1)
                try fixture.revoke(session)
                try fixture.plan(1, condemning: packs)
                try fixture.decide(1, deleting: packs)
                return true
            }
            return false
        }
        let stolen = try Repository.open(
            thief, cache: fixture.cache, time: fixture.time, random: fixture.random)
        let run = try begin(stolen, smallContents)
        thief.isArmed = true
        // A collection deleted the manifest, so it is not damage.
        #expect(throws: RepositoryError.self) { try commit(run) }
        #expect(!thief.isArmed)
        #expect(run.session.damagedPacks.isEmpty)
        let snapshot = try commit(try begin(stolen, smallContents, keeping: run.session.keptPacks))
        #expect(try contents(snapshot, try fixture.open()) == smallContents)
    }

    @Test func aCheckpointedRunNoticesWhatWasTakenMeanwhile() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let old = try commit(begin(repository, [smallContents[0]]))
        let packs = try repository.indexSegment(old.id).packs.map(\.id)
        let session = try fixture.session(repository)
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .off))
        try manifest.append(file(Array("a".utf8), try chunks.store(smallContents[1])))
        let root = try manifest.storeRoot()
        // The round is planned after this session has begun, and decided after it has committed. The next session must
        // not rely on these packs.
        _ = try session.commit(continuing: true) { record($0, hasIndex: $1, root: root, isComplete: false) }
        try manifest.append(file(Array("b".utf8), try chunks.store(smallContents[0])))
        try fixture.plan(1, condemning: packs)
        try fixture.decide(1, deleting: packs)
        let last = try manifest.storeRoot()
        let next = session.id
        #expect(throws: RepositoryError.sessionRevoked(next)) {
            _ = try session.commit(continuing: true) { record($0, hasIndex: $1, root: last) }
        }
    }

    @Test func theNewestDecisionSaysWhichIndexCounts() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let commits = try smallBackup(repository)
        let reader = try BlobIndex(repository)
        try fixture.decide(1, deleting: [])
        #expect(fixture.store.keys.filter { $0.hasPrefix("index/") }.count == 1)
        #expect(try contents(commits[1], try fixture.open()) == smallContents)
        let added = try commit(begin(repository, [[9, 9, 9]]))
        try fixture.decide(2, deleting: [])
        fixture.store["index/1-\(ID128.zero)"] = [1, 2, 3]
        for snapshot in commits { #expect(try contents(snapshot, try fixture.open()).count > 1) }
        #expect(try contents(added, try fixture.open()) == [[9, 9, 9]])
        // An index that was opened before finds the blob after a refresh.
        #expect(reader.location(of: added.root) == nil)
        #expect(try reader.refreshIfCollected())
        #expect(reader.location(of: added.root) != nil)
        #expect(!(try reader.refreshIfCollected()))
    }

    @Test func aDamagedDecisionHidesNothingFromAReader() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let commits = try smallBackup(repository)
        try fixture.decide(1, deleting: [])
        fixture.store["gc/1.decision"]![100] ^= 1
        #expect(throws: CorruptionError.self) { try BlobIndex(repository) }
        var damage: [CorruptionError] = []
        let index = try BlobIndex(repository) { damage.append($0) }
        #expect(damage.map(\.object) == ["gc/1.decision"])
        #expect(index.location(of: commits[1].root) != nil)
        // No valid decision names the base, so a backup does not rely on it and stores everything again.
        let session = try BackupSession(repository, host: "h", program: "p") { damage.append($0) }
        #expect(session.index.count == 0)
    }

    @Test func forgottenSnapshotsAreNotListed() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let commits = try smallBackup(repository)
        #expect(throws: RepositoryError.noSuchSnapshot(name: "\(ID128.zero)")) {
            try repository.forget([commits[0].id, .zero], host: "h", program: "p")
        }
        #expect(try repository.forgotten().isEmpty)
        for _ in 0..<2 { try repository.forget([commits[0].id], host: "h", program: "p") }
        #expect(try repository.forgotten() == [commits[0].id])
        #expect(try repository.snapshots().readable.map(\.id) == [commits[1].id])
        let bytes = try #require(fixture.store["forget/\(commits[0].id)"])
        try bytes.withUnsafeBytes {
            _ = try ForgetMarker(
                decoding: $0, object: "", snapshot: commits[0].id, context: repository.context)
        }
    }
}

/// A store that calls a closure right before each put.
private final class Thief: ForwardingStore, @unchecked Sendable {
    private let act: (String) throws -> Bool
    var isArmed = false

    init(_ base: SimulatedStore, _ act: @escaping (String) throws -> Bool) {
        self.act = act
        super.init(base)
    }

    override func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        if isArmed, (try? act(key.description)) == true { isArmed = false }
        return try base.put(key, bytes)
    }
}
