// FileTree on real folders: the order of a walk, roots, items that cannot be read, names that are not text, depth, and
// items that `open` refuses.

import BakCore
import BakStorage
import CLinux
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct FileTreeTests {
        let scratch = Scratch()

        func tree(_ roots: String...) throws -> FileTree {
            try FileTree(roots: roots.map { scratch.bytes($0) })
        }

        /// Returns the paths that a walk reports beneath the scratch folder. A failure has the mark "!".
        func walked(_ tree: FileTree, _ decide: (String) -> WalkDecision = { _ in .proceed }) throws
            -> [String]
        {
            let base = scratch.bytes("").dropFirst()
            var met: [String] = []
            var last: [UInt8] = []
            try tree.walk { event in
                let path: [UInt8]
                var mark = ""
                switch event {
                case .entry(let entry, _):
                    path = entry
                    #expect(PathOrder.precedes(last, path))
                    last = path
                case .failure(let entry, _): (path, mark) = (entry, "!")
                case .unseen(let entry, _): (path, mark) = (entry, "?")
                }
                guard path.starts(with: base) else { return .proceed }
                let shown = String(decoding: path[base.count...], as: UTF8.self)
                met.append(shown + mark)
                return decide(shown)
            }
            return met
        }

        @Test func visitsInPathOrder() throws {
            scratch.folder("r")
            for folder in ["r/a", "r/a/z", "r/b"] { scratch.folder(folder) }
            for file in ["r/a-b", "r/a.txt", "r/a/1", "r/a/z/2", "r/A", "r/b/x"] { scratch.write(file) }
            let expected = [
                "r", "r/A", "r/a", "r/a/1", "r/a/z", "r/a/z/2", "r/a-b", "r/a.txt", "r/b", "r/b/x",
            ]
            #expect(try walked(tree("r")) == expected)
            #expect(
                try walked(tree("r")) { $0 == "r/a" ? .skipChildren : .proceed }
                    == expected.filter { !$0.hasPrefix("r/a/") })
            #expect(try walked(tree("r")) { $0 == "r/a/z" ? .stop : .proceed } == Array(expected[..<5]))
        }

        @Test func ancestorsComeFirstAndSeveralRootsAreMerged() throws {
            for folder in ["p", "p/q", "p/q/r", "p/qq", "p/other"] { scratch.folder(folder) }
            for file in ["p/q/r/f", "p/q/g", "p/qq/h", "p/other/no", "top"] { scratch.write(file) }
            let tree = try tree("top", "p/qq", "p/q/r", "p/q/r/f", "p/q/r/")
            #expect(tree.roots.count == 3)
            #expect(try walked(tree) == ["p", "p/q", "p/q/r", "p/q/r/f", "p/qq", "p/qq/h", "top"])
            var first: [UInt8]?
            try tree.walk {
                if case .entry(let path, let stat) = $0, first == nil {
                    first = path
                    #expect(stat.type == .directory)
                }
                return .proceed
            }
            #expect(first == Array("tmp".utf8))
        }

        @Test func rootsAreFollowedAndKeptAsLinks() throws {
            scratch.folder("real")
            scratch.write("real/f", "x")
            symlink("real", scratch["link"])
            #expect(try walked(tree("link")) == ["link", "real", "real/f"])
            #expect(try !tree("link").isAllMissing)
            #expect(try tree("link", "real").places == [Array(scratch.bytes("real").dropFirst())])
            #expect(try walked(tree("link/")) == ["real", "real/f"])
            #expect(try walked(tree("link/f")) == ["real", "real/f"])
            #expect(try walked(tree("real/../real/.")) == ["real", "real/f"])
            let here = try FileTree(roots: [Array("Package.swift".utf8)])
            #expect(String(decoding: here.roots[0], as: UTF8.self).hasSuffix("/Package.swift"))
            #expect(try FileTree(roots: [Array("/".utf8), Array("/tmp".utf8)]).roots == [[]])
        }

        @Test func chainsOfLinksAreFollowedToTheirEnd() throws {
            scratch.folder("real")
            scratch.folder("b")
            scratch.write("real/f")
            symlink("../real", scratch["b/second"])
            symlink(scratch["b"] + "/second", scratch["first"])
            symlink("real/f", scratch["file"])
            symlink("b/../real/", scratch["slash"])
            #expect(try walked(tree("first")) == ["b", "b/second", "first", "real", "real/f"])
            #expect(try walked(tree("file")) == ["file", "real", "real/f"])
            #expect(try walked(tree("slash")) == ["real", "real/f", "slash"])
            #expect(try walked(tree("first/f")) == ["real", "real/f"])
            // Both links are kept. The folder to which they lead is walked once.
            #expect(try walked(tree("file", "slash", "real")) == ["file", "real", "real/f", "slash"])
            for number in 0..<40 { symlink(number == 0 ? "real" : "n\(number - 1)", scratch["n\(number)"]) }
            #expect(try tree("n38").missing.isEmpty)
        }

        @Test func linksThatLeadNowhereAreNamed() throws {
            scratch.folder("r")
            symlink("nowhere/x", scratch["dangling"])
            symlink("self", scratch["self"])
            symlink("two", scratch["one"])
            symlink("one", scratch["two"])
            symlink("r/../r/gone", scratch["gone"])
            for (name, leads) in [
                ("dangling", "nowhere/x"), ("self", "self"), ("one", "one"), ("gone", "r/gone"),
            ] {
                let tree = try tree(name)
                #expect(tree.isAllMissing)
                #expect(tree.missing.map(\.path) == [Array(scratch.bytes(leads).dropFirst())], "\(name)")
                #expect(tree.missing[0].reason.message.contains("the link /"), "\(tree.missing[0].reason)")
                // The link itself exists, and is kept.
                #expect(tree.roots.contains(Array(scratch.bytes(name).dropFirst())))
            }
            #expect(try !tree("r", "self").isAllMissing)
        }

        /// A path through a link to a disk has the same name whether the disk is connected or not.
        @Test func whatIsMissingBehindALinkIsNamedAsWhenItIsThere() throws {
            scratch.folder("media")
            scratch.folder("home")
            symlink("../media/disk", scratch["home/phone"])
            symlink(scratch["home"] + "/phone/DCIM", scratch["card"])
            let ways = ["home/phone/DCIM/x", "home/../home/phone/./DCIM/x", "card/x", "media/disk/DCIM/x"]
            func names() throws -> [[UInt8]] {
                try ways.flatMap { name in
                    let tree = try tree(name)
                    return tree.places + tree.missing.map(\.path)
                }
            }
            let away = try names()
            for folder in ["media/disk", "media/disk/DCIM", "media/disk/DCIM/x"] { scratch.folder(folder) }
            #expect(try names() == away && Set(away).count == 1)
        }

        @Test func whatIsMissingFailsAndTheRestIsWalked() throws {
            scratch.folder("r")
            scratch.write("r/f")
            let tree = try tree("none", "r", "r/f/g", "r/gone/x")
            #expect(tree.roots.count == 1)
            #expect(
                tree.missing.map(\.path)
                    == ["none", "r/f/g", "r/gone/x"].map { Array(scratch.bytes($0).dropFirst()) })
            #expect(tree.missing.allSatisfy { $0.reason.isNotFound })
            #expect(try walked(tree) == ["none!", "r", "r/f", "r/f/g!", "r/gone/x!"])
            var met = 0
            try tree.walk { _ in
                met += 1
                return .stop
            }
            #expect(met == 1)
            let nothing = try FileTree(roots: [[], [47, 0], Array("no such file".utf8)])
            #expect(nothing.roots.isEmpty && nothing.missing.count == 3)
            #expect(nothing.missing[0].reason.message == "that is not a path")
            #expect(String(decoding: nothing.missing[2].path, as: UTF8.self).hasSuffix("/no such file"))
        }

        @Test func everythingIsARootToo() throws {
            var names: [String] = []
            try FileTree(roots: [Array("/".utf8)]).walk {
                if case .entry(let path, _) = $0 { names.append(String(decoding: path, as: UTF8.self)) }
                return .skipChildren
            }
            #expect(names.contains("tmp") && !names.contains("") && names == names.sorted())
        }

        @Test func unreadableFoldersFailAfterTheirEntry() throws {
            scratch.folder("r")
            chmod(scratch.path, 0o755)
            scratch.folder("r/closed", mode: 0o700)
            scratch.write("r/z")
            // A folder above a root need not be readable. The program must only be able to pass through it.
            scratch.folder("pass", mode: 0o711)
            scratch.write("pass/f")
            try asOrdinaryUser { () throws in
                if geteuid() != 0 {
                    chmod(scratch["r/closed"], 0)
                    chmod(scratch["pass"], 0o111)
                }
                #expect(try walked(tree("r")) == ["r", "r/closed", "r/closed!", "r/z"])
                #expect(try walked(tree("pass/f")) == ["pass", "pass/f"])
                for folder in ["r/closed", "pass"] { chmod(scratch[folder], 0o700) }
            }
        }

        @Test func aVanishingFolderFailsAfterItsEntry() throws {
            for folder in ["r", "r/a", "r/b"] { scratch.folder(folder) }
            let met = try walked(tree("r")) {
                if $0 == "r/a" { rmdir(scratch["r/a"]) }
                return .proceed
            }
            #expect(met == ["r", "r/a", "r/a!", "r/b"])
        }

        @Test func aFolderSwappedForALinkIsNotFollowed() throws {
            for folder in ["r", "r/a", "outside"] { scratch.folder(folder) }
            scratch.write("outside/secret")
            let met = try walked(tree("r")) {
                if $0 == "r/a" {
                    rename(scratch["r/a"], scratch["moved"])
                    symlink(scratch["outside"], scratch["r/a"])
                }
                return .proceed
            }
            #expect(met == ["r", "r/a", "r/a!"])
        }

        @Test func theWayBackIsFoundWhenFoldersMove() throws {
            var path = "r"
            scratch.folder(path)
            for level in 0..<80 {
                scratch.write(path + "/z")
                path += "/d\(level)"
                scratch.folder(path)
            }
            let tenth = "r/" + (0..<10).map { "d\($0)" }.joined(separator: "/")
            let deepest = path
            let met = try walked(tree("r")) {
                if $0 == deepest { rename(scratch[tenth], scratch["moved"]) }
                return .proceed
            }
            #expect(met.filter { $0.hasSuffix("/z") }.count == 80)
            #expect(!met.contains { $0.hasSuffix("!") })
        }

        @Test func aWayBackThatIsGoneIsReported() throws {
            var path = "r"
            scratch.folder(path)
            for _ in 0..<80 {
                scratch.write(path + "/z")
                path += "/d"
                scratch.folder(path)
            }
            let deepest = path
            let tenth = "r" + String(repeating: "/d", count: 10)
            let met = try walked(tree("r")) {
                if $0 == deepest {
                    // When the walk returns to level 9, the folder that it entered and its own path are gone.
                    rename(scratch[tenth], scratch["moved"])
                    rename(scratch["r/d"], scratch["away"])
                }
                return .proceed
            }
            #expect(met.last == "r/z")
            #expect(met.contains { $0.hasSuffix("d!") })
        }

        @Test func namesAreBytes() throws {
            scratch.folder("r")
            let odd: [[UInt8]] = [
                [0xff, 0xfe], Array("new\nline".utf8), [27, 91], Array(repeating: 0x78, count: 255),
            ]
            for name in odd {
                let path = scratch.bytes("r") + [47] + name
                let file = withCPath(path) { open($0, O_WRONLY | O_CREAT, 0o600) }
                #expect(file >= 0)
                close(file)
            }
            var met: [[UInt8]] = []
            let tree = try tree("r")
            try tree.walk {
                if case .entry(let path, let stat) = $0, stat.type == .regular {
                    met.append(Array(path[(scratch.bytes("r").count)...]))
                    try tree.open(path).close()
                }
                return .proceed
            }
            #expect(met == odd.sorted { $0.lexicographicallyPrecedes($1) })
        }

        @Test func linksAndPipesAreEntriesAndNeverOpened() throws {
            scratch.folder("r")
            symlink(".", scratch["r/loop"])
            symlink("/etc/passwd", scratch["r/out"])
            mkfifo(scratch["r/pipe"], 0o600)
            scratch.folder("r/sub")
            scratch.write("r/sub/f", "inside")
            symlink("sub", scratch["r/via"])
            let tree = try tree("r")
            #expect(try walked(tree) == ["r", "r/loop", "r/out", "r/pipe", "r/sub", "r/sub/f", "r/via"])
            for refused in ["r/out", "r/pipe", "r/via/f", "r/loop/sub/f", "r/sub", "r/none"] {
                #expect(throws: SourceError.self) { try tree.open(Array(scratch.bytes(refused).dropFirst())) }
            }
            var stat = FileStat(type: .symlink)
            let link = try tree.attributes(Array(scratch.bytes("r/out").dropFirst()), stat)
            #expect(link.linkTarget == Array("/etc/passwd".utf8))
            #expect(link.userName == Array("root".utf8))
            stat.type = .fifo
            #expect(try tree.attributes(Array(scratch.bytes("r/pipe").dropFirst()), stat).linkTarget.isEmpty)
            stat.type = .directory
            #expect(throws: SourceError.self) {
                try tree.attributes(Array(scratch.bytes("r/pipe").dropFirst()), stat)
            }
        }

        @Test func aThousandNestedFoldersNeedFewDescriptors() throws {
            scratch.folder("r")
            var folder = open(scratch["r"], O_RDONLY | O_DIRECTORY)
            for _ in 0..<1000 {
                #expect(mkdirat(folder, "deep", 0o755) == 0)
                close(openat(folder, "last", O_WRONLY | O_CREAT, 0o644))
                let next = openat(folder, "deep", O_RDONLY | O_DIRECTORY)
                close(folder)
                folder = next
            }
            close(folder)
            let before = scratch.openDescriptors()
            let tree = try tree("r")
            var (entries, most, failures) = (0, 0, 0)
            var files: [[UInt8]] = []
            try tree.walk { event in
                guard case .entry(let path, let stat) = event else {
                    failures += 1
                    return .proceed
                }
                entries += 1  // including /tmp and the scratch folder
                if entries % 50 == 0 { most = max(most, scratch.openDescriptors() - before) }
                if stat.type == .regular { files.append(path) }
                return .proceed
            }
            #expect(entries == 2003 && failures == 0)
            #expect(most < 70)
            // The path is also longer than the kernel's limit for paths.
            #expect(files[0].count > 4096)
            try tree.open(files[0]).close()
            let fallback = FixedFolder(tree.top.descriptor, usesOpenat2: false)
            _ = try fallback.open(files[0], O_RDONLY)
        }

        @Test func filesGiveContentHolesAndMetadata() throws {
            scratch.write("f", "head")
            let file = open(scratch["f"], O_RDWR)
            ftruncate(file, 3 << 20)
            pwrite(file, "tail", 4, 2 << 20)
            // 1.25 s before 1970
            futimens(file, [timespec(tv_sec: 5, tv_nsec: 0), timespec(tv_sec: -2, tv_nsec: 750_000_000)])
            #expect(fsetxattr(file, "user.b", "2", 1, 0) == 0)
            #expect(fsetxattr(file, "user.a", String(repeating: "x", count: 3000), 3000, 0) == 0)
            close(file)
            let source = try tree("f").open(Array(scratch.bytes("f").dropFirst()))
            let stat = try source.stat()
            #expect(stat.type == .regular && stat.size == 3 << 20 && stat.linkCount == 1)
            #expect(stat.mtime == Timestamp(seconds: -2, nanoseconds: 750_000_000))
            #expect(stat.allocatedBytes < 1 << 20)
            let attributes = try source.attributes(stat)
            #expect(
                attributes.extendedAttributes.map { String(decoding: $0.name, as: UTF8.self) } == [
                    "user.a", "user.b",
                ])
            #expect(attributes.extendedAttributes.map(\.value.count) == [3000, 1])
            #expect(try source.nextData(from: 0, size: stat.size)?.lowerBound == 0)
            let tail = try source.nextData(from: 1 << 20, size: stat.size)
            #expect(tail?.contains(2 << 20) == true)
            #expect(try source.nextData(from: tail!.upperBound, size: stat.size) == nil)
            var bytes = [UInt8](repeating: 0, count: 8)
            #expect(try bytes.withUnsafeMutableBytes { try source.read(into: $0, at: 2 << 20) } == 8)
            #expect(bytes.prefix(4).elementsEqual("tail".utf8))
            #expect(try bytes.withUnsafeMutableBytes { try source.read(into: $0, at: (3 << 20) - 3) } == 3)
            #expect(try bytes.withUnsafeMutableBytes { try source.read(into: $0, at: 3 << 20) } == 0)
            source.close()
            #expect(throws: SourceError.self) { try source.stat() }
        }

        @Test func readingLeavesTheAccessTime() throws {
            scratch.write("f", "x")
            let file = open(scratch["f"], O_RDWR)
            futimens(file, [timespec(tv_sec: 5, tv_nsec: 0), timespec(tv_sec: 6, tv_nsec: 0)])
            close(file)
            let source = try tree("f").open(Array(scratch.bytes("f").dropFirst()))
            var byte: UInt8 = 0
            _ = try withUnsafeMutableBytes(of: &byte) { try source.read(into: $0, at: 0) }
            source.close()
            #expect(scratch.status("f")!.st_atim.tv_sec == 5)
        }

        @Test func namesAndGranularity() throws {
            let tree = try tree("")
            #expect(tree.names(uid: 0, gid: 0) == (Array("root".utf8), Array("root".utf8)))
            #expect(tree.names(uid: 4_000_000_000, gid: 4_000_000_000) == ([], []))
            let root = Array(scratch.bytes("").dropFirst())
            var stat = FileStat(type: .directory)
            stat.device = UInt64(scratch.status("")!.st_dev)
            #expect(tree.evidence(root, stat).granularityNanoseconds >= 10_000_000)
            stat.device = 0xffff_ffff
            #expect(tree.evidence(root, stat) == .none, "it is on another device by now")
        }

        @Test func descriptorsDoNotLeak() throws {
            scratch.folder("r")
            for index in 0..<50 {
                scratch.folder("r/\(index)")
                scratch.write("r/\(index)/f", "x")
            }
            let before = scratch.openDescriptors()
            do {
                let tree = try tree("r")
                _ = try walked(tree)
                _ = try walked(tree) { $0.hasPrefix("r/3") ? .stop : .proceed }
                try tree.walk {
                    if case .entry(let path, let stat) = $0, stat.type == .regular { _ = try tree.open(path) }
                    return .proceed
                }
            }
            #expect(scratch.openDescriptors() == before)
        }
    }
}
