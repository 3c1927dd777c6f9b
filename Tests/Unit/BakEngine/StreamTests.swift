// A source whose size is unknown until it is read; and the progress of any source.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

/// A source with one file that is a stream. Reading fails at the offset `failsAt`, if there is one.
private final class StreamTree: SourceTree {
    let content: [UInt8]
    let failsAt: UInt64?
    let onEnd: @Sendable () -> Void
    let path = Array("dump".utf8)

    init(_ content: [UInt8], failsAt: UInt64? = nil, onEnd: @escaping @Sendable () -> Void = {}) {
        self.content = content
        self.failsAt = failsAt
        self.onEnd = onEnd
    }

    var stat: FileStat {
        var stat = FileStat(type: .regular)
        // The times are old, so that only the type of the source makes the backup read it again.
        (stat.mode, stat.mtime, stat.ctime) = (
            0o600, Timestamp(seconds: 5, nanoseconds: 1), Timestamp(seconds: 5, nanoseconds: 1)
        )
        return stat
    }

    func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        _ = try visit(.entry(path: path, stat: stat))
    }
    func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile { File(self) }
    func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        FileAttributes()
    }
    func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) { ([], []) }

    private final class File: SourceFile {
        let tree: StreamTree
        var position: UInt64 = 0
        init(_ tree: StreamTree) { self.tree = tree }
        var hasKnownSize: Bool { false }
        func stat() -> FileStat { tree.stat }
        func attributes(_ stat: FileStat) -> FileAttributes { FileAttributes() }
        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
            #expect(offset == position)
            if let failsAt = tree.failsAt, offset + UInt64(buffer.count) > failsAt {
                throw FakeTree.error("read")
            }
            let rest = tree.content.dropFirst(Int(offset)).prefix(buffer.count)
            buffer.copyBytes(from: rest)
            position += UInt64(rest.count)
            if rest.count < buffer.count { tree.onEnd() }
            return rest.count
        }
        func nextData(from offset: UInt64, size: UInt64) -> Range<UInt64>? { nil }
        func close() {}
    }
}

@Suite struct StreamTests {
    /// More content than a reader's buffer holds, so that it takes several reads.
    private let long: [UInt8] = {
        let random = SeededRandom(seed: 3)
        let block = random.bytes(1 << 20)
        return (0..<9).flatMap { number in block.map { $0 &+ UInt8(number) } } + [1, 2, 3]
    }()

    @Test(arguments: [0, 1, 65, 5000, -1])
    func comesBackWithTheSizeThatWasRead(count: Int) throws {
        let content = count < 0 ? long : Array(long.prefix(count))
        let bench = try MemoryBench()
        let events = EventLog()
        let report = try bench.backup(StreamTree(content), events) { $0.paths = [Array("dump".utf8)] }
        let snapshot = try #require(report.snapshot)
        #expect(snapshot.isComplete && report.counters.bytes == UInt64(content.count))
        #expect(report.counters.changingFiles == 0 && report.counters.readBytes == UInt64(content.count))
        #expect(events.failures.isEmpty)
        let target = try MemoryBench.restore(bench.repository, snapshot)
        #expect(target.items == [Array("dump".utf8): .file(content)])
        #expect(try MemoryBench.check(bench.repository).report.isClean)
    }

    @Test func isReadEveryTimeAndStoredOnce() throws {
        let bench = try MemoryBench()
        try bench.backup(StreamTree(long)) { $0.paths = [Array("dump".utf8)] }
        let again = try bench.backup(StreamTree(long)) { $0.paths = [Array("dump".utf8)] }
        #expect(again.counters.unmodifiedFiles == 0 && again.counters.changedFiles == 1)
        #expect(again.counters.readBytes == UInt64(long.count))
        #expect(again.counters.addedBytes < 1 << 20)
        let readings = Mutex(0)
        for _ in 0..<2 {
            let empty = StreamTree([]) { readings.withLock { $0 += 1 } }
            #expect(try bench.backup(empty) { $0.paths = [Array("dump".utf8)] }.snapshot != nil)
        }
        #expect(readings.withLock { $0 } == 2)
    }

    @Test func aFailureIsNeverAShorterFile() throws {
        let bench = try MemoryBench()
        let events = EventLog()
        let report = try bench.backup(StreamTree(long, failsAt: 8_500_000), events) {
            $0.paths = [Array("dump".utf8)]
        }
        #expect(report.snapshot == nil && report.counters.files == 0)
        #expect(events.failures == ["dump: cannot read: injected"])
    }

    @Test func anEndThatComesWithTheWishToStopIsNotBelieved() throws {
        let bench = try MemoryBench()
        let isStopped = Atomic(false)
        let tree = StreamTree(long) { isStopped.store(true, ordering: .relaxed) }
        let events = EventLog()
        var request = MemoryBench.request()
        request.paths = [Array("dump".utf8)]
        let report = try Backup(
            bench.repository, of: tree, onEvent: events.note,
            stop: StopSignal { isStopped.load(ordering: .relaxed) }
        ).run(request)
        #expect(report.wasInterrupted && report.snapshot == nil && events.failures.isEmpty)
    }

    @Test func progressCountsEachByteOnce() throws {
        let bench = try MemoryBench()
        let tree = FakeTree([
            .other("s", .directory), .file("s/a", [1, 2, 3]), .file("s/b", long),
            .file("s/c", Array(long.prefix(70_000))), .file("s/empty"),
        ])
        for _ in 0..<2 {
            let counters = ProgressCounters()
            let report = try Backup(bench.repository, of: tree).run(MemoryBench.request(), progress: counters)
            #expect(counters.current.bytes == report.counters.bytes)
            #expect(counters.current.files == 4 && counters.current.bytes > 9 << 20)
        }
    }
}
