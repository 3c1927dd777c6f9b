// The owners of a store's files. If root or a member of a group stores objects, all other users of the store can still
// use it. No file outside of the store changes its owner.

import BakCore
import BakStorage
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct SharingTests {
        let scratch = Scratch()

        private func put(_ store: LocalStore, _ key: String) throws {
            _ = try withBytes(key) { try store.put(ObjectKey(key), $0) }
        }

        private func mode(_ name: String) -> mode_t { (scratch.status(name)?.st_mode ?? 0) & 0o7777 }

        @Test func theModeOfTheConfigurationIsThatOfAll() throws {
            try put(LocalStore.create(path: scratch["store"]), "config")
            #expect(mode("store/config") == 0o600)
            for (config, file, folder) in [
                (0o600, 0o600, 0o700), (0o660, 0o660, 0o2770), (0o640, 0o640, 0o2750), (0o644, 0o644, 0o2755),
                (0o666, 0o664, 0o2775), (0o400, 0o600, 0o700),
            ] as [(mode_t, mode_t, mode_t)] {
                chmod(scratch["store/config"], config)
                let store = try LocalStore(path: scratch["store"])
                try put(store, "packs/\(config)/a")
                try publish("b", as: ObjectKey("packs/\(config)/b"), in: store)
                #expect(mode("store/packs/\(config)/a") == file)
                #expect(mode("store/packs/\(config)/b") == file)
                #expect(mode("store/packs/\(config)") == folder)
            }
        }

        @Test func aSharedStoreIsMadeForItsGroup() throws {
            let store = try LocalStore.create(path: scratch["store"], isShared: true)
            try put(store, "config")
            try put(store, "snapshots/a")
            store.renewReserve()
            #expect(mode("store") == 0o2770)
            for folder in ["tmp", "snapshots", "reserve"] { #expect(mode("store/" + folder) == 0o2770) }
            for file in ["config", "snapshots/a", "reserve/0"] { #expect(mode("store/" + file) == 0o660) }
        }

        @Test func rootLeavesThingsToTheirOwner() throws {
            guard geteuid() == 0 else { try Test.cancel("only root can give files away") }
            try put(LocalStore.create(path: scratch["store"]), "config")
            for name in ["store", "store/config", "store/tmp"] { chown(scratch[name], 4001, 4002) }
            let store = try LocalStore(path: scratch["store"])
            try put(store, "packs/ab/a")
            try publish("b", as: ObjectKey("packs/cd/b"), in: store)
            store.renewReserve()
            for name in ["packs", "packs/ab", "packs/ab/a", "packs/cd/b", "reserve", "reserve/0"] {
                let status = try #require(scratch.status("store/" + name))
                #expect(status.st_uid == 4001 && status.st_gid == 4002, "\(name)")
            }
            // Claims get the owner, too.
            scratch.folder("store/claims")
            try put(LocalStore(path: scratch["store"]), "gc/1.plan")
            #expect(scratch.status("store/gc/1.plan")?.st_uid == 4001)
        }

        @Test func nothingOutsideIsGivenAway() throws {
            guard geteuid() == 0 else { try Test.cancel("only root can give files away") }
            try put(LocalStore.create(path: scratch["store"]), "config")
            chown(scratch["store/config"], 4001, 4001)
            scratch.folder("outside")
            for name in ["packs", "gc"] { symlink("../outside", scratch["store/" + name]) }
            let store = try LocalStore(path: scratch["store"])
            #expect(throws: StoreError.self) { try put(store, "packs/ab/a") }
            #expect(throws: StoreError.self) { try put(store, "gc/1.plan") }
            #expect(scratch.names("outside").isEmpty)
            #expect(scratch.status("outside")?.st_uid == 0)
        }

        @Test func whatMayNotBeReadIsNamedWithWhatToDo() throws {
            guard geteuid() == 0 else { try Test.cancel("only root can give files away") }
            chmod(scratch.path, 0o755)
            try put(LocalStore.create(path: scratch["store"]), "config")
            try put(LocalStore(path: scratch["store"]), "snapshots/a")
            for name in ["store", "store/config", "store/snapshots"] { chown(scratch[name], 65534, 65534) }
            chown(scratch["store/snapshots/a"], 4001, 4001)
            try asOrdinaryUser {
                let store = try? LocalStore(path: scratch["store"])
                var byte: UInt8 = 0
                do throws(StoreError) {
                    try withUnsafeMutableBytes(of: &byte) { bytes throws(StoreError) in
                        try store?.read(ObjectKey("snapshots/a"), at: 0, into: bytes)
                    }
                    Issue.record("it could be read")
                } catch {
                    #expect(error.kind == .denied)
                    #expect(error.message.contains("It belongs to 4001, and the repository to nobody"))
                    #expect(error.message.contains("chown -R"))
                    #expect(error.message.contains(scratch["store"]))
                }
            }
            #expect(scratch.status("store/snapshots/a")?.st_uid == 4001)
        }
    }

    @Suite struct ReserveTests {
        let scratch = Scratch()

        @Test func aFullStoreGivesUpItsReserveForSmallObjects() throws {
            scratch.folder("small")
            guard mount("none", scratch["small"], "tmpfs", 0, "size=20m") == 0 else {
                try Test.cancel("cannot mount a tmpfs (errno \(errno))")
            }
            defer { umount(scratch["small"]) }
            let store = try LocalStore.create(path: scratch["small/store"])
            store.renewReserve()
            #expect(scratch.names("small/store/reserve").count == LocalStore.reserveFiles)
            #expect(try store.list("").isEmpty)
            let big = [UInt8](repeating: 1, count: 64 << 10)
            var number = 0
            let isFull: (any Error) -> Bool = { ($0 as? StoreError)?.kind == .full }
            func fill(_ count: Int) {
                while (try? big.prefix(count).withUnsafeBytes { try store.put(ObjectKey("f/\(number)"), $0) })
                    != nil
                {
                    number += 1
                }
            }
            fill(big.count)
            fill(1)
            #expect(
                performing: { try withBytes("x") { _ = try store.put(ObjectKey("a"), $0) } }, throws: isFull)
            #expect(scratch.names("small/store/reserve").count == LocalStore.reserveFiles)
            for index in 0..<40 {
                #expect(
                    try withBytes("x") { try store.putFromReserve(ObjectKey("gc/\(index)"), $0) } == .created)
            }
            #expect(try withBytes("y") { try store.putFromReserve(ObjectKey("gc/1"), $0) } == .takenByOthers)
            let left = scratch.names("small/store/reserve").count
            #expect(left > 0 && left < LocalStore.reserveFiles)
            // When the reserve is used up, the store is full.
            for index in 0..<LocalStore.reserveFiles * 16 {
                _ = try? withBytes("x") { try store.putFromReserve(ObjectKey("h/\(index)"), $0) }
            }
            #expect(
                performing: { try withBytes("x") { _ = try store.putFromReserve(ObjectKey("b"), $0) } },
                throws: isFull)
            // The reserve is not renewed while the store needs the space.
            store.renewReserve()
            #expect(scratch.names("small/store/reserve").isEmpty)
            for object in try store.list("f") { try store.delete(object.key) }
            store.renewReserve()
            #expect(scratch.names("small/store/reserve").count == LocalStore.reserveFiles)
        }
    }
}
