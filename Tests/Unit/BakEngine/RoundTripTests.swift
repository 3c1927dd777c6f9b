import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import Glibc
import Synchronization
import TestBench
import TestSupport
import Testing

@Suite struct RoundTripTests {
    /// Makes items of every type that needs no privilege, with awkward names.
    private static let makeTree = """
        mkdir -p a/b/c a-b 'with space' empty && printf '' > nothing && printf x > a/one
        noise 512 > a/inline && noise 513 > a/chunked
        noise 300000 > a/b/large && cp a/b/large a-b/copy && seq 1 60000 > a/b/c/text
        printf '\\377\\330\\377\\340' > photo.jpg && noise 2000000 >> photo.jpg
        ln -s a/one link && ln -s missing dangling && ln a/b/large hardlink && mkfifo fifo
        printf y > "$(printf 'bad\\377name')" && printf z > "$(printf 'new\\nline')"
        truncate -s 50000000 holes && printf data | dd of=holes bs=1 seek=20000000 conv=notrunc 2>/dev/null
        setfattr -n user.note -v kept a/one && setfacl -m u:12:r a/inline && chmod 4751 a/chunked
        touch -d '1950-01-01 UTC' a/one && touch -d '2150-01-01 00:00:00.123456789 UTC' photo.jpg
        touch -h -d '2001-02-03 UTC' link && chmod 500 a-b && touch -d '2000-01-01 UTC' a a/b empty
        """

    @Test func everythingComesBack() throws {
        let bench = try Workbench()
        try bench.shell(Self.makeTree)
        let events = EventLog()
        let report = try bench.backup(events)
        #expect(events.failures.isEmpty)
        #expect(report.snapshot?.isComplete == true)
        let log = RestoreLog()
        let target = try bench.restore("latest", to: "restored", log)
        #expect(log.failures.isEmpty)
        let differences = try bench.differences(bench.folder + "/source", target)
        #expect(differences.isEmpty)
        // The restored file has its hole.
        let holes = try FileTree(roots: [Array((target + "/holes").utf8)])
        var allocated: UInt64 = 0
        try holes.walk { event in
            if case .entry(_, let stat) = event, stat.type == .regular { allocated = stat.allocatedBytes }
            return .proceed
        }
        #expect(allocated < 1_000_000)
    }

    @Test func anUnchangedTreeStoresNextToNothingAndReadsNothing() throws {
        let bench = try Workbench()
        try bench.shell(Self.makeTree)
        try bench.settle()
        let first = try bench.backup()
        let before = try bench.storedBytes
        let second = try bench.backup()
        #expect(second.counters.readBytes == 0)
        #expect(second.counters.unmodifiedFiles == first.counters.files)
        // Nothing is new except perhaps the folder that all tests share, because its times may have changed.
        #expect(second.counters.addedBlobs <= 2)
        #expect(try bench.storedBytes - before < before / 1000 + 16384)
    }

    @Test func changesAreFoundAndBothSnapshotsComeBack() throws {
        let bench = try Workbench()
        try bench.shell(Self.makeTree)
        try bench.settle()
        try bench.shell("cp -a . ../before")
        try bench.backup()
        try bench.shell(
            """
            rm a/inline && mv photo.jpg renamed.jpg && seq 1 60001 > a/b/c/text && printf new > fresh
            chmod 600 a/one && setfattr -n user.note -v other a/one && ln -sf a link
            cp -a . ../after
            """)
        let second = try bench.backup()
        // The backup reads the renamed photo and finds all its chunks stored. The text shares most of its chunks.
        #expect(second.counters.addedBytes < 100_000)
        let old = try bench.restore("latest~1", to: "old")
        #expect(try bench.differences(bench.folder + "/before", old).isEmpty)
        let new = try bench.restore("latest", to: "new")
        #expect(try bench.differences(bench.folder + "/after", new).isEmpty)
    }

    @Test(arguments: [1, 2, 8])
    func anyNumberOfWorkersGivesOneManifest(workers: Int) throws {
        let bench = try Workbench()
        try bench.shell(Self.makeTree + "\nfor i in $(seq 300); do seq $i $((i * 7)) > empty/$i; done")
        try bench.settle()
        let first = try bench.backup { $0.workerCount = workers }
        let second = try bench.backup {
            $0.parent = .none
            $0.workerCount = 2
        }
        let one = try bench.entries(of: try #require(first.snapshot))
        #expect(try bench.entries(of: try #require(second.snapshot)) == one)
        #expect(one.count > 300)
    }

    @Test func sha256IdsWorkAlike() throws {
        let bench = try Workbench(idAlgorithm: .sha256)
        try bench.shell(Self.makeTree)
        try bench.backup()
        #expect(try bench.differences(bench.folder + "/source", try bench.restore()).isEmpty)
    }

    @Test func aFileOfManyChunksFillsSeveralRecords() throws {
        let bench = try Workbench(minimum: 64, maximum: 192)
        try bench.shell("noise 600000 > many && printf tail > zz")
        try bench.settle()
        try bench.backup()
        let second = try bench.backup()
        #expect(second.counters.readBytes == 0)
        #expect(try bench.differences(bench.folder + "/source", try bench.restore()).isEmpty)
    }

    @Test func anInterruptedRunLeavesAPartialSnapshotAndLittleToRepeat() throws {
        let bench = try Workbench()
        try bench.shell("for i in $(seq 400); do noise 20000 > f$i; done")
        try bench.settle()
        let seen = Mutex(0)
        let counted = EventLog()
        let files = try FileTree(roots: [Array((bench.folder + "/source").utf8)])
        // The last third of the files, in the walk's order, is not read before the first half has passed through the
        // pipeline.
        let tree = MeddledTree(files) { path, _ in
            guard PathOrder.precedes(Array((bench.folder + "/source/f35").utf8.dropFirst()), path) else {
                return
            }
            while seen.withLock({ $0 }) < 200 { usleep(1000) }
        }
        let request = BackupRequest(paths: files.roots, host: "h", device: "test", user: "u", program: "p")
        let backup = Backup(
            bench.repository, of: tree,
            onEvent: counted.note,
            onEntry: { entry, _ in if entry.stat.type == .regular { seen.withLock { $0 += 1 } } },
            stop: StopSignal { seen.withLock { $0 } >= 200 })
        let partial = try backup.run(request)
        #expect(partial.wasInterrupted)
        #expect(partial.snapshot?.isComplete == false)
        let rest = try bench.backup()
        #expect(rest.snapshot?.isComplete == true)
        #expect(rest.counters.unmodifiedFiles >= 200)
        #expect(rest.counters.addedBytes < 205 * 20000 + 100_000)
        #expect(try bench.differences(bench.folder + "/source", try bench.restore()).isEmpty)
    }

    @Test func checkpointsArePartialSnapshotsOfTheirOwn() throws {
        let bench = try Workbench()
        try bench.shell("for i in $(seq 100); do noise 100000 > f$i; done")
        let events = EventLog()
        try bench.backup(events) { $0.checkpointBytes = 2 << 20 }
        let checkpoints = events.all.compactMap { event -> CommitRecord? in
            if case .checkpoint(let record) = event { return record }
            return nil
        }
        #expect(!checkpoints.isEmpty)
        let last = try #require(checkpoints.last)
        let target = try bench.restore(last.id.description, to: "partial")
        let missing = try bench.differences(bench.folder + "/source", target).filter { !$0.hasSuffix("/ -") }
        #expect(missing.isEmpty)
        #expect(try bench.differences(bench.folder + "/source", try bench.restore()).isEmpty)
        let findings = Mutex<[String]>([])
        let clean = try RepositoryCheck(
            bench.repository, depth: .readData, workerCount: 2,
            onEvent: { event in findings.withLock { $0.append("\(event)") } }
        ).run()
        #expect(clean.isClean, "\(findings.withLock { $0 })")
        #expect(clean.unusedPacks == 0)
    }

    @Test func manyBlobsMakeACheckpointDue() throws {
        let bench = try Workbench()
        try bench.shell("for i in $(seq 300); do noise 20000 > f$i; done")
        func checkpoints(_ checkpointBlobs: Int) throws -> Int {
            let events = EventLog()
            try bench.backup(events) { ($0.checkpointBlobs, $0.parent) = (checkpointBlobs, .none) }
            return events.all.count { if case .checkpoint = $0 { true } else { false } }
        }
        // The first backup stores all 300 blobs, in packs of 50. The second stores none.
        #expect(try checkpoints(50) > 0)
        #expect(try checkpoints(50) == 0)
        #expect(try bench.differences(bench.folder + "/source", try bench.restore()).isEmpty)
    }

    @Test func aDryRunStoresNothingAndCountsTheSame() throws {
        let bench = try Workbench()
        try bench.shell(Self.makeTree)
        let before = try bench.storedBytes
        let dry = try bench.backup { $0.isDryRun = true }
        #expect(try bench.storedBytes == before)
        #expect(dry.snapshot == nil)
        let real = try bench.backup()
        #expect(real.counters.addedBytes > 2_600_000)
        // The manifest also has the folders above the source. Other programs may write to them meanwhile, and their
        // changed times then need a few bytes more or less.
        let difference = Int(dry.counters.addedBytes) - Int(real.counters.addedBytes)
        #expect(abs(difference) < 32)
        #expect(dry.counters.files == real.counters.files)
    }
}
