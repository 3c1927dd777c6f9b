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

@Suite struct RestoreTests {
    private static let makeTree = """
        mkdir -p a/b/c d && printf 1 > a/one && printf 2 > a/b/two && noise 30000 > a/b/c/three
        noise 30000 > d/four && printf '' > nothing && truncate -s 1000000 hole
        ln d/four zlink && ln -s a link && printf x > $(printf 'n%.0s' $(seq 255))
        touch -d '2001-01-01' a a/b a/b/c d
        """

    /// Restores with a filter. Returns the report. The paths beneath the source folder stay as they are.
    private func restore(
        _ bench: Workbench, to name: String, sub: String = "", _ log: RestoreLog = RestoreLog(),
        _ change: (inout RestoreRequest) -> Void = { _ in },
        stop: StopSignal = .never,
        including: [String] = [], excluding: [String] = []
    ) throws -> RestoreReport {
        let source = Array((bench.folder + "/source").utf8.dropFirst())
        var request = RestoreRequest(
            snapshot: try bench.repository.findSnapshot("latest"),
            subpath: sub.isEmpty ? source : source + Array("/\(sub)".utf8))
        change(&request)
        return try Restore(
            bench.repository, index: try BlobIndex(bench.repository),
            to: try FolderTarget(path: bench.folder + "/" + name),
            filter: RestoreFilter(includes: try patterns(including), excludes: try patterns(excluding)),
            onEvent: log.note, stop: stop
        ).run(request)
    }

    private func patterns(_ texts: [String]) throws -> [PathPattern] {
        try texts.map { try PathPattern(Array($0.utf8), origin: "test") }
    }

    private func names(_ folder: String) throws -> Set<String> { Set(try Listing(folder, false).items.keys) }

    private func prepared() throws -> Workbench {
        let bench = try Workbench()
        try bench.shell(Self.makeTree)
        try bench.backup()
        return bench
    }

    @Test func partsComeBackWhereTheyShould() throws {
        let bench = try prepared()
        _ = try restore(bench, to: "sub", sub: "a/b")
        #expect(try bench.differences(bench.folder + "/source/a/b", bench.folder + "/sub").isEmpty)
        _ = try restore(bench, to: "file", sub: "a/b/two")
        #expect(try names(bench.folder + "/file") == ["two"])
        #expect(throws: SnapshotPathError.self) { try restore(bench, to: "none", sub: "a/x") }
        let deep = try restore(bench, to: "deep", including: ["a/b/c/three"])
        #expect(deep.files == 1)
        #expect(try names(bench.folder + "/deep") == ["a", "a/b", "a/b/c", "a/b/c/three"])
    }

    @Test func onlyFilesOfOneWriteAreMadeAtOnce() throws {
        let bench = try Workbench()
        try bench.shell(
            """
            printf x > tiny && chmod 604 tiny && noise 1000 > small && printf '' > nothing
            truncate -s 1000000 hole && noise 1000000 > pieces
            cp small ends-in-a-hole && truncate -s 900000 ends-in-a-hole
            """)
        try bench.backup()
        let target = MemoryTarget()
        let request = RestoreRequest(
            snapshot: try bench.repository.findSnapshot("latest"),
            subpath: Array((bench.folder + "/source").utf8.dropFirst()))
        _ = try Restore(bench.repository, index: try BlobIndex(bench.repository), to: target).run(request)
        let names = Set(target.filesAtOnce.keys.map { String(decoding: $0, as: UTF8.self) })
        #expect(names == ["tiny", "small", "nothing", "hole"])
        #expect(target.filesAtOnce[Array("tiny".utf8)] == 0o604)
    }

    @Test func hardLinksComeBackWithoutTheirFirstName() throws {
        let bench = try prepared()
        let report = try restore(bench, to: "out", excluding: ["d/four"])
        #expect(report.failed == 0)
        let same = system("cmp -s \(bench.folder)/source/d/four \(bench.folder)/out/zlink")
        #expect(same == 0)
    }

    @Test func aDryRunWritesNothingAndCountsTheSame() throws {
        let bench = try prepared()
        let dry = try restore(bench, to: "out") { $0.isDryRun = true }
        #expect(try names(bench.folder + "/out").isEmpty)
        let real = try restore(bench, to: "out")
        #expect(dry.files == real.files && dry.folders == real.folders && dry.bytes == real.bytes)
        #expect(dry.others == real.others && real.failed == 0)
        #expect(try bench.differences(bench.folder + "/source", bench.folder + "/out").isEmpty)
    }

    @Test func overwritingFollowsTheRule() throws {
        for (rule, isReplaced) in zip(
            RestoreRequest.Overwrite.allCases,
            [[true, true], [true, false], [false, false], [false, false]])
        {
            let bench = try Workbench()
            try bench.shell("printf new > changed && printf new > same && touch -d '2010-01-01' changed same")
            try bench.backup()
            // One file differs and is newer. The other differs only in its bytes, which only the rule "always" notices.
            let out = bench.folder + "/out"
            #expect(
                system(
                    "mkdir \(out) && cd \(out) && printf older > changed && printf old > same && touch -d '2010-01-01' same"
                ) == 0)
            let report = try restore(bench, to: "out") { $0.overwrite = rule }
            #expect(report.kept == UInt64(isReplaced.count { !$0 }), "\(rule)")
            for (name, replaced) in zip(["changed", "same"], isReplaced) {
                #expect((system("grep -q new \(out)/\(name)") == 0) == replaced, "\(rule) \(name)")
            }
        }
    }

    @Test func whatIsInTheWayIsAFailedItemAndStays() throws {
        let bench = try prepared()
        let out = bench.folder + "/out"
        #expect(system("mkdir -p \(out)/nothing/inner && printf file > \(out)/a") == 0)
        let log = RestoreLog()
        let report = try restore(bench, to: "out", log)
        // A folder is in a file's place. A file is in a folder's place, and the folder has five entries beneath it.
        #expect(report.failed == 7, "\(log.failures)")
        #expect(try names(out).isSuperset(of: ["nothing/inner", "a", "d/four", "zlink"]))
    }

    @Test(arguments: ["size=200k", "ro"])
    func aTargetThatIsFullOrReadOnlyEndsTheRestore(options: String) throws {
        let bench = try Workbench()
        try bench.shell("noise 2000000 > large")
        try bench.backup()
        let out = bench.folder + "/mount"
        mkdir(out, 0o755)
        guard system("mount -t tmpfs -o \(options) tmpfs \(out) 2>/dev/null") == 0 else {
            try Test.cancel("a tmpfs cannot be mounted here")
        }
        defer { _ = system("umount \(out)") }
        #expect(throws: TargetError.self) { try restore(bench, to: "mount") }
        #expect(try names(out).isEmpty)
    }

    @Test func aCancelledRestoreLeavesNoHalfFiles() throws {
        let bench = try Workbench(packBytes: 1 << 20)
        try bench.shell(
            "for i in $(seq 40); do noise 150000 > f$i; done; noise 3000000 > big"
        )
        try bench.backup()
        for after in [0, 1, 5, 44, 46, 50] {
            let polls = Mutex(0)
            let name = "out\(after)"
            let log = RestoreLog()
            let report = try restore(
                bench, to: name, log,
                stop: StopSignal {
                    polls.withLock {
                        $0 += 1
                        return $0 > after
                    }
                })
            #expect(report.wasInterrupted)
            #expect(log.failures.isEmpty)
            let found = try names(bench.folder + "/" + name)
            #expect(found.count == report.files)
            for file in found {
                #expect(system("cmp -s \(bench.folder)/source/\(file) \(bench.folder)/\(name)/\(file)") == 0)
            }
        }
    }

    @Test func aFirstNameThatFailsTakesNoOlderFileForIt() throws {
        let bench = try HostileManifest()
        let lost = BlobReference(id: ID128(high: 1, low: 1), length: 50)
        func named(_ path: String) -> ManifestEntry {
            var entry = bench.file(path, size: 50, [.chunk(lost)])
            (entry.stat.linkCount, entry.stat.inode) = (2, 5)
            return entry
        }
        let snapshot = try bench.commit([named("a"), named("b")])
        let target = MemoryTarget()
        target.set([97], .file([1]))
        let log = RestoreLog()
        _ = try MemoryBench.restore(bench.bench.repository, snapshot, log, to: target)
        #expect(log.failures.count == 2)
        #expect(target.items == [[97]: .file([1])])
    }

    @Test func namesOfOneInodeInTwoStatesAreTwoFiles() throws {
        let bench = try HostileManifest()
        func named(_ path: String, _ content: [UInt8], _ seconds: Int64) -> ManifestEntry {
            bench.entry(path, .regular) {
                ($0.stat.linkCount, $0.stat.inode, $0.stat.size) = (2, 5, UInt64(content.count))
                ($0.stat.ctime, $0.content) = (Timestamp(seconds: seconds), .inline(content))
            }
        }
        let snapshot = try bench.commit([named("a", [1], 1), named("b", [2], 2)])
        let target = try MemoryBench.restore(bench.bench.repository, snapshot)
        #expect(target.items == [[97]: .file([1]), [98]: .file([2])])
    }

    @Test func hostileManifestsHarmNothing() throws {
        let bench = try HostileManifest()
        let good = bench.chunk
        let entries = [
            bench.entry("a", .regular), bench.file("a/b", size: 50, [.chunk(good)]),
            bench.entry("d", .symlink) { $0.attributes.linkTarget = Array("/tmp".utf8) },
            bench.file("d/escaped", size: 50, [.chunk(good)]),
            bench.entry("d/folder", .directory),
            bench.entry("dev", .characterDevice) { $0.stat.representedDevice = 1 << 63 },
            bench.file("huge", size: UInt64(Int64.max), [.hole(UInt64(Int64.max))]),
            bench.file("long", size: 50, [.chunk(good), .hole(UInt64(Int64.max)), .hole(UInt64(Int64.max))]),
            bench.file("missing", size: 50, [.chunk(BlobReference(id: ID128(high: 1, low: 2), length: 50))]),
            bench.file("orphan/x/y", size: 50, [.chunk(good)]),
            bench.file("other", size: 51, [.chunk(BlobReference(id: good.id, length: 51))]),
            bench.file("short", size: 500, [.chunk(good)]),
            bench.entry("suid", .regular) { $0.stat.mode = 0o7777 },
            bench.file("z", size: 50, [.chunk(good)]),
        ]
        let snapshot = try bench.commit(entries)
        let work = try Workbench()
        let out = work.folder + "/out"
        let log = RestoreLog()
        let before = access("/tmp/escaped", F_OK)
        _ = try Restore(
            bench.bench.repository, index: try BlobIndex(bench.bench.repository),
            to: try FolderTarget(path: out), onEvent: log.note
        ).run(RestoreRequest(snapshot: snapshot))
        #expect(access("/tmp/escaped", F_OK) == before)
        let found = try names(out)
        #expect(found.isSuperset(of: ["d", "orphan/x/y", "suid", "z"]), "\(found)")
        #expect(found.isDisjoint(with: ["long", "missing", "other", "short", "d/escaped", "d/folder"]))
        for failed in ["long", "missing", "other", "short", "d/escaped", "d/folder"] {
            #expect(log.failures.contains { $0.hasPrefix("\(failed): ") }, "\(failed)")
        }
        #expect(system("test $(cat \(out)/z | wc -c) = 50") == 0)
    }
}
