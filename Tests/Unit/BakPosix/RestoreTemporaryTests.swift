// Temporaries that killed restores leave: their owners, and the removal of these files and no others. Also the
// permissions of folders that a restore must open for itself.

import BakCore
import BakStorage
import Glibc
import TestSupport
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct RestoreTemporaryTests {
        let scratch = Scratch()
        /// A process that has ended.
        var gone: TemporaryOwner {
            var owner = TemporaryOwner.current
            owner.start = (owner.start + 1) & 0x3ff_ffff
            return owner
        }

        func name(_ owner: TemporaryOwner) -> String {
            String(decoding: RestoreTemporary.name(of: owner), as: UTF8.self)
        }

        @Test func namesSayWhoseTheyAre() {
            let here = TemporaryOwner.current
            #expect(here.start > 0 && here.boot > 0 && here.machine > 0)
            let names = Set((0..<1000).map { _ in RestoreTemporary.name() })
            #expect(names.count == 1000)
            for name in names {
                #expect(RestoreTemporary.owner(of: name[...]) == here)
                #expect(name.count == 50, "a name that fits must not become one that does not")
            }
            let odd = TemporaryOwner(
                machine: 0xfffff, boot: 0xffff, namespace: 0xfff, process: 0x3f_ffff, start: 0x3ff_ffff)
            #expect(RestoreTemporary.owner(of: RestoreTemporary.name(of: odd)[...]) == odd)
            for other in [
                ".bakstore-restore-", ".bakstore-" + String(repeating: "0", count: 32), "photo.jpg",
            ] {
                #expect(RestoreTemporary.owner(of: Array(other.utf8)[...]) == nil)
            }
        }

        /// A backup excludes the temporaries of dead restores. It includes the temporary of a running restore, the
        /// temporary of a restore on another machine, and files with other names.
        @Test func aBackupKnowsWhatTheDeadLeft() throws {
            var other = TemporaryOwner.current
            other.machine ^= 1
            let names = [
                name(gone), name(.current), name(other), name(gone) + "0", ".bakstore-restore-x", "x",
            ]
            for name in names { scratch.write(name, "") }
            let tree = try FileTree(roots: [Array(scratch.path.utf8)])
            let left = names.filter { tree.isLeaving(Array(scratch[$0].utf8.dropFirst())) }
            #expect(left == [names[0]])
        }

        @Test func onlyTheDeadAreAbandoned() {
            let here = TemporaryOwner.current
            #expect(here.mayRun(isShared: false) == true)
            #expect(gone.mayRun(isShared: false) == false, "another process has had the number since")
            var other = here
            // A larger number than Linux gives to a process.
            other.process = 0x3f_ffff
            #expect(other.mayRun(isShared: true) == false)
            other = here
            other.process = 1
            other.start = 0
            #expect(other.mayRun(isShared: false) == true)
            other = here
            other.boot ^= 1
            #expect(other.mayRun(isShared: false) == false)
            #expect(other.mayRun(isShared: true) == nil)
            for change in [\TemporaryOwner.machine, \.namespace] {
                other = here
                other[keyPath: change] ^= 1
                #expect(other.mayRun(isShared: false) == nil)
            }
        }

        @Test func anAgeIsTheMediumsAndUnknownWithoutIt() throws {
            scratch.write("half", "half")
            let status = try #require(scratch.status("half"))
            let made = Int64(status.st_ctim.tv_sec)
            #expect(!RestoreTemporary.isOld(status, at: made + 86_400))
            #expect(RestoreTemporary.isOld(status, at: made + 86_401))
            #expect(!RestoreTemporary.isOld(status, at: nil))
            // An old mtime does not make a file old, because a restore gives files their stored times.
            let past = [timespec(tv_sec: 1000, tv_nsec: 0), timespec(tv_sec: 1000, tv_nsec: 0)]
            utimensat(AT_FDCWD, scratch["half"], past, 0)
            #expect(!RestoreTemporary.isOld(try #require(scratch.status("half")), at: made + 60))
        }

        @Test func theNextRestoreSweepsWhatNoProcessOwns() throws {
            var stranger = TemporaryOwner.current
            stranger.machine ^= 1
            for folder in ["t", "t/a", "t/a/b", "t/c"] { scratch.folder(folder) }
            let names = [name(gone), name(.current), name(stranger), "photo.jpg", ".bakstore-restore-x"]
            for folder in ["t", "t/a/b"] { for name in names { scratch.write("\(folder)/\(name)") } }
            symlink("nowhere", scratch["t/c/" + name(gone)])
            scratch.folder("t/c/" + name(gone))
            let folders = scratch.names("t/c").count
            let target = try FolderTarget(path: scratch["t"])
            var seen: [String] = []
            try target.list([], sweeping: false) { seen.append(String(decoding: $0, as: UTF8.self)) }
            #expect(seen.sorted() == [".bakstore-restore-x", "a", "c", "photo.jpg"])
            #expect(scratch.names("t").count == names.count + 2, "a dry run sweeps nothing")
            try target.list([], sweeping: true) { _ in }
            #expect(scratch.names("t").sorted() == (names.dropFirst() + ["a", "c"]).sorted())
            // A mark in the top folder says that there may be temporaries in other folders.
            #expect(scratch.names("t/a/b").sorted() == names.dropFirst().sorted())
            #expect(
                scratch.names("t/c").count == folders - 1, "a folder of such a name is nobody's temporary")
            // Without a mark, a folder is swept when the restore enters it.
            scratch.write("t/a/" + name(gone))
            try target.list([], sweeping: true) { _ in }
            #expect(scratch.names("t/a").count == 2)
            try target.list(Array("a".utf8), sweeping: true) { _ in }
            #expect(scratch.names("t/a") == ["b"])
        }

        @Test func aTargetThatIsTheRestoresOwnBecomesTheFolder() throws {
            var stat = FileStat(type: .directory)
            (stat.mode, stat.uid, stat.gid) = (0o751, geteuid(), getegid())
            stat.mtime = Timestamp(seconds: 1_000_000_000)
            func finish(_ name: String, _ prepare: () -> Void = {}) throws -> stat {
                prepare()
                let target = try FolderTarget(path: scratch[name])
                try target.list([], sweeping: true) { _ in }
                let file = try target.createFile(Array("f".utf8), size: 0, replacing: true)
                _ = try file.finish(FileStat(type: .regular), FileAttributes())
                #expect(target.finishTop(stat, FileAttributes()) == [])
                target.close()
                return scratch.status(name)!
            }
            func isLike(_ status: Glibc.stat) -> [Bool] {
                [status.st_mode & 0o7777 == 0o751, status.st_mtim.tv_sec == 1_000_000_000]
            }
            #expect(isLike(try finish("new")) == [true, true])
            #expect(isLike(try finish("new")) == [true, true], "the second time it holds something")
            #expect(isLike(try finish("empty") { scratch.folder("empty") }) == [true, true])
            let strange = try finish("full") {
                scratch.folder("full")
                scratch.write("full/own")
            }
            #expect(isLike(strange) == [false, false])
            let killed = try finish("killed") {
                scratch.folder("killed", mode: 0o700)
                scratch.write("killed/f")
                scratch.write("killed/" + name(gone))
            }
            #expect(isLike(killed) == [true, true])
        }

        @Test func noTraceStaysInATopThatMayNotBeWrittenTo() throws {
            chmod(scratch.path, 0o777)
            try asOrdinaryUser { () throws in
                let target = try FolderTarget(path: scratch["t"])
                try target.makeFolder(Array("d".utf8))
                #expect(scratch.names("t").count == 2, "the mark comes before everything else")
                var stat = FileStat(type: .directory)
                stat.mode = 0o555
                (stat.uid, stat.gid) = (scratch.status("t")!.st_uid, scratch.status("t")!.st_gid)
                stat.mtime = Timestamp(seconds: 1_000_000_000)
                #expect(target.finishTop(stat, FileAttributes()) == [])
                target.close()
                #expect(scratch.names("t") == ["d"])
                #expect(scratch.status("t")!.st_mode & 0o7777 == 0o555)
                #expect(scratch.status("t")!.st_mtim.tv_sec == 1_000_000_000)
            }
        }

        @Test func rightsThatTheUserMayGiveAreLentAndTakenBack() throws {
            chmod(scratch.path, 0o777)
            try asOrdinaryUser { () throws in
                for (name, mode) in [("a", 0o555), ("b", 0), ("c", 0o311)] as [(String, mode_t)] {
                    scratch.folder("t\(name)", mode: 0o755)
                    scratch.folder("t\(name)/in")
                    scratch.folder("t\(name)/in/deep")
                    scratch.write("t\(name)/in/deep/old", "old")
                    chmod(scratch["t\(name)/in/deep"], mode)
                    chmod(scratch["t\(name)/in"], mode)
                    chmod(scratch["t\(name)"], mode)
                    let target = try FolderTarget(path: scratch["t" + name])
                    for path in ["f", "in/f", "in/deep/old"] {
                        let file = try target.createFile(Array(path.utf8), size: 0, replacing: true)
                        _ = try file.finish(FileStat(type: .regular), FileAttributes())
                    }
                    var found = 0
                    try target.list(Array("in/deep".utf8), sweeping: true) { _ in found += 1 }
                    #expect(found == 1)
                    // One folder gets its stored mode. All others get back the mode that they had.
                    var stat = FileStat(type: .directory)
                    stat.mode = 0o500
                    (stat.uid, stat.gid) = (
                        scratch.status("t\(name)")!.st_uid, scratch.status("t\(name)")!.st_gid
                    )
                    #expect(try target.setMetadata(Array("in".utf8), stat, FileAttributes()) == [])
                    target.close()
                    #expect(scratch.status("t\(name)")!.st_mode & 0o7777 == mode)
                    chmod(scratch["t\(name)"], 0o700)
                    #expect(scratch.status("t\(name)/in")!.st_mode & 0o7777 == 0o500)
                    #expect(scratch.status("t\(name)/in/deep")!.st_mode & 0o7777 == mode)
                }
            }
        }

        @Test func aRefusalConcernsTheEntryUnlessContentCannotBeWritten() throws {
            let target = try FolderTarget(path: scratch["t"])
            func kind(_ code: Int32, isContent: Bool) -> TargetError.Kind {
                target.failure(Errno(code: code), "try", [], isContent: isContent).kind
            }
            let ending = [EROFS, EEXIST, EMFILE, ENFILE, ENOSPC, EDQUOT]
            for code in 1...133 as ClosedRange<Int32> where !ending.contains(code) {
                #expect(kind(code, isContent: false) == .entry, "errno \(code)")
                if code != EIO { #expect(kind(code, isContent: true) == .entry, "errno \(code)") }
            }
            for isContent in [false, true] {
                #expect(
                    kind(ENOSPC, isContent: isContent) == .full && kind(EDQUOT, isContent: isContent) == .full
                )
            }
            #expect(kind(EROFS, isContent: false) == .gone)
            #expect(
                kind(EMFILE, isContent: false) == .outOfFiles && kind(ENFILE, isContent: true) == .outOfFiles)
            #expect(kind(EEXIST, isContent: true) == .taken)
            // Errors in a row mean that the medium is gone. A file that was written completely ends the row.
            for expected in [TargetError.Kind.entry, .entry, .gone] {
                #expect(kind(EIO, isContent: true) == expected)
            }
            target.medium.countSuccess()
            #expect(kind(EIO, isContent: true) == .entry)
            removeTree(scratch["t"])
            for code in [ENOENT, ENODEV, ENXIO, ESTALE, ENOTCONN, EIO] {
                #expect(kind(code, isContent: false) == .gone, "errno \(code)")
            }
        }

        @Test func everyWantOfRoomIsAFullRepository() {
            for code in 1...133 as ClosedRange<Int32> {
                let isFull = [ENOSPC, EDQUOT, EFBIG].contains(code)
                let error = StoreError(Errno(code: code), "write", "packs/x", isWriting: true)
                #expect(
                    (error.kind == .full) == isFull && Errno(code: code).isFull == isFull, "errno \(code)")
            }
        }

        @Test func contentInOrderComesFromTheSpool() throws {
            var random = TestSeed.random("contentInOrderComesFromTheSpool")
            for inOrder in [false, true] {
                let target = try FolderTarget(path: scratch["t\(inOrder)"])
                target.medium.takesContentInOrder = inOrder
                let content = random.bytes(200_000)
                let file = try target.createFile(Array("f".utf8), size: 300_000, replacing: false)
                for piece in Array(stride(from: 0, to: 200_000, by: 10_000)).shuffled(using: &random) {
                    try content[piece..<piece + 10_000].withUnsafeBytes {
                        try file.write($0, at: UInt64(piece))
                    }
                }
                _ = try file.finish(FileStat(type: .regular), FileAttributes())
                let opened = open(scratch["t\(inOrder)/f"], O_RDONLY)
                defer { close(opened) }
                var found = [UInt8](repeating: 1, count: 400_000)
                let count = found.withUnsafeMutableBytes { pread(opened, $0.baseAddress, $0.count, 0) }
                #expect(count == 300_000)
                #expect(found[..<200_000].elementsEqual(content))
                #expect(found[200_000..<300_000].allSatisfy { $0 == 0 })
            }
        }

        @Test func timesAreComparedAsTheTargetKeepsThem() throws {
            let target = try FolderTarget(path: scratch["t"])
            let time = Timestamp(seconds: 1_234_567_890, nanoseconds: 123_456_789)
            let device = UInt64(scratch.status("t")!.st_dev)
            let seen = target.rendered(time, at: Array("f".utf8), device: device)
            scratch.write("t/f")
            utimensat(AT_FDCWD, scratch["t/f"], [time.systemValue, time.systemValue], 0)
            #expect(seen == Timestamp(scratch.status("t/f")!.st_mtim))
            #expect(scratch.names("t").count == 2)
            target.tidy()
            #expect(scratch.names("t") == ["f"], "no trace was left: nothing was made")
        }
    }
}
