// The names that a user types for a snapshot, if some commit records cannot be read.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

@Suite struct SnapshotNameTests {
    private let fixture = Fixture()

    /// Commits snapshots at intervals of an hour. Each is the parent of the next, except where a chain ends.
    private func commit(_ count: Int, chainEnds: Set<Int> = []) throws -> [CommitRecord] {
        let repository = try fixture.create()
        var made: [CommitRecord] = []
        for number in 0..<count {
            let session = try fixture.session(repository)
            let root = try session.makeWriter(.manifestPack, compression: .off).store([UInt8(number)])
            made.append(
                try session.commit(continuing: false) {
                    var record = record($0, hasIndex: $1, root: root)
                    record.time = Timestamp(seconds: Int64(number) * 3600)
                    record.parent = chainEnds.contains(number) ? nil : made.last?.id
                    return record
                })
        }
        return made
    }

    /// Damages a record beyond repair: it also removes the spare.
    private func damage(_ snapshot: CommitRecord) {
        fixture.store["snapshots/\(snapshot.id)"]![100] ^= 1
        fixture.store["records/\(snapshot.id)"] = nil
    }

    private func unreadable(_ name: String) -> ID128? {
        do {
            _ = try fixture.open().findSnapshot(name)
            return nil
        } catch { return (error as? LatestUnreadableError)?.snapshot.id }
    }

    @Test func latestStopsAtADamagedRecordThatMayBeTheNewest() throws {
        let made = try commit(3)
        damage(made[2])
        #expect(unreadable("latest") == made[2].id)
        #expect(unreadable("latest~1") == made[2].id)
        #expect(unreadable("latest~9") == made[2].id)
        let list = try fixture.open().snapshotList()
        #expect(try list.find("latest", skippingDamaged: true).id == made[1].id)
        #expect(try list.find("latest~1", skippingDamaged: true).id == made[0].id)
        #expect(throws: RepositoryError.noSuchSnapshot(name: "latest~2")) {
            try list.find("latest~2", skippingDamaged: true)
        }
    }

    @Test func whatLaterSnapshotsWereMadeAfterIsOlder() throws {
        let made = try commit(4)
        damage(made[1])
        #expect(try fixture.open().findSnapshot("latest").id == made[3].id)
        // The damaged snapshot was made before 2, and may have been made after 0.
        #expect(try fixture.open().findSnapshot("latest~1").id == made[2].id)
        #expect(unreadable("latest~2") == made[1].id)
    }

    @Test func aRecordOutsideOfAnyChainMayBeTheNewest() throws {
        let made = try commit(3, chainEnds: [2])
        damage(made[1])
        #expect(unreadable("latest") == made[1].id)
    }

    @Test func withoutAnyRecordThatCanBeReadThereIsNoWordOfAnEmptyRepository() throws {
        let made = try commit(1)
        damage(made[0])
        #expect(unreadable("latest") == made[0].id)
        #expect(throws: RepositoryError.noCompleteSnapshot(partialCount: 0, unreadableCount: 1)) {
            try fixture.open().snapshotList().find("latest", skippingDamaged: true)
        }
    }

    @Test func aPrefixOfADamagedRecordIsItsNameToo() throws {
        let made = try commit(20)
        damage(made[4])
        damage(made[9])
        let ids = made.map { String($0.id.description) }
        let isDamaged = Set([ids[4], ids[9]])
        for length in 1...4 {
            for id in ids {
                let prefix = String(id.prefix(length))
                let same = ids.filter { $0.hasPrefix(prefix) }
                do {
                    let found = try fixture.open().findSnapshot(prefix)
                    #expect(same == [found.id.description] && !isDamaged.contains(same[0]))
                } catch is CorruptionError {
                    #expect(same.count == 1 && isDamaged.contains(same[0]))
                } catch RepositoryError.ambiguousSnapshot {
                    #expect(same.count > 1)
                }
            }
        }
    }
}
