// FolderCache: whole replacement, mappings that outlive it, and a folder that cannot be used.

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
