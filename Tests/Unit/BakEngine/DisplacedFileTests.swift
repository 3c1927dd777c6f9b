// Files of an archive whose names other files take. This happens when a camera or a phone is cleared and counts from
// 0001 again.

import BakCore
import BakEngine
import BakFormat
import BakStorage
import TestBench
import TestSupport
import Testing

@testable import BakRepository

@Suite struct DisplacedFileTests {
    private let bench: MemoryBench

    init() throws { bench = try MemoryBench() }

    private static func file(_ path: String, _ content: String, time: Int64) -> FakeEntry {
        .file(path, Array(content.utf8)) {
            $0.stat.inode = UInt64(time)
            ($0.stat.mtime.seconds, $0.stat.ctime.seconds) = (time, time)
        }
    }

    /// Backs up files to an archive of `s`. Returns the content at each path of the archive. The content of a gone file
    /// has the prefix `-`.
    @discardableResult
    private func archive(
        _ files: [FakeEntry], at time: Int64, _ change: (inout BackupRequest) -> Void = { _ in }
    ) throws -> [String: String] {
        let entries = [.other("s", .directory)] + files.sorted { PathOrder.precedes($0.path, $1.path) }
        let snapshot = try #require(
            try bench.archive(FakeTree(entries), at: time, EventLog(), verbosely: false, change).snapshot)
        let items = try bench.archived(snapshot)
        bench.expectCounters(snapshot, items, "at \(time)")
        var found: [String: String] = [:]
        for (path, item) in items where item.type == .regular {
            found[String(decoding: path, as: UTF8.self)] =
                (item.goneSince == nil ? "" : "-") + String(decoding: item.content, as: UTF8.self)
        }
        return found
    }

    /// The source is cleared, and the numbers begin again. Each time, the archive keeps all photos. Names of other
    /// files sort in between.
    @Test func numbersThatBeginAnewTakeNothingOutOfTheArchive() throws {
        let others = ["s/1.jpg.xmp", "s/1.jpg~", "s/1~", "s/10.jpg", "s/1~gone.jpg"].map {
            Self.file($0, "other", time: 1)
        }
        try archive(others + [Self.file("s/1.jpg", "first", time: 2)], at: 5000)
        try archive(others, at: 5010)
        let second = Self.file("s/1.jpg", "second", time: 3)
        var found = try archive(others + [second], at: 5020)
        #expect(found["s/1.jpg"] == "second")
        #expect(found["s/1~gone-1970-01-01-012340.jpg"] == "-first")
        try archive(others, at: 5030)
        found = try archive(others + [Self.file("s/1.jpg", "third", time: 4)], at: 5040)
        #expect(found["s/1.jpg"] == "third" && found.count == 8)
        #expect(found.values.filter { $0.hasPrefix("-") }.sorted() == ["-first", "-second"])
    }

    /// A file that comes back with the same content is not gone any more, even if its times differ.
    @Test func theSameContentIsTheSameFile() throws {
        try archive([Self.file("s/1.jpg", "first", time: 2)], at: 5000)
        try archive([], at: 5010)
        let found = try archive([Self.file("s/1.jpg", "first", time: 9)], at: 5020)
        #expect(found == ["s/1.jpg": "first"])
    }

    /// A file with new content replaces the old one. But if the old one was declared safe to delete, the archive keeps
    /// both.
    @Test(arguments: [false, true]) func whatWasCalledSafeStays(_ isVouched: Bool) throws {
        let first = Self.file("s/1.jpg", "first", time: 2)
        let report = try bench.archive(FakeTree([.other("s", .directory), first]), at: 5000)
        if isVouched {
            let snapshot = try #require(report.snapshot)
            let content = FileContent.inline(first.content).fingerprint
            try bench.repository.vouch(
                for: [snapshot.id: [Vouch.File(content: content, path: first.path)]],
                RecordOrigin(time: Timestamp(seconds: 5005), host: "h", program: "p"))
        }
        let found = try archive([Self.file("s/1.jpg", "second", time: 3)], at: 5010)
        #expect(found["s/1.jpg"] == "second")
        #expect(found.values.contains("-first") == isVouched)
    }

    /// Many files and folders take the same name within one second.
    @Test func namesThatMeetAreNumbered() throws {
        var contents: [String] = []
        for number in 10..<31 {
            try archive([Self.file("s/1.jpg", "content \(number)", time: Int64(number))], at: 5000)
            contents.append("-content \(number)")
            try archive([], at: 5000)
            let folder = Self.file("s/f/x", "folder \(number)", time: Int64(number))
            try archive([.other("s/f", .directory), folder], at: 5000)
            contents.append("-folder \(number)")
            try archive([Self.file("s/f", "file", time: 1)], at: 5000)
        }
        let found = try archive([Self.file("s/1.jpg", "last", time: 9)], at: 5000)
        #expect(found.values.filter { !$0.hasSuffix("file") }.sorted() == (contents + ["last"]).sorted())
    }

    @Test func linksAreLookedAtUnderEachName() throws {
        func link(_ path: String, _ content: String, time: Int64) -> FakeEntry {
            .file(path, Array(content.utf8)) {
                ($0.stat.inode, $0.stat.linkCount) = (UInt64(time), 2)
                ($0.stat.mtime.seconds, $0.stat.ctime.seconds) = (time, time)
            }
        }
        let old = [Self.file("s/1.jpg", "one", time: 2), Self.file("s/2.jpg", "two", time: 3)]
        try archive(old, at: 5000)
        try archive([], at: 5010)
        let found = try archive(
            [link("s/1.jpg", "two", time: 4), link("s/2.jpg", "two", time: 4)], at: 5020)
        #expect(found.values.sorted() == ["-one", "two", "two"])
    }

    /// A file that cannot be read does not displace the gone file of the same name.
    @Test func whatCannotBeReadHasNoSuccessor() throws {
        try archive([Self.file("s/1.jpg", "first", time: 2)], at: 5000)
        try archive([], at: 5010)
        var second = Self.file("s/1.jpg", "second", time: 3)
        second.fault = "open"
        #expect(try archive([second], at: 5020) == ["s/1.jpg": "-first"])
    }

    /// An archive has a file. A later snapshot that is not an archive has another file of this name. The next archive
    /// keeps both.
    @Test func anArchiveThatIsTakenUpAgainKeepsWhatItHad() throws {
        try archive([Self.file("s/1.jpg", "first", time: 2)], at: 5000)
        try archive([], at: 5010)
        let second = Self.file("s/1.jpg", "second", time: 3)
        try archive([second], at: 5020) { $0.archive = .no }
        let found = try archive([second], at: 5030)
        #expect(found.values.sorted() == ["-first", "second"])
    }

    /// The new names fit any target, consist of whole characters, and are all different.
    @Test func longNamesAreShortened() throws {
        let stems = [("x", 248), ("\u{e4}", 124), ("\u{5199}", 82), ("\u{1f4f7}", 62)].map {
            "s/" + String(repeating: $0.0, count: $0.1)
        }
        let paths = stems.flatMap { ["\($0)a.jpg", "\($0)b.jpg"] }
        try archive(paths.map { Self.file($0, "of \($0)", time: 2) }, at: 5000)
        try archive([], at: 5010)
        let found = try archive(paths.map { Self.file($0, "new", time: 3) }, at: 5020)
        #expect(Set(found.values) == Set(paths.map { "-of \($0)" } + ["new"]))
        #expect(found.keys.allSatisfy { $0.utf8.count <= 257 && !$0.contains("\u{fffd}") })
    }

    /// Another item takes the place of a path that is itself backed up. Every later archive keeps the old item beside
    /// the path.
    @Test(arguments: [false, true]) func aPathItselfMayBecomeAnother(_ isFile: Bool) throws {
        func snapshot(_ entries: [FakeEntry], at time: Int64) throws -> [String] {
            let snapshot = try #require(try bench.archive(FakeTree(entries), at: time).snapshot)
            let index = try BlobIndex(bench.repository)
            let listed = try snapshot.pathsWithDisplaced(bench.repository, index)
            let items = try bench.archived(snapshot)
            #expect(listed.count == (time > 5010 ? 2 : 1))
            #expect(items.keys.allSatisfy { path in listed.contains { PathOrder.isAtOrBeneath(path, $0) } })
            return items.values.filter { $0.type == .regular }.map {
                String(decoding: $0.content, as: UTF8.self)
            }
        }
        let folder = [.other("s", .directory), Self.file("s/1.jpg", "first", time: 2)]
        let file = [Self.file("s", "second", time: 3)]
        _ = try snapshot(isFile ? file : folder, at: 5010)
        for time in Int64(5020)...5023 {
            let contents = try snapshot(isFile ? folder : file, at: time)
            #expect(contents.sorted() == ["first", "second"])
        }
    }

    /// Several parents have different items at one path. The archive keeps each of them under a name of its own.
    @Test func severalParentsMayHaveDifferentThingsThere() throws {
        let folder: [FakeEntry] = [.other("s/x", .directory), Self.file("s/x/1.jpg", "first", time: 2)]
        try archive(folder, at: 5000)
        try archive([Self.file("s/x", "second", time: 3)], at: 5010) { $0.archive = .no }
        let found = try archive([.other("s/x", .symlink) { $0.attributes.linkTarget = [65] }], at: 5020)
        #expect(found.values.sorted() == ["-first", "-second"])
        try archive([.other("s/y", .directory), Self.file("s/y/1.jpg", "third", time: 4)], at: 5030)
        try archive([.other("s/y", .directory), Self.file("s/y/1.jpg", "fourth", time: 5)], at: 5040) {
            $0.archive = .no
        }
        let last = try archive([Self.file("s/y", "fifth", time: 6)], at: 5050)
        #expect(["-first", "-second", "-third", "-fourth", "fifth"].allSatisfy(last.values.contains))
    }

    /// Several parents have different files at one path, and the walk does not find this path, or cannot read it, or
    /// cannot read it to its end.
    @Test(arguments: ["gone", "open", "short"])
    func severalParentsMayHaveDifferentFilesThere(_ now: String) throws {
        try archive([Self.file("s/1.jpg", "first", time: 2)], at: 5000)
        try archive([], at: 5010)
        try archive([Self.file("s/1.jpg", "second", time: 3)], at: 5020) { $0.archive = .no }
        var third = Self.file("s/1.jpg", "third", time: 4)
        if now == "short" { third.stat.size += 20 } else { third.fault = now }
        for time in Int64(5030)...5032 {
            let found = try archive(now == "gone" ? [] : [third], at: time)
            #expect(found.values.sorted() == ["-first", now == "gone" ? "-second" : "second"])
        }
    }
}
