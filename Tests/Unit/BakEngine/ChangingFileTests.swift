import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage
import Glibc
import Synchronization
import TestBench
import TestSupport
import Testing

@Suite struct ChangingFileTests {
    @Test(arguments: [
        "printf more >> f", "truncate -s 1000 f", "truncate -s 0 f",
        "printf other | dd of=f conv=notrunc 2>/dev/null",
    ])
    func aFileThatChangesWhileItIsReadIsFlaggedAndReadAgain(command: String) throws {
        let bench = try Workbench()
        try bench.shell("noise 9000000 > f && printf steady > g")
        try bench.settle()
        let folder = bench.folder + "/source"
        let isDone = Mutex(false)
        let tree = MeddledTree(try FileTree(roots: [Array(folder.utf8)])) { path, offset in
            guard offset > 0, path.last == UInt8(ascii: "f") else { return }
            isDone.withLock { isDone in
                if !isDone { _ = system("cd \(folder) && \(command)") }
                isDone = true
            }
        }
        let request = BackupRequest(
            paths: [Array(folder.utf8.dropFirst())], host: "t", device: "test", user: "u", program: "p")
        let events = EventLog()
        let report = try Backup(bench.repository, of: tree, onEvent: events.note).run(request)
        #expect(isDone.withLock { $0 })
        #expect(report.counters.changingFiles == 1)
        #expect(events.all.contains { if case .changedWhileRead = $0 { true } else { false } })
        try bench.settle()
        let second = try bench.backup()
        #expect(second.counters.unmodifiedFiles == 1)
        #expect(second.counters.changingFiles == 0)
        #expect(try bench.differences(folder, try bench.restore()).isEmpty)
        try bench.settle()
        #expect(try bench.backup().counters.readBytes == 0)
    }

    @Test func rewritesOfOneSizeInOneTickAreNeverStale() throws {
        let files = try Workbench()
        let path = files.folder + "/source/f"
        let source = Array((files.folder + "/source").utf8.dropFirst())
        let tree = try FileTree(roots: [Array((files.folder + "/source").utf8)])
        var bench = try MemoryBench()
        for round in 0..<(isLong ? 10_000 : 500) {
            // A backup reads every commit record, so the time would grow with the square of the rounds. New
            // repositories prevent that.
            if round % 20 == 19 { bench = try MemoryBench() }
            let descriptor = open(path, O_WRONLY | O_CREAT, 0o644)
            let text = Array("\(10_000_000 + round)".utf8)
            #expect(pwrite(descriptor, text, text.count, 0) == text.count)
            close(descriptor)
            let snapshot = try #require(try bench.backup(tree) { $0.paths = [source] }.snapshot)
            let target = try MemoryBench.restore(bench.repository, snapshot)
            #expect(target.items[source + Array("/f".utf8)] == .file(text), "round \(round)")
        }
    }

    @Test func anEditBehindARestoredMtimeIsNoticed() throws {
        let bench = try Workbench()
        try bench.shell("noise 5000 > f && touch -d '2001-01-01' f")
        try bench.settle()
        try bench.backup()
        try bench.shell("noise 5000 > f && touch -d '2001-01-01' f")
        try bench.settle()
        // A backup that ignores ctime trusts the mtime.
        #expect(try bench.backup { $0.ignoresCtime = true }.counters.readBytes == 0)
        try bench.shell("cp f ../kept && noise 5000 > f && touch -d '2001-01-01' f")
        try bench.settle()
        #expect(try bench.backup().counters.changedFiles == 1)
        #expect(try bench.differences(bench.folder + "/source", try bench.restore()).isEmpty)
    }

    @Test func aReplacedInodeIsNoticedUnlessIgnored() throws {
        let bench = try Workbench()
        try bench.shell("noise 5000 > f")
        try bench.settle()
        try bench.backup()
        try bench.shell("cp -p f g && mv g f")
        try bench.settle()
        let ignoring = try bench.backup {
            $0.ignoresCtime = true
            $0.ignoresInode = true
        }
        #expect(ignoring.counters.readBytes == 0)
        try bench.shell("cp -p f g && mv g f")
        try bench.settle()
        let noticing = try bench.backup { $0.ignoresCtime = true }
        #expect(noticing.counters.readBytes == 5000)
    }

    @Test(arguments: ["chmod 600 f", "setfattr -n user.a -v b f"])
    func anEditOfMetadataAloneStoresNoContent(command: String) throws {
        let bench = try Workbench()
        try bench.shell("noise 500000 > f")
        try bench.settle()
        try bench.backup()
        try bench.shell(command)
        let report = try bench.backup()
        #expect(report.counters.changedFiles == 1)
        #expect(report.counters.addedBytes < 20_000)
        #expect(try bench.differences(bench.folder + "/source", try bench.restore()).isEmpty)
    }

    /// If a file changed less than a minute ago, a program may still change a page of it through a memory map, without
    /// a new time. If only the ctime is that young, no program does.
    @Test(arguments: [
        // How many ms ago content and metadata changed; whether the medium is local; whether the file must be read
        // again.
        (1, 1, true, true), (59_900, 59_900, true, true), (61_000, 61_000, true, false),
        (61_000, 5, true, true), (61_000, 15, true, false), (1_000_000, 59_000, true, false),
        // Times in the future: a changed file's time is never trusted; an mtime that a program has set is trusted.
        (-5000, -5000, true, true), (-90_000, 61_000, true, false), (61_000, -90_000, true, true),
        // The medium's ctime is a copy of the mtime, or another machine's clock gives the times.
        (1000, 1000, false, true), (61_000, 61_000, false, false), (61_000, 1500, false, true),
        (61_000, 2500, false, false), (-90_000, -90_000, false, true),
        (-90_000_000, -90_000_000, false, false),
    ])
    func aFileIsReadAgainAfterAChangeThatTimesMayHide(mtimeMs: Int, ctimeMs: Int, isLocal: Bool, again: Bool)
        throws
    {
        let now = Timestamp(seconds: 1_000_000)
        func ago(_ ms: Int) -> Timestamp {
            let ms = Int(now.seconds) * 1000 - ms
            // Not a whole second, because such times would look like FAT's.
            return Timestamp(seconds: Int64(ms / 1000), nanoseconds: UInt32(ms % 1000) * 1_000_000 + 1)
        }
        let bench = try MemoryBench(time: SimulatedTime(now))
        let tree = FakeTree(
            [
                .other("s", .directory),
                .file("s/f", [1, 2, 3]) { ($0.stat.mtime, $0.stat.ctime) = (ago(mtimeMs), ago(ctimeMs)) },
            ], media: isLocal ? [:] : [1: .none])
        // The clock stands still, so dates do not tell which snapshot is the parent.
        let first = try #require(try bench.backup(tree) { $0.parent = .none }.snapshot)
        let second = try bench.backup(tree) { $0.parent = .snapshot(first.id) }
        #expect(second.counters.readBytes == (again ? 3 : 0))
        #expect(second.counters.unmodifiedFiles == 1, "it is as it was, whether it was read or not")
    }

    private func firstEntry(_ snapshot: CommitRecord, _ repository: Repository) throws -> ManifestEntry {
        let reader = try ManifestReader(snapshot, repository: repository, index: try BlobIndex(repository))
        guard case .entry(let entry)? = try reader.next() else {
            throw Workbench.Failure(message: "no entry")
        }
        return entry
    }

    @Test func coarseTimestampsOfAFolderAreTrustedAfterTwoSeconds() throws {
        let now = Timestamp(seconds: 1_000_000)
        let bench = try MemoryBench(time: SimulatedTime(now))
        for (ago, nanoseconds, unsettled) in [(1, 0, true), (3, 0, false), (1, 1, false), (-5, 1, true)] {
            let time = Timestamp(seconds: now.seconds - Int64(ago), nanoseconds: UInt32(nanoseconds))
            let tree = FakeTree([.other("s", .directory) { ($0.stat.mtime, $0.stat.ctime) = (time, time) }])
            let snapshot = try #require(try bench.backup(tree) { $0.parent = .none }.snapshot)
            let entry = try firstEntry(snapshot, bench.repository)
            #expect(entry.isUnsettled == unsettled, "\(ago) s ago, \(nanoseconds) ns")
        }
    }

    /// If another machine's clock gives the times, and only in whole seconds, a file that has just changed may look a
    /// day old.
    @Test func aForeignClockThatIsBehindMakesNothingOld() throws {
        let now = Timestamp(seconds: 1_000_000)
        let rows: [(ago: Int64, nanoseconds: UInt32, isForeign: Bool, isUnsettled: Bool)] = [
            (180, 0, true, true), (86_000, 0, true, true), (87_000, 0, true, false), (180, 1, true, false),
            (180, 0, false, false), (59, 0, false, true), (-180, 0, true, true), (-180, 0, false, false),
        ]
        let bench = try MemoryBench(time: SimulatedTime(now))
        for row in rows {
            let time = Timestamp(seconds: now.seconds - row.ago, nanoseconds: row.nanoseconds)
            let tree = FakeTree(
                [
                    .file("f") {
                        ($0.stat.mtime, $0.stat.ctime) = (
                            time, row.isForeign ? time : Timestamp(seconds: 1000)
                        )
                    }
                ], media: row.isForeign ? [1: .none] : [:])
            let snapshot = try #require(try bench.backup(tree) { $0.parent = .none }.snapshot)
            let entry = try firstEntry(snapshot, bench.repository)
            #expect(entry.isUnsettled == row.isUnsettled, "\(row)")
        }
    }

    /// A program continues to write through a memory map after the backup has read the file. While the page is dirty,
    /// neither size nor times change.
    @Test func aWriteThroughAMemoryMapIsNoticed() throws {
        let bench = try Workbench()
        try bench.shell("head -c 1000000 /dev/zero > catalogue")
        let descriptor = open(bench.folder + "/source/catalogue", O_RDWR)
        let map = mmap(nil, 1_000_000, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)!
        defer {
            munmap(map, 1_000_000)
            close(descriptor)
        }
        map.storeBytes(of: 1, toByteOffset: 5000, as: UInt8.self)
        try bench.backup()
        map.storeBytes(of: 2, toByteOffset: 5000, as: UInt8.self)
        try bench.backup()
        #expect(try bench.differences(bench.folder + "/source", try bench.restore()).isEmpty)
    }
}
