// Files that a restore makes without a name, on file systems that support this.

import BakCore
import BakStorage
import CLinux
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct UnnamedFileTests {
        let scratch = Scratch()

        /// Returns a target that makes files without a name. Ends the test as skipped if that is not possible.
        func target() throws -> FolderTarget {
            let target = try FolderTarget(path: scratch["target"])
            try target.makeFolder(Array("d".utf8))
            if target.medium.makesUnnamed { return target }
            try Test.cancel("no file can be made without a name here")
        }

        func begin(
            _ target: FolderTarget, _ path: String, _ text: String, mode: UInt16 = 0o644,
            replacing: Bool = false
        ) throws -> any RestoreFile {
            let file = try target.createFile(
                Array(path.utf8), size: UInt64(text.utf8.count), atOnceWithMode: mode, replacing: replacing)
            if !text.isEmpty { try withBytes(text) { try file.write($0, at: 0) } }
            return file
        }

        func finish(
            _ file: any RestoreFile, mode: UInt16 = 0o644, user: UInt32 = geteuid()
        ) throws -> [MetadataNote] {
            var stat = FileStat(type: .regular)
            (stat.mode, stat.uid, stat.gid) = (mode, user, getegid())
            stat.mtime = Timestamp(seconds: 1_000_000_000)
            return try file.finish(stat, FileAttributes())
        }

        @Test func aFileHasNoNameBeforeItIsWhole() throws {
            let target = try target()
            let file = try begin(target, "d/f", "text")
            #expect(scratch.names("target/d").isEmpty)
            #expect(try finish(file) == [])
            #expect(scratch.names("target/d") == ["f"])
            #expect(scratch.read("target/d/f") == "text")
            #expect(scratch.status("target/d/f")?.st_mtim.tv_sec == 1_000_000_000)
            try begin(target, "d/g", "text").abandon()
            do { _ = try begin(target, "d/h", "let go of") }
            #expect(scratch.names("target/d") == ["f"])
        }

        /// The file gets all bits of its mode, although the process's umask removes some. It gets no other bit.
        @Test(arguments: [0, 0o400, 0o444, 0o600, 0o644, 0o666, 0o777, 0o1644, 0o2755, 0o4711] as [UInt16])
        func aFileHasItsMode(mode: UInt16) throws {
            let target = try target()
            for (name, text) in [("full", "text"), ("empty", "")] {
                #expect(try finish(begin(target, "d/" + name, text, mode: mode), mode: mode) == [])
                #expect(scratch.status("target/d/" + name)?.st_mode == S_IFREG | mode_t(mode))
            }
        }

        @Test func anOwnerThatIsGivenKeepsTheMode() throws {
            guard geteuid() == 0 else { try Test.cancel("only root gives files away") }
            let target = try target()
            #expect(try finish(begin(target, "d/f", "text", mode: 0o640), mode: 0o640, user: 12345) == [])
            let status = try #require(scratch.status("target/d/f"))
            #expect(status.st_uid == 12345 && status.st_mode & 0o7777 == 0o640)
        }

        @Test func anOrdinaryUserMakesThemToo() throws {
            chmod(scratch.path, 0o777)
            try asOrdinaryUser { () throws in
                let target = try target()
                #expect(
                    try finish(
                        begin(target, "d/f", "text", mode: 0o666), mode: 0o666, user: linux_file_user()) == []
                )
                #expect(scratch.status("target/d/f")!.st_mode & 0o7777 == 0o666)
            }
        }

        @Test func aNameThatIsTakenMeanwhileStays() throws {
            let target = try target()
            let file = try begin(target, "d/f", "late")
            scratch.write("target/d/f", "first")
            let isTaken: (any Error) -> Bool = { ($0 as? TargetError)?.kind == .taken }
            #expect(performing: { try finish(file) }, throws: isTaken)
            #expect(scratch.names("target/d") == ["f"] && scratch.read("target/d/f") == "first")
        }

        @Test func whatReplacesHasATemporary() throws {
            let target = try target()
            scratch.write("target/d/f", "old")
            let file = try begin(target, "d/f", "new", replacing: true)
            #expect(scratch.names("target/d").count == 2 && scratch.read("target/d/f") == "old")
            #expect(try finish(file) == [])
            #expect(scratch.names("target/d") == ["f"] && scratch.read("target/d/f") == "new")
        }

        @Test func aFolderThatWasReplacedMeanwhileGetsTheFile() throws {
            let target = try target()
            let file = try begin(target, "d/f", "text")
            rmdir(scratch["target/d"])
            scratch.folder("target/d")
            #expect(try finish(file) == [])
            #expect(scratch.read("target/d/f") == "text")
        }

        @Test func withoutThemATemporaryDoes() throws {
            let target = try target()
            target.medium.makesUnnamed = false
            let file = try begin(target, "d/f", "text")
            #expect(scratch.names("target/d").count == 1)
            #expect(try finish(file) == [])
            #expect(scratch.names("target/d") == ["f"])
        }
    }
}
