// Cached keys: which commands they open a repository for, and what ends them.

import BakCodec
import BakCore
import BakPosix
import Synchronization
import Testing

@testable import bakstore

/// A key cache in this process, whose keys stay until they are removed.
final class MemoryKeyCache: KeyCache {
    private let keys = Mutex<[ID128: (key: SecretBytes, seconds: UInt32)]>([:])

    func key(of repository: ID128) -> SecretBytes? { keys.withLock { $0[repository]?.key } }
    func keep(_ key: SecretBytes, of repository: ID128, seconds: UInt32) {
        keys.withLock { $0[repository] = (key, seconds) }
    }
    func remove(_ repository: ID128) -> Bool { keys.withLock { $0.removeValue(forKey: repository) != nil } }

    /// The times for which keys are cached.
    var seconds: [UInt32] { keys.withLock { $0.values.map(\.seconds) } }
    /// Replaces every key by another one.
    func replaceAll(by key: SecretBytes) { keys.withLock { $0 = $0.mapValues { (key, $0.seconds) } } }
}

@Suite struct KeyCacheTests {
    let home: Home

    init() throws {
        home = try Home()
        home.clock = SlowMachine()
        try home.write("word", "one")
        try home.write("wrong", "two")
        home.run("init", "--encryption", "auto", "--password-file", "~/word")
    }

    private func cache(_ more: String...) {
        #expect(home.run(words: ["key", "cache", "--password-file", "~/word"] + more).code == .done)
    }

    @Test func nothingIsCachedUnlessAsked() {
        #expect(home.run("snapshots", "--password-file", "~/word").code == .done)
        #expect(home.keyCache.seconds.isEmpty)
        #expect(home.run("snapshots").code == .wrongPassword)
        let none = home.run("key", "uncache")
        #expect(none.code == .done && none.output == "no key was cached for this repository\n")
    }

    @Test func everyCommandOpensUntilItEnds() {
        cache()
        #expect(home.keyCache.seconds == [900])
        #expect(home.run("backup", "~/photos").code == .done)
        #expect(home.run("snapshots").code == .done)
        #expect(home.run("check", "--read-data").code == .done)
        #expect(home.run("generate", "words", "snapshot").output.contains("latest"))
        cache("--for", "1h30m")
        #expect(home.keyCache.seconds == [5400])
        #expect(home.run("key", "uncache").output == "removed the key from the cache\n")
        #expect(home.run("snapshots").code == .wrongPassword)
    }

    @Test(arguments: ["0s", "25h", "soon", ""]) func timesThatAreRefused(time: String) {
        #expect(home.run("key", "cache", "--password-file", "~/word", "--for", time).code == .usage)
        #expect(home.keyCache.seconds.isEmpty)
    }

    @Test func aPasswordOnTheCommandLineIsTried() throws {
        cache()
        #expect(home.run("snapshots", "--password-file", "~/wrong").code == .wrongPassword)
        #expect(home.run("snapshots", "--password-command", "echo two").code == .wrongPassword)
        #expect(home.run("snapshots", "--password-file", "~/word").code == .done)
        // The environment and the profile are not asked.
        home.variables["BAKSTORE_PASSWORD_COMMAND"] = "exit 1"
        #expect(home.run("snapshots").code == .done)
        home.variables["BAKSTORE_PASSWORD_COMMAND"] = nil
        try home.write(".config/bakstore/config.toml", "[profile.default]\npassword-command = \"exit 1\"\n")
        #expect(home.run("snapshots").code == .done)
        #expect(home.run("key", "list").code == .failed)
    }

    @Test func theKeyCommandNeedsThePassword() {
        cache()
        for words in [["list"], ["add"], ["remove", "0"], ["passwd"], ["cache"]] {
            #expect(home.run(words: ["key"] + words).code == .wrongPassword, "\(words)")
        }
    }

    @Test func changedAndRemovedPasswordsEndIt() throws {
        cache()
        let changed = home.run(
            "key", "passwd", "--password-file", "~/word", "--new-password-file", "~/wrong")
        #expect(changed.code == .done && changed.error.contains("the key is no longer cached"))
        #expect(home.keyCache.seconds.isEmpty)
        #expect(
            home.run("key", "add", "--password-file", "~/wrong", "--new-password-file", "~/word").code
                == .done)
        cache()
        let slots = home.run("key", "list", "--password-file", "~/word").output.split(separator: "\n")
        let other = try #require(slots.first { $0.hasPrefix(" ") }?.split(separator: " ").first)
        let removed = home.run("key", "remove", String(other), "--password-file", "~/word")
        #expect(removed.code == .done && removed.error.contains("the key is no longer cached"))
        #expect(home.keyCache.seconds.isEmpty)
    }

    @Test func aWrongKeyIsAsNone() {
        cache()
        home.keyCache.replaceAll(by: SecretBytes(copying: [UInt8](repeating: 1, count: Sealer.keyBytes)))
        #expect(home.run("snapshots").code == .wrongPassword)
        home.variables["BAKSTORE_PASSWORD"] = "one"
        #expect(home.run("snapshots").code == .done)
    }

    @Test func anotherRepositoryIsNotOpened() {
        cache()
        let other = ["-r", "~/other"]
        home.run(words: ["init", "--encryption", "auto", "--password-file", "~/word"] + other)
        #expect(home.run(words: ["snapshots"] + other).code == .wrongPassword)
        #expect(home.run("copy", "--from-repo", "~/other").error.contains("--from-password-file"))
        #expect(home.run(words: ["key", "cache", "--password-file", "~/word"] + other).code == .done)
        #expect(home.run("copy", "--from-repo", "~/other").code == .done)
        #expect(home.keyCache.seconds.count == 2)
    }

    @Test func aPlainRepositoryHasNoKey() {
        home.run("init", "-r", "~/plain")
        for word in ["cache", "uncache"] {
            let refused = home.run("key", word, "-r", "~/plain")
            #expect(refused.code == .failed && refused.error.contains("is not encrypted, so it has no keys"))
        }
    }
}
