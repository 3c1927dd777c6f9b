// LocalStore on real folders: put-if-absent, staging and listing, and a store that is full, read-only, vanished or has
// foreign files.

import BakCore
import BakStorage
import Glibc
import Synchronization
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct LocalStoreTests {
        let scratch = Scratch()

        func store(in scratch: Scratch? = nil) throws -> LocalStore {
            try LocalStore.create(path: (scratch ?? self.scratch)["deep/er/store"])
        }

        func text(_ store: LocalStore, _ key: String) throws -> String {
            var bytes = [UInt8](repeating: 0, count: try store.size(of: ObjectKey(key)))
            try bytes.withUnsafeMutableBytes { try store.read(ObjectKey(key), at: 0, into: $0) }
            return String(decoding: bytes, as: UTF8.self)
        }

        @Test func putIsPutIfAbsent() throws {
            let store = try store()
            #expect(try withBytes("one") { try store.put(ObjectKey("packs/ab/x"), $0) } == .created)
            #expect(try withBytes("two") { try store.put(ObjectKey("packs/ab/x"), $0) } == .takenByOthers)
            #expect(try withBytes("one") { try store.put(ObjectKey("packs/ab/x"), $0) } == .alreadyHasThese)
            #expect(
                try withBytes("one") { try store.putUnsynced(ObjectKey("packs/ab/x"), $0) }
                    == .alreadyHasThese)
            #expect(try text(store, "packs/ab/x") == "one")
            #expect(try withBytes("") { try store.put(ObjectKey("config"), $0) } == .created)
            #expect(try store.size(of: ObjectKey("config")) == 0)
            #expect(scratch.names("deep/er/store/tmp").isEmpty)
            #expect(scratch.status("deep/er/store")!.st_mode & 0o777 == 0o700)
        }

        @Test func aSpinningDiskServesOneReadAtATime() throws {
            _ = try store()
            let store = try LocalStore(path: scratch["deep/er/store"], medium: .rotational)
            try withBytes("one") { _ = try store.put(ObjectKey("packs/ab/x"), $0) }
            let hasRead = Atomic(false)
            store.head!.lock()
            let reader = Thread {
                var bytes: [UInt8] = [0, 0, 0]
                try? bytes.withUnsafeMutableBytes { try store.read(ObjectKey("packs/ab/x"), at: 0, into: $0) }
                hasRead.store(bytes == Array("one".utf8), ordering: .releasing)
            }
            usleep(20_000)
            let early = hasRead.load(ordering: .acquiring)
            store.head!.unlock()
            reader.join()
            let late = hasRead.load(ordering: .acquiring)
            #expect(!early && late)
            #expect(store.traits.coalescingGapBytes > StoreTraits().coalescingGapBytes)
            #expect(try LocalStore(path: scratch["deep/er/store"], medium: .network).traits == StoreTraits())
        }

        @Test func namesThatWereThereBeforeTheFirstWriteAreDurableAfterIt() throws {
            let store = try store()
            for key in ["packs/ab/x", "index/x"] {
                try withBytes("one") { _ = try store.put(ObjectKey(key), $0) }
            }
            let later = try LocalStore(path: scratch["deep/er/store"])
            try later.expectFolders(["packs", "index", "snapshots"])
            try withBytes("two") { _ = try later.put(ObjectKey("index/y"), $0) }
            #expect(later.durableFolders == ["index", "packs", "tmp"])
            try withBytes("two") { _ = try later.put(ObjectKey("packs/ab/y"), $0) }
            #expect(later.durableFolders == ["index", "packs", "packs/ab", "tmp"])
            // Without a listing before, nothing is known.
            let blind = try LocalStore(path: scratch["deep/er/store"])
            try withBytes("two") { _ = try blind.put(ObjectKey("index/z"), $0) }
            #expect(blind.durableFolders == ["index"])
        }

        @Test func createIsIdempotentAndOpenNeedsAFolder() throws {
            _ = try store()
            _ = try store()
            #expect(throws: StoreError.self) { try LocalStore(path: scratch["nowhere"]) }
            scratch.write("file")
            #expect(throws: StoreError.self) { try LocalStore.create(path: scratch["file/store"]) }
        }

        @Test func readsRangesAndNamesWhatIsMissing() throws {
            let store = try store()
            let key = ObjectKey("a")
            _ = try withBytes("0123456789") { try store.put(key, $0) }
            var bytes = [UInt8](repeating: 0, count: 4)
            try bytes.withUnsafeMutableBytes { try store.read(key, at: 6, into: $0) }
            #expect(bytes == Array("6789".utf8))
            #expect {
                try bytes.withUnsafeMutableBytes { try store.read(key, at: 8, into: $0) }
            } throws: {
                ($0 as? StoreError)?.kind == .shortRead(size: 10)
            }
            try store.delete(key)
            try store.delete(key)
            for attempt in 0..<2 {
                #expect {
                    if attempt == 0 { _ = try store.size(of: key) }
                    try bytes.withUnsafeMutableBytes { try store.read(key, at: 0, into: $0) }
                } throws: {
                    ($0 as? StoreError)?.kind == .notFound
                }
            }
        }

        @Test(arguments: ["packs", "packs/ab"]) func aFolderThatIsALinkIsNotFollowed(_ link: String) throws {
            let (store, key) = (try store(), ObjectKey("packs/ab/x"))
            let outside = scratch["outside/packs/ab/x"]
            for folder in ["outside", "outside/packs", "outside/packs/ab"] { mkdir(scratch[folder], 0o700) }
            scratch.write("outside/packs/ab/x")
            let place = scratch["deep/er/store/" + link]
            if link != "packs" { mkdir(scratch["deep/er/store/packs"], 0o700) }
            symlink(scratch["outside/" + link], place)
            var byte: [UInt8] = [0]
            #expect(throws: StoreError.self) { try store.delete(key) }
            #expect(throws: StoreError.self) { try store.deleteDurably(key) }
            #expect(throws: StoreError.self) { try store.size(of: key) }
            #expect(throws: StoreError.self) { try store.list("packs/ab") }
            #expect(throws: StoreError.self) { try withBytes("1") { try store.put(key, $0) } }
            #expect(throws: StoreError.self) {
                try byte.withUnsafeMutableBytes { try store.read(key, at: 0, into: $0) }
            }
            #expect(access(outside, F_OK) == 0)
        }

        @Test func whatIsSmallIsReadInOneStep() throws {
            let store = try store()
            let key = ObjectKey("packs/ab/x")
            #expect { try store.readAtOnce(key, upTo: 10) } throws: { ($0 as? StoreError)?.kind == .notFound }
            _ = try withBytes("0123456789") { try store.put(key, $0) }
            #expect(try store.readAtOnce(key, upTo: 10) == Array("0123456789".utf8))
            #expect(try store.readAtOnce(key, upTo: 9) == nil)
            // The store must not answer from a descriptor that it opened before.
            _ = try text(store, "packs/ab/x")
            try store.delete(key)
            mkdir(scratch["deep/er/store/packs/ab/x"], 0o700)
            #expect { try store.readAtOnce(key, upTo: 10) } throws: { ($0 as? StoreError)?.kind == .notFound }
        }

        @Test func whatLiesBeneathAFolderIsListedSortedAsEachFolderIs() throws {
            let store = try store()
            func all() throws -> [String] {
                var found: [String] = []
                try store.listAll(beneath: "packs") { objects, others in
                    found += objects.map(\.key.description) + others.map { "\($0.key) \($0.what)" }
                }
                return found
            }
            #expect(try all().isEmpty)
            let keys = [
                "packs/ab-c", "packs/ab/x", "packs/ab/y", "packs/abc", "packs/ff/z", "packs/ff/1/2",
                "packs/ab-d/1",
            ]
            for key in keys + ["snapshots/a"] {
                _ = try withBytes(key) { try store.put(ObjectKey(key), $0) }
            }
            mkdir(scratch["deep/er/store/packs/ff/folder"], 0o700)
            mkdir(scratch["deep/er/store/packs/ac"], 0o700)
            symlink("ab", scratch["deep/er/store/packs/link"])
            #expect(try all().filter { !$0.contains(" ") } == keys.sorted())
            #expect(
                try all().filter { $0.contains(" ") } == [
                    "packs/ab a folder", "packs/ab-d a folder", "packs/ac a folder", "packs/ff a folder",
                    "packs/ff/1 a folder",
                    "packs/ff/folder a folder", "packs/link a symbolic link",
                ])
            removeTree(scratch["deep/er/store"])
            #expect(throws: StoreError.self) { try all() }
        }

        @Test func listsOnlyObjectsSorted() throws {
            let store = try store()
            for name in ["s/b", "s/a", "s/a-b", "s/a.b", "s/sub/c", "top"] {
                _ = try withBytes(name) { try store.put(ObjectKey(name), $0) }
            }
            scratch.write("deep/er/store/s/.hidden")
            scratch.write("deep/er/store/s/UPPER")
            symlink("a", scratch["deep/er/store/s/link"])
            #expect(try store.list("s").map(\.key.description) == ["s/a", "s/a-b", "s/a.b", "s/b"])
            #expect(try store.list("s").map(\.size) == [3, 5, 5, 3])
            #expect(try store.list("").map(\.key.description) == ["top"])
            #expect(try store.list("none/such").isEmpty)
            #expect(throws: StoreError.self) { try store.list("top") }
        }

        @Test func whatIsNoFileIsNoObject() throws {
            let store = try store()
            scratch.folder("deep/er/store/folder")
            mkfifo(scratch["deep/er/store/fifo"], 0o600)
            scratch.write("secret", "of another")
            symlink("../../../secret", scratch["deep/er/store/link"])
            var bytes = [UInt8](repeating: 0, count: 1)
            for name in ["folder", "fifo", "link"] {
                #expect {
                    try bytes.withUnsafeMutableBytes { try store.read(ObjectKey(name), at: 0, into: $0) }
                } throws: {
                    ($0 as? StoreError)?.kind == .notFound
                }
            }
        }

        @Test func aStoreBeginsInAFolderOfNothingElse() throws {
            #expect(LocalStore.canBegin(inFolder: scratch["none"]) == nil)
            scratch.folder("store")
            #expect(LocalStore.canBegin(inFolder: scratch["store"]) == true)
            // The program stopped before it had put the store's first object.
            scratch.folder("store/tmp")
            scratch.write("store/tmp/.bakstore-" + String(repeating: "0a", count: 16), "half")
            #expect(LocalStore.canBegin(inFolder: scratch["store"]) == true)
            scratch.write("store/tmp/mine")
            #expect(LocalStore.canBegin(inFolder: scratch["store"]) == false)
            scratch.folder("other")
            scratch.write("other/notes.txt")
            #expect(LocalStore.canBegin(inFolder: scratch["other"]) == false)
        }

        /// Files that systems make on a new medium do not prevent a store there. Files of a user do.
        @Test func aStoreBeginsOnAFreshMedium() throws {
            let leavings = [
                "lost+found", "System Volume Information", "$RECYCLE.BIN", ".Trashes", ".Spotlight-V100",
                ".fseventsd",
                ".Trash-1000",
            ]
            scratch.folder("stick")
            for name in leavings {
                scratch.folder("stick/\(name)")
                scratch.folder("file")
                #expect(LocalStore.canBegin(inFolder: scratch["stick"]) == true, "\(name)")
                scratch.write("file/\(name)")
                #expect(LocalStore.canBegin(inFolder: scratch["file"]) == false, "\(name)")
                removeTree(scratch["file"])
            }
            scratch.write("stick/.Trash-1000/deleted")
            #expect(LocalStore.canBegin(inFolder: scratch["stick"]) == true)
            scratch.write("stick/lost+found/#12")
            #expect(LocalStore.canBegin(inFolder: scratch["stick"]) == false)
        }

        @Test func aVanishedStoreIsNotAnEmptyOne() throws {
            let store = try store()
            removeTree(scratch["deep"])
            #expect(throws: StoreError.self) { try store.list("snapshots") }
        }

        @Test func stagedObjectsAppearTogether() throws {
            let scratch = Scratch(inMemory: true)
            let store = try store(in: scratch)
            let descriptors = scratch.openDescriptors()
            let batch = store.makeBatch(of: nil)
            for index in 0..<200 {
                try withBytes("\(index)") { try batch.stage(ObjectKey("packs/\(index % 7)/\(index)"), $0) }
                #expect(scratch.openDescriptors() - descriptors <= 66)
            }
            #expect(try store.list("packs/0").isEmpty)
            #expect(scratch.names("deep/er/store/tmp").count == 200)
            try batch.publish()
            for index in 0..<200 { #expect(try text(store, "packs/\(index % 7)/\(index)") == "\(index)") }
            #expect(scratch.names("deep/er/store/tmp").isEmpty)
            try batch.publish()
        }

        @Test func publishingOverATakenNameThrowsAndLeavesTheFirst() throws {
            let store = try store()
            _ = try withBytes("first") { try store.put(ObjectKey("a"), $0) }
            let batch = store.makeBatch(of: nil)
            try withBytes("second") { try batch.stage(ObjectKey("a"), $0) }
            try withBytes("third") { try batch.stage(ObjectKey("b"), $0) }
            #expect {
                try batch.publish()
            } throws: {
                ($0 as? StoreError)?.kind == .alreadyExists
            }
            #expect(try text(store, "a") == "first")
            #expect(try store.list("").map(\.key.description) == ["a"])
            #expect(scratch.names("deep/er/store/tmp").isEmpty)
        }

        @Test func fourThreadsStageInOneBatchAndInTheirOwn() throws {
            let scratch = Scratch(inMemory: true)
            let store = try store(in: scratch)
            let shared = store.makeBatch(of: nil)
            let threads = (0..<4).map { thread in
                Thread {
                    let own = store.makeBatch(of: nil)
                    for index in 0..<60 {
                        let key = ObjectKey("packs/\(index % 5)/\(thread)-\(index)")
                        try! withBytes("\(key)") { try (index % 2 == 0 ? shared : own).stage(key, $0) }
                        if index % 25 == thread { try! own.publish() }
                    }
                    try! own.publish()
                }
            }
            threads.forEach { $0.join() }
            #expect(try (0..<5).flatMap { try store.list("packs/\($0)") }.count == 120)
            try shared.publish()
            let found = try (0..<5).flatMap { try store.list("packs/\($0)") }
            #expect(found.count == 240)
            #expect(found.allSatisfy { $0.size == $0.key.description.utf8.count })
        }

        @Test func aLinkWhoseReplyWasLostIsOnesOwn() throws {
            let store = try store()
            let (folder, root) = (try store.temporaries(), store.root)
            let first = try withBytes("one") { try store.writeTemporary(ObjectKey("a"), $0, of: nil) }
            try store.link(first.temporary, to: "a", in: root)
            let second = try withBytes("two") { try store.writeTemporary(ObjectKey("a"), $0, of: nil) }
            #expect(throws: Errno(code: EEXIST)) { try store.link(second.temporary, to: "a", in: root) }
            store.discard(second)
            // The reply to the first link was lost, and the request is repeated.
            let third = try withBytes("three") { try store.writeTemporary(ObjectKey("b"), $0, of: nil) }
            #expect(linkat(folder.number, third.temporary, root.number, "b", 0) == 0)
            try store.link(third.temporary, to: "b", in: root)
            #expect(try text(store, "a") == "one")
            #expect(try text(store, "b") == "three")
            #expect(scratch.names("deep/er/store/tmp").isEmpty)
        }

        @Test func leftoversAreInvisibleAndSweptOnlyWhenOld() throws {
            let store = try store()
            do {
                let batch = store.makeBatch(of: nil)
                try withBytes("x") { try batch.stage(ObjectKey("a"), $0) }
                #expect(scratch.names("deep/er/store/tmp").count == 1)
            }
            #expect(
                scratch.names("deep/er/store/tmp").isEmpty, "letting go of a batch removes what it staged")
            let (old, young) = (Temporary.name(), Temporary.name())
            for name in [old, young, "notes.txt", ".bakstore-short"] {
                scratch.write("deep/er/store/tmp/" + name)
                guard name != young else { continue }
                let past = [timespec(tv_sec: 1000, tv_nsec: 0), timespec(tv_sec: 1000, tv_nsec: 0)]
                utimensat(AT_FDCWD, scratch["deep/er/store/tmp/" + name], past, 0)
            }
            #expect(try store.removeLeavings(living: { [] }) == 1)
            #expect(scratch.names("deep/er/store/tmp") == [young, "notes.txt", ".bakstore-short"].sorted())
            #expect(try store.list("tmp").map(\.key.description) == ["tmp/notes.txt"])
        }

        @Test func aTemporaryGoesWhenItsSessionIsDecidedAndNotByAge() throws {
            let store = try LocalStore.create(path: scratch["aged"])
            let (session, next) = (ID128(high: 1, low: 2), ID128(high: 3, low: 4))
            let past = [timespec(tv_sec: 1000, tv_nsec: 0), timespec(tv_sec: 1000, tv_nsec: 0)]
            func stage(_ batch: any StagedBatch, _ key: String) throws {
                try withBytes(key) { try batch.stage(ObjectKey(key), $0) }
                for name in scratch.names("aged/tmp") {
                    utimensat(AT_FDCWD, scratch["aged/tmp/" + name], past, 0)
                }
            }
            let batches = [store.makeBatch(of: session), store.makeBatch(of: next)]
            try stage(batches[0], "packs/ab/1")
            #expect(try store.removeLeavings(living: { [session] }) == 0)
            // A session that begins after the folder was listed.
            let removed = try store.removeLeavings { () throws(StoreError) in
                do { try stage(batches[1], "packs/ab/2") } catch { Issue.record(error) }
                return [session]
            }
            #expect(removed == 0)
            for batch in batches { try batch.publish() }
            #expect(try store.list("packs/ab").count == 2)

            // The session has ended. Its temporary is removed, and publishing the temporary is an error.
            try stage(batches[1], "packs/ab/3")
            #expect(try store.removeLeavings(living: { [session] }) == 1)
            #expect(throws: StoreError.self) { try batches[1].publish() }
            #expect(try store.list("packs/ab").count == 2)
            // The medium's clock decides the age of a file. So a new file stays, whatever this machine's clock says.
            try withBytes("4") { try batches[0].stage(ObjectKey("packs/ab/4"), $0) }
            #expect(try store.removeLeavings(living: { [] }) == 0)
            try batches[0].publish()
        }

        @Test func aFullStoreSaysSoAndShowsNothing() throws {
            scratch.folder("small")
            guard mount("none", scratch["small"], "tmpfs", 0, "size=256k") == 0 else {
                try Test.cancel("cannot mount a tmpfs (errno \(errno))")
            }
            defer { umount(scratch["small"]) }
            let store = try LocalStore.create(path: scratch["small/store"])
            let big = [UInt8](repeating: 7, count: 1 << 20)
            let isFull: (any Error) -> Bool = { ($0 as? StoreError)?.kind == .full }
            #expect(
                performing: { _ = try big.withUnsafeBytes { try store.put(ObjectKey("a"), $0) } },
                throws: isFull)
            #expect(
                performing: {
                    try big.withUnsafeBytes { try store.makeBatch(of: nil).stage(ObjectKey("b"), $0) }
                },
                throws: isFull)
            #expect(try store.list("").isEmpty)
            #expect(scratch.names("small/store/tmp").isEmpty)
            #expect(try withBytes("fits") { try store.put(ObjectKey("c"), $0) } == .created)
        }

        @Test func aReadOnlyStoreReadsAndRefusesToWrite() throws {
            scratch.folder("fixed")
            guard mount("none", scratch["fixed"], "tmpfs", 0, "size=256k") == 0 else {
                try Test.cancel("cannot mount a tmpfs (errno \(errno))")
            }
            defer { umount(scratch["fixed"]) }
            _ = try withBytes("x") {
                try LocalStore.create(path: scratch["fixed/store"]).put(ObjectKey("a"), $0)
            }
            // The flags 32 | 1 are MS_REMOUNT | MS_RDONLY.
            #expect(mount("none", scratch["fixed"], "tmpfs", 32 | 1, nil) == 0)
            let store = try LocalStore.create(path: scratch["fixed/store"])
            #expect(try text(store, "a") == "x")
            let isReadOnly: (any Error) -> Bool = { ($0 as? StoreError)?.kind == .readOnly }
            #expect(
                performing: { try withBytes("y") { _ = try store.put(ObjectKey("b"), $0) } },
                throws: isReadOnly)
            #expect(performing: { try store.delete(ObjectKey("a")) }, throws: isReadOnly)
        }

        @Test func descriptorsDoNotLeak() throws {
            let before = scratch.openDescriptors()
            do {
                let store = try store()
                let batch = store.makeBatch(of: nil)
                for index in 0..<40 {
                    let key = ObjectKey("p/\(index)")
                    try withBytes("abc") { try batch.stage(key, $0) }
                }
                try batch.publish()
                for index in 0..<40 { #expect(try text(store, "p/\(index)") == "abc") }
                #expect(scratch.openDescriptors() - before <= 18)
            }
            #expect(scratch.openDescriptors() == before)
        }
    }
}

/// Stores an object in a batch of its own.
func publish(_ text: String, as key: ObjectKey, in store: LocalStore) throws {
    let batch = store.makeBatch(of: nil)
    try withBytes(text) { try batch.stage(key, $0) }
    try batch.publish()
}
