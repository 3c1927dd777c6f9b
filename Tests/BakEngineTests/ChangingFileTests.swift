import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage
import Glibc
import Synchronization
import Testing

/// A source that something happens to while it is read: `onRead` runs before each read.
final class MeddledTree: SourceTree {
    private let tree: FileTree
    private let onRead: @Sendable ([UInt8], UInt64) -> Void
    let topDevice: UInt64? = nil

    init(_ tree: FileTree, onRead: @escaping @Sendable ([UInt8], UInt64) -> Void) {
        self.tree = tree
        self.onRead = onRead
    }

    var timestampGranularityNanoseconds: UInt64 { tree.timestampGranularityNanoseconds }
    func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws { try tree.walk(visit) }
    func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        File(try tree.open(path)) { [onRead] in onRead(path, $0) }
    }
    func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        try tree.attributes(path, stat)
    }
    func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) { tree.names(uid: uid, gid: gid) }

    private final class File: SourceFile {
        private let file: any SourceFile
        private let onRead: (UInt64) -> Void
        init(_ file: any SourceFile, onRead: @escaping (UInt64) -> Void) {
            self.file = file
            self.onRead = onRead
        }
        func stat() throws(SourceError) -> FileStat { try file.stat() }
        func attributes(_ stat: FileStat) throws(SourceError) -> FileAttributes {
            try file.attributes(stat)
        }
        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
            onRead(offset)
            return try file.read(into: buffer, at: offset)
        }
        func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>? {
            try file.nextData(from: offset, size: size)
        }
        func close() { file.close() }
    }
}

@Suite struct ChangingFileTests {
    private static let settleMicroseconds: UInt32 = 50_000

    @Test(arguments: [
        "printf more >> f", "truncate -s 1000 f", "truncate -s 0 f",
        "printf other | dd of=f conv=notrunc 2>/dev/null",
    ])
    func aFileThatChangesWhileItIsReadIsFlaggedAndReadAgain(command: String) throws {
        let bench = try Workbench()
        try bench.shell("head -c 9000000 /dev/urandom > f && printf steady > g")
        usleep(Self.settleMicroseconds)
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
        usleep(Self.settleMicroseconds)
        let second = try bench.backup()
        #expect(second.counters.unmodifiedFiles == 1)
        #expect(second.counters.changingFiles == 0)
        #expect(try bench.differences(folder, try bench.restore()).isEmpty)
        usleep(Self.settleMicroseconds)
        #expect(try bench.backup().counters.readBytes == 0)
    }

    @Test func rewritesOfOneSizeInOneTickAreNeverStale() throws {
        let files = try Workbench()
        let path = files.folder + "/source/f"
        let source = Array((files.folder + "/source").utf8.dropFirst())
        let tree = try FileTree(roots: [Array((files.folder + "/source").utf8)])
        var bench = try MemoryBench()
        for round in 0..<(isLong ? 10_000 : 500) {
            // A backup reads every commit record, so a new repository now and then keeps this linear.
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
        try bench.shell("head -c 5000 /dev/urandom > f && touch -d '2001-01-01' f")
        usleep(Self.settleMicroseconds)
        try bench.backup()
        try bench.shell("head -c 5000 /dev/urandom > f && touch -d '2001-01-01' f")
        usleep(Self.settleMicroseconds)
        // Told to ignore ctime, a backup believes the mtime.
        #expect(try bench.backup { $0.ignoresCtime = true }.counters.readBytes == 0)
        try bench.shell("cp f ../kept && head -c 5000 /dev/urandom > f && touch -d '2001-01-01' f")
        usleep(Self.settleMicroseconds)
        #expect(try bench.backup().counters.changedFiles == 1)
        #expect(try bench.differences(bench.folder + "/source", try bench.restore()).isEmpty)
    }

    @Test func aReplacedInodeIsNoticedUnlessIgnored() throws {
        let bench = try Workbench()
        try bench.shell("head -c 5000 /dev/urandom > f")
        usleep(Self.settleMicroseconds)
        try bench.backup()
        try bench.shell("cp -p f g && mv g f")
        usleep(Self.settleMicroseconds)
        let ignoring = try bench.backup {
            $0.ignoresCtime = true
            $0.ignoresInode = true
        }
        #expect(ignoring.counters.readBytes == 0)
        try bench.shell("cp -p f g && mv g f")
        usleep(Self.settleMicroseconds)
        let noticing = try bench.backup { $0.ignoresCtime = true }
        #expect(noticing.counters.readBytes == 5000)
    }

    @Test(arguments: ["chmod 600 f", "setfattr -n user.a -v b f"])
    func anEditOfMetadataAloneStoresNoContent(command: String) throws {
        let bench = try Workbench()
        try bench.shell("head -c 500000 /dev/urandom > f")
        usleep(Self.settleMicroseconds)
        try bench.backup()
        try bench.shell(command)
        let report = try bench.backup()
        #expect(report.counters.changedFiles == 1)
        #expect(report.counters.addedBytes < 20_000)
        #expect(try bench.differences(bench.folder + "/source", try bench.restore()).isEmpty)
    }

    @Test func coarseTimestampsAreTrustedAfterTwoSeconds() throws {
        let now = Timestamp(seconds: 1_000_000)
        let bench = try MemoryBench(time: FixedTime(seconds: now.seconds))
        func tree(secondsAgo: Int64, nanoseconds: UInt32) -> FakeTree {
            FakeTree([
                .other("s", .directory),
                .file("s/f", [1, 2, 3]) {
                    $0.stat.mtime = Timestamp(seconds: now.seconds - secondsAgo, nanoseconds: nanoseconds)
                    $0.stat.ctime = $0.stat.mtime
                },
            ])
        }
        for (ago, nanoseconds, unsettled) in [(1, 0, true), (1_000, 0, false), (2, 1, false), (-5, 1, true)] {
            let source = tree(secondsAgo: Int64(ago), nanoseconds: UInt32(nanoseconds))
            // The clock stands still, so the parent is named.
            let first = try #require(try bench.backup(source) { $0.parent = .none }.snapshot)
            let again = try bench.backup(source) { $0.parent = .snapshot(first.id) }
            #expect((again.counters.unmodifiedFiles == 0) == unsettled, "\(ago) s ago, \(nanoseconds) ns")
        }
    }
}
