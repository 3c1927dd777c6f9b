// A store that cannot let only one of several programs take a name. The user must confirm that a prune is alone there.
// If a backup begins nevertheless, either the prune or the backup notices before data is lost.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

@Suite struct UnguardedTests {
    private func fixture() throws -> Fixture {
        let fixture = Fixture()
        let repository = try fixture.create()
        try smallBackup(repository)
        fixture.store.setGuardsNames(false)
        return fixture
    }

    private func prune(_ fixture: Fixture, on store: (any ObjectStore)? = nil, isAlone: Bool) throws {
        var options = PruneOptions()
        options.isAlone = isAlone
        options.graceSeconds = 0
        options.maxUnused = .bytes(0)
        let repository = try Repository.open(
            store ?? fixture.store, cache: fixture.cache, time: fixture.time, random: fixture.random)
        _ = try Prune(repository, options, host: "host", program: "test").run()
    }

    private func isRefusal(_ error: any Error) -> Bool {
        switch error {
        case RepositoryError.cannotCollect, RepositoryError.pruneUnderWay: true
        default: false
        }
    }

    private func forgetAll(_ fixture: Fixture) throws {
        let repository = try fixture.open()
        try repository.forget(
            try repository.snapshots().readable.map(\.id), host: "host", program: "test")
    }

    private func expectWhole(_ fixture: Fixture) throws {
        let repository = try fixture.open()
        for snapshot in try repository.snapshots().readable { _ = try contents(snapshot, repository) }
    }

    @Test func aPruneMustBeToldThatItIsAlone() throws {
        let fixture = try fixture()
        let before = fixture.store.keys
        #expect(performing: { try prune(fixture, isAlone: false) }, throws: isRefusal)
        #expect(fixture.store.keys == before)
        let repository = try fixture.open()
        let request = RepairRequest(host: "host", program: "test")
        #expect(
            performing: {
                _ = try RepairIndex(repository, request, onEvent: { _ in }, stop: .never).run()
            },
            throws: isRefusal)
        try prune(fixture, isAlone: true)
        try expectWhole(fixture)
    }

    @Test func whatWasGivenUpIsEnded() throws {
        let fixture = try fixture()
        _ = try fixture.session(fixture.open())
        try forgetAll(fixture)
        try prune(fixture, isAlone: true)
        #expect(fixture.store.keys.allSatisfy { !$0.hasPrefix("packs/") && !$0.hasPrefix("sessions/") })
    }

    /// Before each mutation of a prune, a backup begins, ends, or does both.
    @Test(arguments: [true, false])
    func aBackupThatBeginsMeanwhileLosesNothing(isWhole: Bool) throws {
        var (mutation, refusedPrunes, refusedBackups, committed) = (0, 0, 0, 0)
        while true {
            mutation += 1
            let fixture = try fixture()
            try forgetAll(fixture)
            nonisolated(unsafe) var finish: (() throws -> Void)?
            let store = InterruptedStore(fixture.store, beforeMutation: mutation) {
                do {
                    if isWhole {
                        try smallBackup(fixture.open())
                        committed += 1
                    } else {
                        let session = try fixture.session(fixture.open())
                        finish = { try self.finish(session) }
                    }
                } catch RepositoryError.pruneUnderWay {
                    refusedBackups += 1
                }
            }
            do {
                try prune(fixture, on: store, isAlone: true)
            } catch  where isRefusal(error) { refusedPrunes += 1 }
            do {
                try finish?()
                committed += finish == nil ? 0 : 1
            } catch RepositoryError.sessionRevoked {
                // The session existed when the prune began. A real backup would begin again.
                refusedBackups += 1
            }
            try expectWhole(fixture)
            try prune(fixture, isAlone: true)
            try expectWhole(fixture)
            if !store.hasStruck { break }
        }
        #expect(refusedBackups > 0 && committed > 0)
        if !isWhole { #expect(refusedPrunes > 0) }
    }

    private func finish(_ session: BackupSession) throws {
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        for (number, content) in smallContents.enumerated() {
            try manifest.append(
                BakRepositoryTests.file(Array("file\(number)".utf8), try chunks.store(content)))
        }
        let root = try manifest.storeRoot()
        _ = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
    }
}
