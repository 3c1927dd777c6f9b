// The ways in which a store gives names. Each way keeps the promise of put-if-absent between threads and between
// stores. The store records its way for all programs. Files that crashed writers leave are removed.

import BakCore
import BakStorage
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct NamingTests {
        let scratch = Scratch(inMemory: true)

        /// Returns a store that gives names in the given way, as if another machine had set it up.
        func store(_ way: Naming) throws -> LocalStore {
            let store = try LocalStore.create(path: scratch["store"])
            switch way {
            case .claim: scratch.folder("store/claims")
            case .lock: scratch.folder("store/locks")
            case .unguarded: scratch.write("store/unguarded", "")
            case .rename, .link: store.monitor.locked { store.way = way }
            }
            return store
        }

        func text(_ store: LocalStore, _ key: String) throws -> String {
            var bytes = [UInt8](repeating: 0, count: try store.size(of: ObjectKey(key)))
            try bytes.withUnsafeMutableBytes { try store.read(ObjectKey(key), at: 0, into: $0) }
            return String(decoding: bytes, as: UTF8.self)
        }

        @Test(arguments: [Naming.rename, .link, .claim, .lock, .unguarded])
        func aTakenNameStaysAsItIs(way: Naming) throws {
            let store = try store(way)
            #expect(try withBytes("one") { try store.put(ObjectKey("gc/1.plan"), $0) } == .created)
            #expect(try withBytes("two") { try store.put(ObjectKey("gc/1.plan"), $0) } == .takenByOthers)
            // A second put of the same content has not created the object, but the outcome says that the content is the
            // same.
            #expect(try withBytes("one") { try store.put(ObjectKey("gc/1.plan"), $0) } == .alreadyHasThese)
            #expect(try text(store, "gc/1.plan") == "one")
            #expect(try withBytes("") { try store.put(ObjectKey("config"), $0) } == .created)
            #expect(throws: StoreError.self) { try publish("three", as: ObjectKey("gc/1.plan"), in: store) }
            try publish("four", as: ObjectKey("packs/ab/4"), in: store)
            #expect(try text(store, "gc/1.plan") == "one")
            #expect(try text(store, "packs/ab/4") == "four")
            #expect(scratch.names("store/tmp").isEmpty)
            if way == .claim { #expect(scratch.names("store/claims").isEmpty) }
            if way == .lock { #expect(scratch.names("store/locks").isEmpty) }
            #expect(store.guardsNames == (way != .unguarded))
            #expect(store.naming == way)
        }

        @Test(arguments: [Naming.rename, .link, .claim, .lock])
        func oneOfManyPutsWins(way: Naming) throws {
            _ = try store(way)
            let monitor = Monitor()
            nonisolated(unsafe) var winners: [Int: [Int]] = [:]
            let threads = try (0..<4).map { thread in
                // Each thread has a store of its own, as processes have.
                let store = try LocalStore(path: scratch["store"])
                if way == .link { store.monitor.locked { store.way = .link } }
                return Thread {
                    for index in 0..<60 {
                        let outcome = try! withBytes("\(thread)") {
                            try store.put(ObjectKey("n/\(index)"), $0)
                        }
                        if outcome == .created {
                            monitor.locked { winners[index, default: []].append(thread) }
                        }
                    }
                }
            }
            threads.forEach { $0.join() }
            let store = try LocalStore(path: scratch["store"])
            for index in 0..<60 {
                #expect(winners[index]?.count == 1)
                #expect(try text(store, "n/\(index)") == "\(winners[index]?.first ?? -1)")
            }
            #expect(scratch.names("store/tmp").isEmpty)
            if way == .claim { #expect(scratch.names("store/claims").isEmpty) }
        }

        @Test func claimsThatAreMadeByAnotherAreFound() throws {
            let store = try LocalStore.create(path: scratch["store"])
            _ = try withBytes("a") { try store.put(ObjectKey("gc/1.plan"), $0) }
            #expect(store.naming == .rename)
            scratch.folder("store/claims")
            // Another process has claimed the name and then stopped.
            let token = Temporary.name()
            scratch.write("store/tmp/" + token, "theirs")
            scratch.folder("store/claims/gc+2.plan")
            scratch.write("store/claims/gc+2.plan/" + token, "")
            #expect(try withBytes("mine") { try store.put(ObjectKey("gc/2.plan"), $0) } == .takenByOthers)
            #expect(try text(store, "gc/2.plan") == "theirs")
            #expect(store.naming == .claim)
            #expect(scratch.names("store/claims").isEmpty)
        }

        @Test func aLockOfOneThatWasKilledIsBrokenOnlyOnTheUsersWord() throws {
            let store = try store(.lock)
            _ = try withBytes("a") { try store.put(ObjectKey("gc/1.plan"), $0) }
            scratch.folder("store/locks/gc+2.plan")
            let claims = Locks(store.claimFolder())
            let object = try withBytes("b") { try store.writeTemporary(ObjectKey("gc/2.plan"), $0, of: nil) }
            #expect(throws: Errno(code: EBUSY)) {
                try claims.publish(object.temporary, as: "gc/2.plan") { false }
            }
            _ = try store.removeLeavings(olderThanSeconds: 0) { [] }
            #expect(scratch.names("store/locks") == ["gc+2.plan"])
            store.breakLocks()
            #expect(try withBytes("b") { try store.put(ObjectKey("gc/2.plan"), $0) } == .created)
            #expect(scratch.names("store/locks").isEmpty)
        }

        /// The temporary of a put is gone. Whatever the way of naming, the put fails and does not hinder the next put
        /// under the name.
        @Test(arguments: [Naming.rename, .link, .claim, .lock, .unguarded])
        func whatWasRemovedBeforeItHadItsNameTakesNone(_ naming: Naming) throws {
            let store = try store(naming)
            let key = ObjectKey("gc/1.plan")
            let object = try withBytes("a") { try store.writeTemporary(key, $0, of: nil) }
            unlink(scratch["store/tmp/" + object.temporary])
            do {
                let folder = try store.openFolder(of: key)
                _ = try withBytes("a") { try store.publish(object, in: folder, $0) }
                Issue.record("it was published")
            } catch let error as StoreError {
                #expect(error.kind == .notFound)
                #expect(error.message.contains("Its file in tmp was removed"))
            }
            #expect(try withBytes("a") { try store.put(key, $0) } == .created)
            #expect(scratch.names("store/tmp").isEmpty)
        }

        @Test func oldClaimsAreClearedAway() throws {
            let store = try store(.claim)
            _ = try withBytes("a") { try store.put(ObjectKey("gc/1.plan"), $0) }
            func claim(_ name: String, _ content: String?, isOld: Bool = true) {
                let token = Temporary.name()
                if let content { scratch.write("store/tmp/" + token, content) }
                scratch.folder("store/claims/" + name)
                scratch.write("store/claims/\(name)/\(token)", "")
                let past = [timespec(tv_sec: 1000, tv_nsec: 0), timespec(tv_sec: 1000, tv_nsec: 0)]
                if isOld { utimensat(AT_FDCWD, scratch["store/claims/" + name], past, 0) }
            }
            claim("gc+1.plan", "lost")
            claim("gc+2.plan", nil)
            claim("gc+3.plan", "waits")
            claim("gc+4.plan", nil, isOld: false)
            try store.removeLeavings { [] }
            #expect(scratch.names("store/claims") == ["gc+3.plan", "gc+4.plan"])
            #expect(try text(store, "gc/1.plan") == "a")
            #expect(scratch.names("store/gc") == ["1.plan"])
        }

        @Test func aFolderThatWasToBecomeAClaimIsSwept() throws {
            let store = try store(.claim)
            let name = Temporary.name()
            scratch.folder("store/tmp/" + name)
            scratch.write("store/tmp/\(name)/" + Temporary.name(), "")
            #expect(try store.removeLeavings(living: { [] }) == 0)
            let past = [timespec(tv_sec: 1000, tv_nsec: 0), timespec(tv_sec: 1000, tv_nsec: 0)]
            utimensat(AT_FDCWD, scratch["store/tmp/" + name], past, 0)
            #expect(try store.removeLeavings(living: { [] }) == 1)
            #expect(scratch.names("store/tmp").isEmpty)
        }

        @Test func aStoreIsNotWrittenThroughALink() throws {
            let store = try LocalStore.create(path: scratch["store"])
            scratch.folder("elsewhere")
            symlink("../elsewhere", scratch["store/gc"])
            #expect(throws: StoreError.self) {
                _ = try withBytes("a") { try store.put(ObjectKey("gc/1.plan"), $0) }
            }
            #expect(scratch.names("elsewhere").isEmpty)
        }
    }
}
