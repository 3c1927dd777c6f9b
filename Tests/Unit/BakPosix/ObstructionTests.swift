// Items in the place of a store's folders and marks: links, files, pipes, sockets and devices. The program names them,
// and does not read, write or delete anything through them.

import BakCore
import BakStorage
import CLinux
import Glibc
import Testing

@testable import BakPosix

/// An item that is not a folder.
enum Obstruction: String, CaseIterable {
    case file, fifo, socket, device
    case dangling, itself, own, outside, zeros

    /// Puts the item at a path of the store in `scratch`. Ends the test as skipped if this user cannot make such an
    /// item.
    func put(_ path: String, in scratch: Scratch) throws {
        let place = scratch["store/" + path]
        var result: Int32 = 0
        switch self {
        case .file: scratch.write("store/" + path, "x")
        case .fifo: result = mkfifo(place, 0o600)
        case .socket: result = mknod(place, S_IFSOCK | 0o600, 0)
        case .device: result = mknod(place, S_IFCHR | 0o600, 1 << 8 | 5)
        case .dangling: result = symlink("nowhere", place)
        case .itself: result = symlink(LocalStore.lastComponent(of: path), place)
        case .own: result = symlink(scratch["store/config"], place)
        case .outside: result = symlink(scratch["outside/" + path], place)
        case .zeros: result = symlink("/dev/zero", place)
        }
        if result != 0 { try Test.cancel("\(self) cannot be made here (errno \(errno))") }
    }
}

extension PosixTests {
    @Suite struct ObstructionTests {
        let scratch: Scratch
        static let objects = ["packs", "packs/ab", "snapshots", "gc"]

        init(_ scratch: Scratch = Scratch()) {
            self.scratch = scratch
        }

        /// Returns a store with an object in each folder. A folder outside of the store has the same objects.
        private func store(_ naming: Naming? = nil) throws -> LocalStore {
            let store = try LocalStore.create(path: scratch["store"])
            scratch.folder("outside")
            for folder in Self.objects + LocalStore.ownFolders {
                if !["tmp", "claims", "locks"].contains(folder) { mkdir(scratch["store/" + folder], 0o700) }
                scratch.folder("outside/" + folder)
                scratch.write("outside/\(folder)/x", "theirs")
            }
            scratch.write("store/config", "mine")
            if naming == .claim { scratch.folder("store/claims") }
            if naming == .lock { scratch.folder("store/locks") }
            return store
        }

        private func outside() -> [String] {
            (Self.objects + LocalStore.ownFolders).map { folder in
                scratch.names("outside/" + folder).joined(separator: " ")
                    + (scratch.read("outside/\(folder)/x") ?? "gone")
            }
        }

        @Test(arguments: Obstruction.allCases) func everyFolderIsLookedAt(_ kind: Obstruction) throws {
            for folder in Self.objects + LocalStore.ownFolders {
                let scratch = Scratch()
                let store = try ObstructionTests(scratch).store()
                try store.expectFolders(Self.objects)
                removeTree(scratch["store/" + folder])
                try store.expectFolders(Self.objects)
                try kind.put(folder, in: scratch)
                #expect {
                    try store.expectFolders(Self.objects)
                } throws: {
                    "\($0)".contains("\(folder) is a") && ($0 as? StoreError)?.kind == .obstructedFolder
                }
            }
        }

        @Test(arguments: Obstruction.allCases) func nothingIsReachedThroughIt(_ kind: Obstruction) throws {
            for folder in Self.objects + ["tmp", "claims", "locks"] {
                let scratch = Scratch()
                let made = try ObstructionTests(scratch).store()
                let before = ObstructionTests(scratch).outside()
                removeTree(scratch["store/" + folder])
                try kind.put(folder, in: scratch)
                // One store has used its folders before, the other has not.
                for store in [made, try LocalStore(path: scratch["store"])] {
                    let key = ObjectKey(folder.hasPrefix("packs") ? "packs/ab/x" : "snapshots/x")
                    let isOwn = LocalStore.ownFolders.contains(folder)
                    // A store that has `tmp` open continues to use the folder that it opened.
                    if folder != "gc", !(folder == "tmp" && store === made) {
                        #expect {
                            _ = try withBytes("mine") { try store.put(key, $0) }
                        } throws: {
                            "\($0)".contains("\(folder) is a")
                        }
                        #expect(throws: StoreError.self) {
                            try publish("mine", as: key, in: store)
                        }
                    }
                    if !isOwn {
                        #expect(throws: StoreError.self) { try store.list(folder) }
                        #expect(throws: StoreError.self) { try store.listAll(beneath: folder) { _, _ in } }
                        #expect(throws: StoreError.self) {
                            try store.readAtOnce(ObjectKey(folder + "/x"), upTo: 10)
                        }
                        #expect(throws: StoreError.self) { try store.delete(ObjectKey(folder + "/x")) }
                        #expect(throws: StoreError.self) { try store.size(of: ObjectKey(folder + "/x")) }
                    }
                    _ = try? store.removeLeavings(olderThanSeconds: -100) { [] }
                    store.breakLocks()
                    store.renewReserve()
                }
                #expect(ObstructionTests(scratch).outside() == before, "\(folder), \(kind)")
            }
        }

        @Test(arguments: Obstruction.allCases) func claimsAndLocksInTheWayOfANameAreNamed(_ kind: Obstruction)
            throws
        {
            for (naming, folder) in [(Naming.claim, "claims"), (.lock, "locks")] {
                let scratch = Scratch()
                let store = try ObstructionTests(scratch).store(naming)
                let before = ObstructionTests(scratch).outside()
                try kind.put("\(folder)/gc+1.plan", in: scratch)
                let other = ObjectKey("gc/2.plan")
                #expect(try withBytes("mine") { try store.put(other, $0) } == .created)
                let claims = store.claimFolder()
                if naming == .claim {
                    #expect {
                        _ = try withBytes("mine") { try store.put(ObjectKey("gc/1.plan"), $0) }
                    } throws: {
                        "\($0)".contains("claims/gc+1.plan is a")
                    }
                } else {
                    #expect(throws: Errno(code: EBUSY)) {
                        try Locks(claims).publish("none", as: "gc/1.plan") { false }
                    }
                }
                _ = try store.removeLeavings(olderThanSeconds: -100) { [] }
                #expect(ObstructionTests(scratch).outside() == before, "\(folder), \(kind)")
            }
        }

        /// There are two links on the way to a claim. The program follows neither.
        @Test func noPathOfClaimsGoesThroughALink() throws {
            let folder = try store().claimFolder()
            symlink(scratch["outside/claims"], scratch["store/claims"])
            let before = outside()
            #expect(throws: Errno(code: ENOTDIR)) { try folder.exists("claims/x") }
            #expect(throws: Errno(code: ENOTDIR)) { try folder.makeFolder("claims/y") }
            #expect(throws: Errno(code: ENOTDIR)) { try folder.makeFile("claims/y") }
            #expect(throws: Errno(code: ENOTDIR)) { try folder.remove("claims/x") }
            #expect(throws: Errno(code: ENOTDIR)) { try folder.removeFolder("claims/x") }
            #expect(throws: Errno(code: ENOTDIR)) { try folder.names(in: "claims") }
            #expect(throws: Errno(code: ENOTDIR)) { try folder.names(in: "claims/x") }
            #expect(throws: Errno(code: ENOTDIR)) { try folder.rename("claims/x", to: "config") }
            #expect(throws: Errno(code: ENOTDIR)) { try folder.rename("config", to: "claims/z") }
            #expect(throws: Errno(code: ENOTDIR)) { try folder.makeDurable("claims/x", without: "") }
            #expect(outside() == before)
            #expect(scratch.read("store/config") == "mine")
        }

        @Test(arguments: Obstruction.allCases) func theMarkOfUnguardedNamesIsAFile(_ kind: Obstruction) throws
        {
            let store = try store()
            try kind.put("unguarded", in: scratch)
            if kind == .file {
                try store.expectFolders([])
                #expect(store.naming == .unguarded)
                return
            }
            #expect {
                try store.expectFolders([])
            } throws: {
                "\($0)".contains("unguarded is a")
            }
            let fresh = try LocalStore(path: scratch["store"])
            #expect(throws: StoreError.self) { try withBytes("x") { try fresh.put(ObjectKey("gc/x"), $0) } }
            #expect(scratch.names("store/gc").isEmpty)
            #expect(LocalStore.canBegin(inFolder: scratch["store"]) == false)
        }

    }
}
