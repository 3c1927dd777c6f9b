// FolderTarget: the items that it makes, the operations that it refuses, and the proof that it never writes outside of
// its folder.

import BakCore
import BakStorage
import CLinux
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct FolderTargetTests {
        let scratch = Scratch()

        func target(usesOpenat2: Bool = true) throws -> FolderTarget {
            try FolderTarget(path: scratch["out/target"], usesOpenat2: usesOpenat2)
        }

        func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

        func stat(_ type: FileType, mode: UInt16 = 0o644, seconds: Int64 = 0) -> FileStat {
            var stat = FileStat(type: type)
            stat.mode = mode
            (stat.uid, stat.gid) = (geteuid(), getegid())
            stat.mtime = Timestamp(seconds: seconds, nanoseconds: 123_456_789)
            return stat
        }

        @discardableResult
        func file(
            _ target: FolderTarget, _ path: String, _ text: String, mode: UInt16 = 0o644,
            replacing: Bool = false
        ) throws -> [MetadataNote] {
            let file = try target.createFile(bytes(path), size: UInt64(text.utf8.count), replacing: replacing)
            try withBytes(text) { try file.write($0, at: 0) }
            return try file.finish(stat(.regular, mode: mode), FileAttributes())
        }

        func link(_ to: String) -> FileAttributes {
            var attributes = FileAttributes()
            attributes.linkTarget = bytes(to)
            return attributes
        }

        @Test func filesFoldersAndTimesComeBack() throws {
            let target = try target()
            try target.makeFolder(bytes("d"))
            try target.makeFolder(bytes("d"))
            #expect(scratch.status("out/target/d")!.st_mode & 0o7777 == 0o700)
            for (index, seconds) in [0, -1, -2_000_000_000, 1_700_000_000, 4_300_000_000, 10_000_000_000]
                .enumerated()
            {
                let made = try target.createFile(bytes("d/\(index)"), size: 3, replacing: false)
                #expect(scratch.status("out/target/d/\(index)") == nil, "a name stands for a whole file")
                try withBytes("abc") { try made.write($0, at: 0) }
                let notes = try made.finish(
                    stat(.regular, mode: 0o4755, seconds: Int64(seconds)), FileAttributes())
                #expect(notes.isEmpty)
                let found = try #require(try target.stat(bytes("d/\(index)")))
                #expect(found.mtime == Timestamp(seconds: Int64(seconds), nanoseconds: 123_456_789))
                #expect(found.mode == 0o4755 && found.size == 3)
            }
            #expect(
                try target.setMetadata(
                    bytes("d"), stat(.directory, mode: 0o1750, seconds: -5), FileAttributes()) == [])
            let folder = try #require(try target.stat(bytes("d")))
            #expect(folder.mode == 0o1750 && folder.mtime.seconds == -5)
            #expect(try target.stat(bytes("none")) == nil)
            #expect(try target.stat(bytes("d/0/below")) == nil)
            try target.synchronize()
        }

        @Test func hostilePathsAreRefused() throws {
            let target = try target()
            try target.makeFolder(bytes("d"))
            let refused = [
                "", ".", "..", "/", "/etc/x", "d/../../x", "d//x", "d/", "d/.", "d/./x", "../x", "a\0b",
            ]
            for path in refused.map(bytes) {
                #expect(throws: TargetError.self) { try target.stat(path) }
                #expect(throws: TargetError.self) { try target.makeFolder(path) }
                #expect(throws: TargetError.self) { try target.createFile(path, size: 0, replacing: true) }
                #expect(throws: TargetError.self) {
                    try target.makeSpecial(path, stat(.fifo), FileAttributes(), replacing: true)
                }
                #expect(throws: TargetError.self) {
                    try target.makeHardLink(path, to: bytes("d"), replacing: true)
                }
                #expect(throws: TargetError.self) {
                    try target.makeHardLink(bytes("h"), to: path, replacing: true)
                }
                #expect(throws: TargetError.self) {
                    try target.setMetadata(path, stat(.directory), FileAttributes())
                }
            }
            try file(target, String(repeating: "n", count: 255), "x")
            #expect(scratch.names("out") == ["target"])
        }

        @Test(arguments: [true, false])
        func linksInTheWayAreNotFollowed(usesOpenat2: Bool) throws {
            let target = try target(usesOpenat2: usesOpenat2)
            scratch.folder("outside")
            scratch.write("outside/secret", "secret")
            let outside = scratch["outside"]
            for name in ["made", "present"] {
                if name == "made" {
                    _ = try target.makeSpecial(bytes(name), stat(.symlink), link(outside), replacing: false)
                } else {
                    symlink(outside, scratch["out/target/" + name])
                }
                #expect { try file(target, "\(name)/f", "x") } throws: { "\($0)".contains("symbolic link") }
                #expect(throws: TargetError.self) { try target.makeFolder(bytes("\(name)/d")) }
                #expect(throws: TargetError.self) { try target.makeFolder(bytes(name)) }
                #expect(throws: TargetError.self) { try target.stat(bytes("\(name)/secret")) }
                #expect(throws: TargetError.self) {
                    try target.makeHardLink(bytes("h"), to: bytes("\(name)/secret"), replacing: false)
                }
                #expect(throws: TargetError.self) {
                    try target.setMetadata(bytes(name), stat(.directory, mode: 0), FileAttributes())
                }
                #expect(throws: TargetError.self) { try file(target, name, "x") }
                // The link itself gets a second name. The file to which it leads does not.
                try target.makeHardLink(bytes("\(name)-2"), to: bytes(name), replacing: false)
                #expect(scratch.status("out/target/\(name)-2")!.st_mode & S_IFMT == S_IFLNK)
                try file(target, name, "replaced", replacing: true)
                #expect(scratch.read("out/target/\(name)") == "replaced")
            }
            symlink(scratch["outside/secret"], scratch["out/target/direct"])
            #expect(throws: TargetError.self) { try file(target, "direct", "x") }
            #expect(scratch.names("outside") == ["secret"])
            #expect(scratch.read("outside/secret") == "secret")
            #expect(scratch.status("outside")!.st_mode & 0o777 == 0o755)
        }

        @Test(arguments: [true, false])
        func racingSwapsWriteNothingOutside(usesOpenat2: Bool) throws {
            let target = try target(usesOpenat2: usesOpenat2)
            scratch.folder("outside")
            let before = scratch.status("outside")!
            try target.makeFolder(bytes("a"))
            symlink(scratch["outside"], scratch["out/target/swap"])
            let (one, two) = (scratch["out/target/a"], scratch["out/target/swap"])
            let monitor = Monitor()
            nonisolated(unsafe) var isOver = false
            let swapper = Thread {
                // The flag 2 is RENAME_EXCHANGE.
                while !monitor.locked({ isOver }) { _ = renameat2(AT_FDCWD, one, AT_FDCWD, two, 2) }
            }
            var (done, refused) = (0, 0)
            for _ in 0..<2000 {
                let name = "a/\(done % 50)"
                for attempt in 0..<5 {
                    do {
                        switch attempt {
                        case 0: try file(target, name, "text", replacing: true)
                        case 1: try target.makeFolder(bytes(name + "d"))
                        case 2:
                            _ = try target.makeSpecial(
                                bytes(name + "s"), stat(.fifo), link("x"), replacing: true)
                        case 3: try target.makeHardLink(bytes(name + "h"), to: bytes(name), replacing: true)
                        default:
                            _ = try target.setMetadata(bytes("a"), stat(.directory, mode: 0o711), link(""))
                        }
                        done += 1
                    } catch { refused += 1 }
                }
            }
            monitor.locked { isOver = true }
            swapper.join()
            #expect(scratch.names("outside").isEmpty)
            let after = scratch.status("outside")!
            #expect(after.st_mode == before.st_mode && after.st_ctim.tv_nsec == before.st_ctim.tv_nsec)
            #expect(done > 0)
            if refused == 0 { try Test.cancel("no swap met any of \(done) operations") }
        }

        @Test func replacingKeepsTheOldUntilTheEnd() throws {
            let target = try target()
            try file(target, "f", "old")
            let late = try target.createFile(bytes("f"), size: 0, replacing: false)
            #expect {
                try late.finish(stat(.regular), FileAttributes())
            } throws: {
                ($0 as? TargetError)?.kind == .taken
            }
            #expect(scratch.read("out/target/f") == "old")
            let new = try target.createFile(bytes("f"), size: 3, replacing: true)
            try withBytes("new") { try new.write($0, at: 0) }
            #expect(scratch.read("out/target/f") == "old")
            _ = try new.finish(stat(.regular), FileAttributes())
            #expect(scratch.read("out/target/f") == "new")
            let given = try target.createFile(bytes("f"), size: 3, replacing: true)
            given.abandon()
            _ = try target.createFile(bytes("g"), size: 3, replacing: false)
            target.close()
            #expect(scratch.names("out/target") == ["f"], "a file that is let go of unfinished is removed")
            try target.makeFolder(bytes("d"))
            try target.makeFolder(bytes("d/e"))
            #expect(throws: TargetError.self) { try target.createFile(bytes("d"), size: 0, replacing: true) }
            #expect(throws: TargetError.self) {
                try target.makeSpecial(bytes("d"), stat(.symlink), link("x"), replacing: true)
            }
            #expect(throws: TargetError.self) {
                try target.makeHardLink(bytes("d"), to: bytes("f"), replacing: true)
            }
            #expect(scratch.names("out/target") == ["d", "f"])
            #expect(scratch.names("out/target/d") == ["e"])
        }

        @Test func specialsComeBack() throws {
            let target = try target()
            for replacing in [false, true] {
                #expect(
                    try target.makeSpecial(
                        bytes("l"), stat(.symlink, seconds: -9), link("no/where"), replacing: replacing) == []
                )
                #expect(
                    try target.makeSpecial(
                        bytes("p"), stat(.fifo, mode: 0o640, seconds: 7), FileAttributes(),
                        replacing: replacing) == [])
                #expect(
                    try target.makeSpecial(
                        bytes("s"), stat(.socket, mode: 0o600), FileAttributes(), replacing: replacing) == [])
            }
            let linked = try #require(try target.stat(bytes("l")))
            #expect(linked.type == .symlink && linked.mtime.seconds == -9)
            let pipe = try #require(try target.stat(bytes("p")))
            #expect(pipe.type == .fifo && pipe.mode == 0o640 && pipe.mtime.seconds == 7)
            #expect(try target.stat(bytes("s"))?.type == .socket)
            #expect(throws: TargetError.self) {
                try target.makeSpecial(bytes("r"), stat(.regular), link(""), replacing: false)
            }
            #expect(throws: TargetError.self) {
                try target.makeSpecial(bytes("z"), stat(.symlink), link("a\0b"), replacing: false)
            }
            var device = stat(.characterDevice, mode: 0o666)
            device.representedDevice = 0x103
            guard geteuid() == 0 else { try Test.cancel("only root makes device nodes") }
            do {
                #expect(
                    try target.makeSpecial(bytes("null"), device, FileAttributes(), replacing: false) == [])
                #expect(try target.stat(bytes("null"))?.representedDevice == 0x103)
            } catch { try Test.cancel("device nodes cannot be made here: \(error)") }
        }

        @Test func hardLinksShareTheInode() throws {
            let target = try target()
            try file(target, "f", "x")
            try target.makeHardLink(bytes("g"), to: bytes("f"), replacing: false)
            try target.makeHardLink(bytes("g"), to: bytes("f"), replacing: true)
            try file(target, "h", "other")
            try target.makeHardLink(bytes("h"), to: bytes("f"), replacing: true)
            target.close()
            #expect(scratch.status("out/target/f")!.st_nlink == 3)
            #expect(scratch.names("out/target") == ["f", "g", "h"])
            #expect(throws: TargetError.self) {
                try target.makeHardLink(bytes("g"), to: bytes("f"), replacing: false)
            }
        }

        @Test func holesStayHoles() throws {
            let target = try target()
            let file = try target.createFile(bytes("f"), size: 1 << 40, replacing: false)
            try withBytes("tail") { try file.write($0, at: 1 << 39) }
            _ = try file.finish(stat(.regular), FileAttributes())
            let status = scratch.status("out/target/f")!
            #expect(status.st_size == 1 << 40 && status.st_blocks < 1000)
            #expect(throws: TargetError.self) {
                try target.createFile(bytes("g"), size: .max, replacing: false)
            }
            target.close()
            #expect(scratch.names("out/target") == ["f"])
        }

        private func extendedAttributes(of tree: FileTree) throws -> [ExtendedAttribute] {
            let file = try tree.open(tree.roots[0])
            return try file.attributes(file.stat()).extendedAttributes
        }

        @Test func attributesAndACLsComeBack() throws {
            let target = try target()
            // Version 2; user:: rw-, user 7 r--, group:: r--, mask r--, other ---.
            let entries: [(UInt16, UInt16, UInt32)] = [
                (1, 6, .max), (2, 4, 7), (4, 4, .max), (16, 4, .max), (32, 0, .max),
            ]
            var list: [UInt8] = [2, 0, 0, 0]
            for (tag, rights, id) in entries {
                for value in [UInt32(tag) | UInt32(rights) << 16, id] {
                    withUnsafeBytes(of: value.littleEndian) { list.append(contentsOf: $0) }
                }
            }
            var attributes = FileAttributes()
            attributes.extendedAttributes = [
                ExtendedAttribute(name: bytes("system.posix_acl_access"), value: list),
                ExtendedAttribute(name: bytes("user.comment"), value: [0, 255]),
            ]
            let made = try target.createFile(bytes("f"), size: 0, replacing: false)
            let notes = try made.finish(stat(.regular, mode: 0o640), attributes)
            if !notes.isEmpty { try Test.cancel("the file system refuses: \(notes)") }
            let tree = try FileTree(roots: [scratch.bytes("out/target/f")])
            #expect(try extendedAttributes(of: tree) == attributes.extendedAttributes)
            // An ACL that came from a folder's default ACL is removed, unless the snapshot has it.
            try target.makeFolder(bytes("d"))
            try file(target, "d/before", "x", mode: 0o664)
            attributes.extendedAttributes = [
                ExtendedAttribute(name: bytes("system.posix_acl_default"), value: list)
            ]
            #expect(try target.setMetadata(bytes("d"), stat(.directory, mode: 0o755), attributes) == [])
            try file(target, "d/plain", "x", mode: 0o664)
            let once = try target.createFile(
                bytes("d/once"), size: 0, atOnceWithMode: 0o664, replacing: false)
            #expect(try once.finish(stat(.regular, mode: 0o664), FileAttributes()) == [])
            for name in ["plain", "once"] {
                let plain = try FileTree(roots: [scratch.bytes("out/target/d/" + name)])
                #expect(try extendedAttributes(of: plain) == [])
                #expect(scratch.status("out/target/d/" + name)!.st_mode & 0o777 == 0o664)
            }
            attributes.extendedAttributes = [ExtendedAttribute(name: bytes("bad.name"), value: [])]
            #expect(try target.setMetadata(bytes("d"), stat(.directory, mode: 0o755), attributes).count == 1)
        }

        @Test func whatAnOrdinaryUserMayNotSetIsNoted() throws {
            chmod(scratch.path, 0o777)
            try asOrdinaryUser { () throws in
                let target = try target()
                let made = try target.createFile(bytes("f"), size: 0, replacing: false)
                var foreign = stat(.regular, mode: 0o6755)
                (foreign.uid, foreign.gid) = (12345, 12345)
                let notes = try made.finish(foreign, FileAttributes())
                #expect(notes.count == 2 && notes[0].reason.hasPrefix("owner 12345:12345 was not set: "))
                #expect(notes.map(\.isExpected) == [true, true])
                #expect(scratch.status("out/target/f")!.st_mode & 0o7777 == 0o755)
            }
        }

        @Test func namesComeBeforeNumbers() throws {
            guard geteuid() == 0 else { try Test.cancel("only root gives files away") }
            let target = try target()
            var foreign = stat(.regular)
            (foreign.uid, foreign.gid) = (12345, 12345)
            var attributes = FileAttributes()
            attributes.userName = bytes("daemon")
            attributes.groupName = bytes("no such group")
            let made = try target.createFile(bytes("f"), size: 0, replacing: false)
            #expect(try made.finish(foreign, attributes) == [])
            #expect(scratch.status("out/target/f")!.st_uid == getpwnam("daemon").pointee.pw_uid)
            #expect(scratch.status("out/target/f")!.st_gid == 12345)
        }

        @Test(arguments: [true, false])
        func deepPathsBeyondTheKernelsLimit(usesOpenat2: Bool) throws {
            let target = try target(usesOpenat2: usesOpenat2)
            var path = bytes("deep")
            try target.makeFolder(path)
            for level in 0..<300 {
                path = PathOrder.join(path, bytes("a folder's name \(level)"))
                try target.makeFolder(path)
            }
            #expect(path.count > 4096)
            path = PathOrder.join(path, bytes("f"))
            let made = try target.createFile(path, size: 1, replacing: true)
            try withBytes("x") { try made.write($0, at: 0) }
            _ = try made.finish(stat(.regular), FileAttributes())
            #expect(try target.stat(path)?.size == 1)
        }

        @Test func manyFilesAreWrittenWithFewDescriptors() throws {
            let before = scratch.openDescriptors()
            do {
                let target = try target()
                let files = try (0..<500).map {
                    try target.createFile(bytes("\($0)"), size: 4000, replacing: $0 % 2 == 0)
                }
                let threads = (0..<4).map { thread in
                    Thread {
                        for file in files {
                            try! withBytes(String(repeating: "\(thread)", count: 1000)) {
                                try file.write($0, at: UInt64(thread * 1000))
                            }
                        }
                    }
                }
                threads.forEach { $0.join() }
                #expect(scratch.openDescriptors() - before <= 202)
                for file in files { _ = try file.finish(stat(.regular), FileAttributes()) }
                let expected = "0123".map { String(repeating: $0, count: 1000) }.joined()
                for index in 0..<500 { #expect(scratch.read("out/target/\(index)") == expected) }
                target.close()
                #expect(scratch.names("out/target").count == 500)
            }
            #expect(scratch.openDescriptors() == before)
        }

        @Test func aReplacedFileIsNotWrittenThrough() throws {
            let target = try target()
            let first = try target.createFile(bytes("first"), size: 4, replacing: false)
            let others = try (0..<210).map {
                try target.createFile(bytes("\($0)"), size: 0, replacing: false)
            }
            scratch.write("victim", "safe")
            // The name of the unfinished file. It is the second name in the folder; the first is the mark of the top
            // folder.
            let temporary = "out/target/" + scratch.names("out/target").sorted()[1]
            unlink(scratch[temporary])
            Glibc.link(scratch["victim"], scratch[temporary])
            #expect(throws: TargetError.self) { try withBytes("evil") { try first.write($0, at: 0) } }
            first.abandon()
            #expect(scratch.read("victim") == "safe" && scratch.status("victim")!.st_nlink == 2)
            others.forEach { $0.abandon() }
        }

        /// FUSE may show a file with another inode number after a rename that it refused.
        @Test func aTemporaryWithAnotherNumberIsRemoved() throws {
            let target = try target()
            let file = try target.createFile(bytes("file"), size: 4, replacing: false)
            let temporary = "out/target/" + scratch.names("out/target").sorted()[1]
            let number = try #require(scratch.status(temporary)).st_ino
            scratch.write(temporary + "-copy", "half")
            rename(scratch[temporary + "-copy"], scratch[temporary])
            #expect(scratch.status(temporary)?.st_ino != number)
            file.abandon()
            #expect(scratch.status(temporary) == nil)
        }

        @Test func aFullOrVanishedTargetIsFatal() throws {
            let isFatal: (any Error) -> Bool = { ($0 as? TargetError)?.isFatal == true }
            let gone = try target()
            removeTree(scratch["out"])
            #expect(performing: { try gone.makeFolder(bytes("d")) }, throws: isFatal)
            scratch.folder("small")
            guard mount("none", scratch["small"], "tmpfs", 0, "size=64k") == 0 else {
                try Test.cancel("cannot mount a tmpfs (errno \(errno))")
            }
            defer { umount(scratch["small"]) }
            let target = try FolderTarget(path: scratch["small/t"])
            let file = try target.createFile(bytes("f"), size: 1 << 20, replacing: false)
            let big = [UInt8](repeating: 1, count: 1 << 20)
            #expect(performing: { try big.withUnsafeBytes { try file.write($0, at: 0) } }, throws: isFatal)
            file.abandon()
            target.close()
            #expect(scratch.names("small/t").isEmpty)
        }
    }
}
