// The number of files that a backup reads at the same time, and their order. Both depend on the medium.

import BakCore
import BakEngine
import BakStorage
import TestBench
import TestSupport
import Testing

/// A source that counts the files that are read at the same time.
private final class WatchedTree: ForwardingTree, @unchecked Sendable {
    private let kind: SourceMedium
    override var medium: SourceMedium { kind }
    private let monitor = Monitor()
    private var reading = 0
    private var mostReading = 0
    /// The number of simultaneous readers to wait for. If a reader has waited in vain, no later reader waits.
    private var awaited: Int

    init(_ base: any SourceTree, on medium: SourceMedium, awaiting readers: Int = 0) {
        (kind, awaited) = (medium, readers)
        super.init(base)
    }

    /// The largest number of files that were read at the same time.
    var most: Int { monitor.locked { mostReading } }

    override func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        File(try super.open(path), self)
    }

    private final class File: ForwardingFile {
        private let tree: WatchedTree

        init(_ base: any SourceFile, _ tree: WatchedTree) {
            self.tree = tree
            super.init(base)
        }

        override func read(
            into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
        ) throws(SourceError) -> Int {
            tree.monitor.locked {
                tree.reading += 1
                tree.mostReading = max(tree.mostReading, tree.reading)
                tree.monitor.signalAll()
                // Wait until all expected readers have come, and then a little longer, so that a surplus reader would
                // be seen.
                for _ in 0..<100 where tree.mostReading < tree.awaited {
                    tree.monitor.wait(milliseconds: 100)
                }
                if tree.mostReading < tree.awaited { tree.awaited = 0 }
                tree.monitor.wait(milliseconds: 2)
            }
            defer { tree.monitor.locked { tree.reading -= 1 } }
            return try super.read(into: buffer, at: offset)
        }
    }
}

@Suite struct ReadStrategyTests {
    /// Returns files in one folder whose inode numbers have the opposite order of their names.
    private static func tree(_ count: Int) -> FakeTree {
        let random = SeededRandom(seed: 5)
        return FakeTree(
            [.other("s", .directory)]
                + (100..<100 + count).map { number in
                    var file = FakeEntry.file("s/\(number)", random.bytes(2000))
                    file.stat.inode = UInt64(1000 - number)
                    return file
                })
    }

    private func mostReaders(
        _ medium: SourceMedium, asked: Int?, processors: Int = 2, expecting readers: Int
    ) throws -> Int {
        let bench = try MemoryBench()
        let tree = WatchedTree(Self.tree(300), on: medium, awaiting: readers)
        let report = try bench.backup(tree) {
            $0.workerCount = processors
            $0.readConcurrency = asked
        }
        #expect(report.counters.files == 300 && report.counters.failedItems == 0)
        return tree.most
    }

    @Test func theMediumDecidesAndTheUserOverrides() throws {
        let cases: [(SourceMedium, asked: Int?, processors: Int, readers: Int)] = [
            (.rotational, nil, 2, 1), (.rotational, 3, 2, 3), (.solidState, nil, 2, 2),
            (.solidState, 1, 2, 1), (.network, nil, 2, 8), (.network, 2, 4, 2),
        ]
        for (medium, asked, processors, readers) in cases {
            let most = try mostReaders(medium, asked: asked, processors: processors, expecting: readers)
            #expect(most == readers, "\(medium), asked for \(asked ?? 0)")
        }
    }

    /// A source that lets other threads look at its files, and waits until a number of them look at once.
    private final class AheadTree: ForwardingTree, @unchecked Sendable {
        private let kind: SourceMedium
        override var medium: SourceMedium { kind }
        let folder: Folder

        init(_ base: any SourceTree, on medium: SourceMedium, awaiting lookers: Int) {
            kind = medium
            folder = Folder(awaiting: lookers)
            super.init(base)
        }

        override func walkAhead(_ visit: (WalkEvent) throws -> WalkDecision) throws {
            try base.walk { event in
                guard case .entry(let path, let stat) = event, stat.type != .directory else {
                    return try visit(event)
                }
                folder.monitor.locked { folder.stats[path] = stat }
                return try visit(.unseen(path: path, in: folder))
            }
        }

        final class Folder: OpenFolder, @unchecked Sendable {
            let monitor = Monitor()
            var stats: [[UInt8]: FileStat] = [:]
            private var looking = 0
            private var awaited: Int
            private(set) var most = 0

            init(awaiting lookers: Int) { awaited = lookers }

            func stat(ofEntryAt path: [UInt8]) throws(SourceError) -> FileStat {
                monitor.locked {
                    looking += 1
                    most = max(most, looking)
                    monitor.signalAll()
                    for _ in 0..<100 where most < awaited { monitor.wait(milliseconds: 100) }
                    if most < awaited { awaited = 0 }
                    looking -= 1
                    return stats[path]!
                }
            }
        }
    }

    @Test(arguments: [(SourceMedium.network, 8), (.solidState, 1), (.rotational, 1)])
    func manyLookAtFilesOfAnotherMachine(medium: SourceMedium, lookers: Int) throws {
        let bench = try MemoryBench()
        let plain = try #require(try bench.backup(Self.tree(300)).snapshot)
        let tree = AheadTree(Self.tree(300), on: medium, awaiting: lookers)
        let report = try bench.backup(tree) { $0.parent = .none }
        #expect(tree.folder.most == lookers && report.snapshot?.root == plain.root)
    }

    @Test func aSpinningDiskIsReadByInode() throws {
        let bench = try MemoryBench()
        let files = Self.tree(100)
        _ = try bench.backup(WatchedTree(files, on: .rotational)) { $0.workerCount = 1 }
        let opened = files.opened.withLock { $0 }.filter { $0.starts(with: "s/1".utf8) }
        #expect(
            opened.count == 100 && opened == opened.sorted { $0.lexicographicallyPrecedes($1) }.reversed())
    }

    @Test(arguments: [SourceMedium.rotational, .network])
    func theSnapshotIsTheSame(medium: SourceMedium) throws {
        let bench = try MemoryBench()
        let plain = try #require(try bench.backup(Self.tree(300)).snapshot)
        let other = try #require(
            try bench.backup(WatchedTree(Self.tree(300), on: medium)) { $0.parent = .none }.snapshot)
        #expect(plain.root == other.root)
    }
}
