// Items in the place of a cache file or of its folder, and changes to a file while it is mapped. The program does not
// hang or crash, and uses no foreign file. The next write repairs the cache.

import BakStorage
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct CacheFaultTests {
        let scratch = Scratch()

        private func write(_ cache: FolderCache, _ text: String) throws {
            try cache.replace("index") { append in try withBytes(text, append) }
        }

        private func text(_ cache: FolderCache) -> String? {
            cache.read("index").map { String(decoding: $0, as: UTF8.self) }
        }

        /// A file that holes make longer than any cache file is not read into memory.
        @Test func aFileOfHolesIsNotRead() throws {
            let cache = FolderCache(path: scratch["c"])
            try write(cache, "ours")
            #expect(text(cache) == "ours")
            for size in [256 << 20 + 1, 1 << 40] {
                try #require(truncate(scratch["c/index"], size) == 0)
                #expect(cache.read("index") == nil)
            }
        }

        private static let things: [(name: String, make: @Sendable (Scratch, String) -> Void)] = [
            ("a FIFO", { mkfifo($0[$1], 0o600) }),
            ("a folder", { $0.folder($1) }),
            (
                "a folder with something in it",
                {
                    $0.folder($1); $0.write($1 + "/x")
                }
            ),
            ("a link to nothing", { symlink("nowhere", $0[$1]) }),
            (
                "a link to a file",
                {
                    $0.write("other", "theirs"); symlink("../other", $0[$1])
                }
            ),
            ("a link to itself", { symlink($1.split(separator: "/").last.map(String.init)!, $0[$1]) }),
            ("a socket's name", { mknod($0[$1], S_IFSOCK | 0o600, 0) }),
            (
                "a file that others may write to",
                {
                    $0.write($1, "theirs"); chmod($0[$1], 0o666)
                }
            ),
            (
                "a file of another user",
                {
                    $0.write($1, "theirs"); chown($0[$1], 12345, 12345)
                }
            ),
            (
                "a file that may not be read",
                {
                    $0.write($1, "theirs"); chmod($0[$1], 0)
                }
            ),
        ]

        @Test(arguments: things.indices) func whatHasAFilesNameGivesWay(place: Int) throws {
            let thing = Self.things[place]
            let cache = FolderCache(path: scratch["c"])
            thing.make(scratch, "c/index")
            let isFile = scratch.status("c/index")?.format == S_IFREG
            // Root may read every file. A user other than root cannot make a file that belongs to another user.
            if !isFile
                || !thing.name.contains("not be read") && (!thing.name.contains("user") || geteuid() == 0)
            {
                #expect(text(cache) == nil, "\(thing.name)")
            }
            try write(cache, "ours")
            #expect(text(cache) == "ours", "\(thing.name)")
            #expect(scratch.status("c/index")?.format == S_IFREG)
            if let other = scratch.read("other") {
                #expect(other == "theirs", "a link is not written through")
            }
        }

        @Test(arguments: things.indices) func whatHasTheFoldersNameGivesWay(place: Int) throws {
            let thing = Self.things[place]
            scratch.folder("base")
            thing.make(scratch, "base/c")
            let wasFolder = scratch.status("base/c")?.format == S_IFDIR
            let cache = FolderCache(path: scratch["base/c"])
            try write(cache, "ours")
            #expect(text(cache) == "ours", "\(thing.name)")
            #expect(scratch.status("base/c")?.format == S_IFDIR)
            // The item in the way is not deleted, only renamed.
            #expect(scratch.names("base").count == (wasFolder ? 1 : 2))
            if let other = scratch.read("other") { #expect(other == "theirs") }
        }

        @Test func aFolderThatOthersMayWriteToIsTakenBack() throws {
            scratch.folder("c")
            chmod(scratch["c"], 0o777)
            #expect(!FolderCache(path: scratch["c"], isReadOnly: true).isUsable)
            let cache = FolderCache(path: scratch["c"])
            #expect(cache.isUsable && !cache.isDistrusted)
            #expect(scratch.status("c")!.st_mode & 0o777 == 0o755)
        }

        @Test func anotherUsersFolderIsNotUsed() throws {
            guard geteuid() == 0 else { try Test.cancel("only root makes folders of others") }
            scratch.folder("c")
            scratch.write("c/index", "theirs")
            chown(scratch["c"], 12345, 12345)
            for isReadOnly in [false, true] {
                let cache = FolderCache(path: scratch["c"], isReadOnly: isReadOnly)
                #expect(cache.isDistrusted && !cache.isUsable)
                #expect(text(cache) == nil)
                #expect(throws: StoreError.self) { try write(cache, "ours") }
            }
            #expect(scratch.read("c/index") == "theirs")
            // Files in a user's own folder belong to that user, even if root writes them.
            scratch.folder("home")
            chown(scratch["home"], 12345, 12345)
            let cache = FolderCache(path: scratch["home/c"])
            try write(cache, "ours")
            #expect(text(cache) == "ours")
            #expect(scratch.status("home/c/index")?.st_uid == 12345)
        }

        /// Maps a file of several pages without a zero byte.
        private func mapped(_ cache: FolderCache) throws -> MappedBytes {
            try write(cache, String(repeating: "x", count: 5 * 4096 + 100))
            return try #require(cache.map("index"))
        }

        @Test(arguments: [0, 1, 4095, 4096, 4097, 8192, 5 * 4096, 5 * 4096 + 99])
        func pagesThatAreGoneReadAsZeros(length: Int) throws {
            let cache = FolderCache(path: scratch["c"])
            let mapped = try mapped(cache)
            #expect(mapped.isIntact)
            let expected = Int32(UInt8(ascii: "x"))
            #expect(mapped.bytes.allSatisfy { Int32($0) == expected })
            truncate(scratch["c/index"], length)
            // Reading must end, with any result. The mapping reports that the result does not count.
            _ = mapped.bytes.reduce(0) { $0 &+ Int($1) }
            #expect(!mapped.isIntact)
            if length <= 4 * 4096 { #expect(mapped.bytes.allSatisfy { $0 == 0 }) }
            #expect(cache.map("index")?.bytes.count == length)
            try write(cache, "ours")
            #expect(text(cache) == "ours")
        }

        @Test func aChangeInPlaceIsNoticedAndAReplacementIsNone() throws {
            let cache = FolderCache(path: scratch["c"])
            let mapped = try mapped(cache)
            try write(cache, "another")
            #expect(mapped.isIntact, "what is mapped is the file that was there")
            let other = try self.mapped(cache)
            // Wait for the next tick of the clock, because a faster change may not show in the times.
            usleep(20_000)
            let file = open(scratch["c/index"], O_WRONLY)
            pwrite(file, "y", 1, 5000)
            close(file)
            #expect(!other.isIntact)
            #expect(mapped.isIntact)
        }

        @Test func mappingsAreGivenBack() throws {
            let cache = FolderCache(path: scratch["c"])
            for _ in 0..<500 { _ = try mapped(cache) }
            #expect(scratch.openDescriptors() <= 1)
            #expect(cache.map("index") != nil)
        }
    }
}
