// A source's inode numbers and sizes may be wrong, so the backup compares them with other evidence. On media without
// identity, equal inode numbers do not make two names one file. Whatever size is shown, the content is what a read
// returns.

import BakCore
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@testable import BakEngine

@Suite struct IdentityTests {
    private static let disk = MediumEvidence(hasIdentity: true, granularityNanoseconds: 10_000_000)

    /// Returns one of two names that, by their inode numbers, are one file.
    private static func name(
        _ path: String, _ content: [UInt8], _ change: (inout FileStat) -> Void = { _ in }
    ) -> FakeEntry {
        .file(path, content) {
            ($0.stat.inode, $0.stat.linkCount) = (4711, 2)
            change(&$0.stat)
        }
    }

    /// Backs up and restores a source. Returns the backup's report.
    private static func roundTrip(
        _ tree: FakeTree, _ change: (inout BackupRequest) -> Void = { _ in }
    ) throws -> BackupReport {
        let bench = try MemoryBench()
        let report = try bench.backup(tree, EventLog(), change)
        let target = try MemoryBench.restore(bench.repository, try #require(report.snapshot))
        #expect(target.items == tree.expected)
        return report
    }

    // MARK: Hard links

    /// Two files with the same inode number differ in one property. Both must be read and restored.
    @Test(arguments: 0..<7)
    func namesOfOneNumberThatDifferAreTwoFiles(difference: Int) throws {
        let changes: [(inout FileStat) -> Void] = [
            { $0.size = 5 }, { $0.mtime.nanoseconds += 1 }, { $0.ctime.seconds += 1 }, { $0.mode = 0o600 },
            { $0.linkCount = 3 }, { $0.uid = 7 }, { $0.device = 2 },
        ]
        let content: [UInt8] = difference == 0 ? [5, 6, 7, 8, 9] : [5, 6, 7, 8]
        let report = try Self.roundTrip(
            FakeTree([
                .other("s", .directory), Self.name("s/a", [1, 2, 3, 4]),
                Self.name("s/b", content, changes[difference]),
            ]))
        #expect(report.counters.readBytes == UInt64(4 + content.count))
    }

    @Test func namesOfOneFileAreReadOnceWhereNumbersCount() throws {
        let entries = [.other("s", .directory), Self.name("s/a", [1, 2]), Self.name("s/b", [1, 2])]
        #expect(try Self.roundTrip(FakeTree(entries)).counters.readBytes == 2)
        #expect(try Self.roundTrip(FakeTree(entries)) { $0.ignoresCtime = true }.counters.readBytes == 2)
        #expect(try Self.roundTrip(FakeTree(entries)) { $0.ignoresInode = true }.counters.readBytes == 4)
        #expect(try Self.roundTrip(FakeTree(entries, media: [1: .none])).counters.readBytes == 4)
    }

    /// Two files differ only in their content, as on a server that shows two disks as one.
    @Test func filesThatOnlyTheirContentTellsApartComeBackApart() throws {
        for size in [4, 100, 5000] {
            let random = SeededRandom(seed: UInt64(size))
            let contents = [random.bytes(size), random.bytes(size)]
            let tree = FakeTree(
                [.other("s", .directory), Self.name("s/a", contents[0]), Self.name("s/b", contents[1])],
                media: [1: .none])
            #expect(try Self.roundTrip(tree).counters.readBytes == UInt64(2 * size))
        }
    }

    // MARK: The repository itself

    @Test func aBackupOfTheRepositoryOnlyIsRefused() throws {
        let own = OwnFolder(path: Array("m/r".utf8), stat: nil)
        for paths in [["m/r"], ["m/r/packs"], ["m/r", "m/r/config"]] {
            #expect(throws: OnlyOwnFolderError.self) {
                try own.expectMore(than: paths.map { Array($0.utf8) })
            }
        }
        for paths in [[], ["m"], ["m/rest"], ["m/r", "m/s"]] {
            try own.expectMore(than: paths.map { Array($0.utf8) })
        }
    }

    /// A folder on one device may be the repository, seen through another file system. Its content decides this if
    /// inode numbers cannot.
    @Test func theRepositoryIsRecognisedThroughAnotherFileSystem() {
        func folder(_ path: String, device: UInt64, mtime: Int64) -> FakeEntry {
            .other(path, .directory) {
                ($0.stat.device, $0.stat.inode, $0.stat.mtime) = (device, 5, Timestamp(seconds: mtime))
            }
        }
        let mark = ObjectKey("sessions/one")
        for (hereIsNumbered, thereIsNumbered) in [(true, true), (true, false), (false, true), (false, false)]
        {
            for holdsMark in [true, false] {
                for isSameTime in [true, false] {
                    let found = folder("s/r", device: 1, mtime: 1)
                    let tree = FakeTree(
                        [found] + (holdsMark ? [.file("s/r/sessions/one")] : []),
                        media: [
                            1: hereIsNumbered ? Self.disk : .none, 2: thereIsNumbered ? Self.disk : .none,
                        ])
                    var there = folder("m/r", device: 2, mtime: isSameTime ? 1 : 2).stat
                    there.inode = 6
                    let own = OwnFolder(path: Array("m/r".utf8), stat: there)
                    func isSeen(_ isUnique: Bool) -> Bool {
                        own.isSeen(at: found.path, found.stat, in: tree, mark: mark, isUnique: isUnique)
                    }
                    let looks = !(hereIsNumbered && thereIsNumbered) && holdsMark
                    let what = "\(hereIsNumbered) \(thereIsNumbered) \(holdsMark) \(isSameTime)"
                    #expect(isSeen(true) == (looks && (isSameTime || hereIsNumbered)), "\(what)")
                    #expect(isSeen(false) == (looks && isSameTime), "\(what)")
                    // If the mark is not visible, the configuration decides, unless inode numbers do.
                    for config in ["config", "another", ""] {
                        let tree = FakeTree(
                            [found, .file("s/r/config", Array("config".utf8))],
                            media: [
                                1: hereIsNumbered ? Self.disk : .none,
                                2: thereIsNumbered ? Self.disk : .none,
                            ])
                        let own = OwnFolder(
                            path: Array("m/r".utf8), stat: there, readConfig: { Array(config.utf8) })
                        let isOwn = own.isSeen(
                            at: found.path, found.stat, in: tree, mark: mark, isUnique: true)
                        #expect(isOwn == (config == "config" && !hereIsNumbered), "\(what) \(config)")
                    }
                }
            }
        }
    }

    // MARK: Moves

    /// A folder and its file before and after a change. The inode numbers stay, but the content does not.
    private static func albums(_ name: String, _ text: String, isCopy: Bool, folderCtime: Int64)
        -> [FakeEntry]
    {
        [
            .other("s", .directory) { $0.stat.inode = 2 },
            .other("s/\(name)", .directory) {
                $0.stat.inode = 3
                $0.stat.ctime.seconds = folderCtime
            },
            .file("s/\(name)/note", Array(text.utf8)) {
                $0.stat.inode = 4
                if !isCopy { $0.stat.ctime.seconds += 1 }
            },
        ]
    }

    /// The medium gives numbers to new files again, and ctime may be a copy of mtime. A new album must not count as the
    /// old album after a move.
    @Test(arguments: [
        (MediumEvidence.none, true, false, false), (.none, false, false, false), (.none, true, true, false),
        (disk, true, false, false), (disk, true, true, false), (disk, false, true, true),
    ])
    func anotherFolderWithTheNumberIsRead(
        medium: MediumEvidence, isCopy: Bool, ignoresCtime: Bool, ignoresInode: Bool
    ) throws {
        let bench = try MemoryBench()
        let before = Self.albums("A", "Summer", isCopy: isCopy, folderCtime: 1000)
        let after = Self.albums("B", "Winter", isCopy: isCopy, folderCtime: 1000)
        try bench.backup(FakeTree(before, media: [1: medium]))
        let tree = FakeTree(after, media: [1: medium])
        let report = try bench.backup(tree) {
            ($0.ignoresCtime, $0.ignoresInode) = (ignoresCtime, ignoresInode)
        }
        #expect(report.movedFiles == 0)
        let target = try MemoryBench.restore(bench.repository, try #require(report.snapshot))
        #expect(target.items == tree.expected)
    }

    @Test func aFolderIsFollowedWhereCtimeIsSeenToLive() throws {
        let bench = try MemoryBench()
        try bench.backup(FakeTree(Self.albums("A", "Summer", isCopy: false, folderCtime: 1000)))
        let report = try bench.backup(
            FakeTree(Self.albums("B", "Summer", isCopy: false, folderCtime: 1005)))
        #expect(report.movedFiles == 1 && report.counters.readBytes == 0)
    }

    // MARK: Sizes

    /// Content of various lengths, shown as empty or too short.
    @Test(arguments: [0, 1, 63, 64, 65, 5000, 300_000])
    func whatAReadGivesIsStored(count: Int) throws {
        let random = SeededRandom(seed: UInt64(count + 1))
        let content = random.bytes(count)
        for shown in Set([0, 1, 64, count / 2, max(0, count - 1)]) where shown <= count {
            let bench = try MemoryBench()
            let tree = FakeTree([
                .other("s", .directory),
                .file("s/f", content) {
                    $0.stat.size = UInt64(shown)
                    $0.stat.allocatedBytes = 0
                },
            ])
            let events = EventLog()
            let report = try bench.backup(tree, events)
            #expect(events.all.isEmpty, "\(count) bytes, \(shown) shown: \(events.all)")
            let snapshot = try #require(report.snapshot)
            #expect(report.counters.bytes == UInt64(count) && report.counters.changingFiles == 0)
            #expect(try MemoryBench.restore(bench.repository, snapshot).items == tree.expected)
            // The file does not count as unchanged just because the shown size is the same as before.
            let again = try bench.backup(tree)
            #expect(again.counters.readBytes == (shown == count ? 0 : UInt64(count)))
            // The stored content is known, whatever size was shown.
            let honest = FakeTree([.other("s", .directory), .file("s/f", content)])
            #expect(try bench.backup(honest) { $0.parent = .none }.counters.addedBytes < 2000)
            for asked in [tree, honest] {
                let outcome = try DeletionCheck(
                    bench.repository, of: asked, roots: [Array("s".utf8)], onVerdict: { _ in }
                ).run()
                #expect(outcome.safeFiles == 1 && outcome.unsafeFiles == 0, "\(count), \(shown) shown")
            }
        }
    }

    @Test(arguments: [(64, 65), (0, 5000), (4000, 5000), (299_999, 300_000)])
    func whatAFileDoesNotGiveIsTold(count: Int, shown: UInt64) throws {
        let bench = try MemoryBench()
        let random = SeededRandom(seed: UInt64(count + 1))
        let tree = FakeTree([
            .other("s", .directory), .file("s/f", random.bytes(count)) { $0.stat.size = shown },
        ])
        for _ in 0..<2 {
            let events = EventLog()
            let report = try bench.backup(tree, events)
            #expect(events.failures.count == 1 && report.counters.failedItems == 1)
            #expect(report.counters.files == 1 && report.counters.bytes == UInt64(count))
            #expect(report.counters.readBytes >= UInt64(count))
        }
        let check = try DeletionCheck(
            bench.repository, of: tree, roots: [Array("s".utf8)], onVerdict: { _ in }
        ).run()
        #expect(check.safeFiles == 0 && check.unsafeFiles == 1)
        // In /proc and /sys, sizes have no meaning.
        let nominal = MediumEvidence(hasIdentity: false, granularityNanoseconds: 1, hasNominalSizes: true)
        let events = EventLog()
        try bench.backup(FakeTree(tree.entries, media: [1: nominal]), events)
        #expect(events.failures.isEmpty)
    }

    /// A log grows while it is read. The backup stores it up to its size when it was opened.
    @Test func aGrowingFileEndsWhereItEnded() throws {
        for size in [0, 40, 1000] {
            let bench = try MemoryBench()
            let tree = FakeTree([.other("s", .directory), .file("s/log", [UInt8](repeating: 7, count: size))])
            let events = EventLog()
            let report = try bench.backup(GrowingTree(tree), events)
            #expect(report.counters.bytes == UInt64(size) && report.counters.changingFiles == 1)
            #expect(events.failures.isEmpty)
        }
    }

    // MARK: What is lacking

    /// The content is stored. Every backup asks for the missing attributes again, and reports the failure again.
    @Test(arguments: ["attributes", "an attribute"])
    func anEntryWithoutAllAttributesIsReadAgain(fault: String) throws {
        let bench = try MemoryBench()
        let kept = ExtendedAttribute(name: Array("user.kept".utf8), value: [1])
        func tree(_ fault: String?) -> FakeTree {
            FakeTree([
                .other("s", .directory) { $0.fault = fault },
                .file("s/f", [1, 2, 3]) {
                    $0.fault = fault
                    $0.attributes.extendedAttributes = [kept]
                },
            ])
        }
        for _ in 0..<3 {
            let events = EventLog()
            let report = try bench.backup(tree(fault), events)
            #expect(events.failures.count == 2 && report.counters.failedItems == 2)
            #expect(events.all.allSatisfy { if case .incomplete = $0 { true } else { false } })
            #expect(report.counters.files == 1 && report.counters.folders == 1)
            let entry = try #require(try bench.entry("s/f", of: report))
            #expect(entry.attributes.extendedAttributes == (fault == "an attribute" ? [kept] : []))
        }
        let whole = try bench.backup(tree(nil))
        #expect(whole.counters.failedItems == 0 && whole.counters.readBytes == 3)
        #expect(try bench.backup(tree(nil)).counters.readBytes == 0)
    }

    @Test func aLinkWithoutItsAttributesIsALink() throws {
        let bench = try MemoryBench()
        let tree = FakeTree([
            .other("s", .directory),
            .other("s/link", .symlink) {
                $0.fault = "an attribute"
                $0.attributes.linkTarget = Array("there".utf8)
            },
        ])
        let report = try bench.backup(tree)
        #expect(report.counters.failedItems == 1 && report.counters.others == 1)
        #expect(try bench.entry("s/link", of: report)?.attributes.linkTarget == Array("there".utf8))
    }
}

extension MemoryBench {
    /// Returns an entry of the backup's snapshot.
    fileprivate func entry(_ path: String, of report: BackupReport) throws -> ManifestEntry? {
        let snapshot = try #require(report.snapshot)
        let reader = try ManifestReader(snapshot, repository: repository, index: try BlobIndex(repository))
        while let record = try reader.next() {
            if case .entry(let entry) = record, entry.path == Array(path.utf8) { return entry }
        }
        return nil
    }
}

/// A source whose files grow by one byte at each call of stat.
private final class GrowingTree: ForwardingTree, @unchecked Sendable {
    override func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile { File(try super.open(path)) }

    private final class File: ForwardingFile {
        private var growth: UInt64 = 0

        override func stat() throws(SourceError) -> FileStat {
            var stat = try super.stat()
            stat.size += growth
            growth += 1
            return stat
        }
        override func read(
            into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
        ) throws(SourceError) -> Int {
            for index in buffer.indices { buffer[index] = 7 }
            return buffer.count
        }
    }
}
