// A repository's key, given instead of a password.

import BakCodec
import BakCore
import BakFormat
import TestSupport
import Testing

@testable import BakRepository

@Suite struct GivenKeyTests {
    private func password(_ text: String) -> SecretBytes { SecretBytes(copying: text.utf8) }

    private let note = KeySlotNote(
        name: "name", host: "host", program: "test", created: Timestamp(seconds: 1))

    @Test func aKeyOpensWithoutItsPassword() throws {
        let fixture = Fixture()
        let repository = try fixture.createEncrypted()
        let commits = try smallBackup(repository)
        let key = try #require(repository.key)
        var asked = 0
        func open(_ key: SecretBytes, _ fixture: Fixture = fixture) throws -> Repository {
            try Repository.open(
                fixture.store, cache: MemoryCache(), time: fixture.time, random: fixture.random, key: key
            ) {
                asked += 1
                return password("word")
            }
        }
        let opened = try open(key)
        #expect(asked == 0 && opened.key == key)
        #expect(try contents(commits[1], opened) == smallContents)
        // No slot has opened it, and slots can be added all the same.
        #expect(try opened.keySlots().map(\.isCurrent) == [false])
        _ = try opened.addKeySlot(password: password("second"), cost: cheap, note: note)
        #expect(try fixture.open("second").key == key)
        // Keys of another length, and another key, are passed over.
        let strangers = [
            key.prefix(31), SecretBytes(copying: []), SecretBytes(copying: [UInt8](repeating: 1, count: 32)),
        ]
        for (count, stranger) in strangers.enumerated() {
            #expect(try open(stranger).key == key && asked == count + 1)
        }
        // So is the key where another configuration with the same id is in the place of its own.
        let other = Fixture(seed: 9)
        _ = try other.create {
            $0.id = repository.config.id
            $0.encryption = Repository.Encryption(
                method: .aes256GCM, password: password("word"), cost: cheap, note: note)
        }
        #expect(try open(key, other).key != key)
        #expect(asked == strangers.count + 1)
    }
}
