// FolderCache: a file is replaced as a whole, a mapping survives the replacement, and a folder may be unusable.

import BakCore
import BakStorage
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct FolderCacheTests {
        let scratch = Scratch()

        func text(_ cache: FolderCache, _ name: String) -> String? {
            cache.map(name).map { mapped in
                withExtendedLifetime(mapped) { String(decoding: mapped.bytes, as: UTF8.self) }
            }
        }

        @Test func replacesWholeFiles() throws {
            let cache = FolderCache(path: scratch["a/b"])
            #expect(text(cache, "index") == nil)
            try cache.replace("index") { append in
                for part in ["o", "n", "e"] { try withBytes(part, append) }
            }
            #expect(text(cache, "index") == "one")
            let old = cache.map("index")!
            let large = String(repeating: "two", count: 200_000)
            try cache.replace("index") { append in try withBytes(large, append) }
            #expect(text(cache, "index") == large)
            withExtendedLifetime(old) { #expect(old.bytes.elementsEqual("one".utf8)) }
            try cache.replace("index") { _ in }
            #expect(text(cache, "index") == "")
            #expect(scratch.names("a/b") == ["index"])
        }

        @Test func aFailedReplacementLeavesTheOldFile() throws {
            struct GivenUp: Error {}
            let cache = FolderCache(path: scratch["c"])
            try cache.replace("index") { append in try withBytes("old", append) }
            #expect(throws: GivenUp.self) {
                try cache.replace("index") { append in
                    try withBytes("new", append)
                    throw GivenUp()
                }
            }
            #expect(text(cache, "index") == "old")
            #expect(scratch.names("c") == ["index"])
        }

        @Test func cachesThatNobodyNeedsAreSwept() throws {
            let (old, used, empty) = ("00", "11", "22")
            func folder(_ id: String) -> String { "c/" + String(repeating: id, count: 16) }
            scratch.folder("c")
            for name in [
                folder(old), folder(used), folder(empty), "c/home-me-backup", "c/mine", "c/mixed", "c/deep",
            ] {
                scratch.folder(name)
            }
            for name in [folder(old), folder(used), "c/home-me-backup", "c/mixed", "c/deep"] {
                scratch.write(name + "/index", "ours")
            }
            scratch.write(folder(old) + "/" + Temporary.name(), "half")
            scratch.write("c/mine/index", "mine")
            scratch.write("c/mixed/letter", "ours")
            scratch.folder("c/deep/er")
            symlink("mine", scratch["c/link"])
            let past = [timespec(tv_sec: 1000, tv_nsec: 0), timespec(tv_sec: 1000, tv_nsec: 0)]
            for name in [folder(old), folder(empty), "c/mine", "c/mixed", "c/deep"] {
                utimensat(AT_FDCWD, scratch[name], past, 0)
            }
            let count = FolderCache.sweep(in: scratch["c"], unusedForSeconds: 1000) { name, start in
                name == "index" && start.elementsEqual("ours".utf8)
            }
            #expect(count == 3)
            #expect(
                scratch.names("c")
                    == [String(folder(used).dropFirst(2)), "deep", "link", "mine", "mixed"].sorted())
            // Opening a cache counts as using it.
            utimensat(AT_FDCWD, scratch[folder(used)], past, 0)
            withExtendedLifetime(FolderCache(path: scratch[folder(used)])) {}
            #expect(FolderCache.sweep(in: scratch["c"], unusedForSeconds: 1000) { _, _ in true } == 2)
            #expect(scratch.names(folder(used)) == ["index"])
        }

        @Test func anUnusableFolderFindsNothing() throws {
            scratch.write("file")
            let cache = FolderCache(path: scratch["file/c"])
            #expect(cache.map("index") == nil)
            #expect(throws: StoreError.self) { try cache.replace("index") { _ in } }
            let usable = FolderCache(path: scratch["c"])
            for name in ["", "../x", "a/b", ".hidden"] {
                #expect(usable.map(name) == nil)
                #expect(throws: StoreError.self) { try usable.replace(name) { _ in } }
            }
        }
    }
}
