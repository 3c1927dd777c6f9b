import BakCodec
import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import Glibc
import Testing

@Suite struct DeletionCheckTests {
    private static let makeTree = """
        mkdir -p dcim/sub && noise 40000 > dcim/a && noise 3000 > dcim/sub/b
        printf small > dcim/c && printf '' > dcim/empty && ln -s a dcim/link && truncate -s 300000 dcim/hole
        noise 600000 > dcim/many-chunks
        """

    private struct Outcome {
        var report: DeletionReport?
        var safe: [String] = []
        var reasons: [String: [DeletionReason]] = [:]
    }

    private func check(
        _ bench: Workbench, _ folder: String, _ terms: DeletionTerms = DeletionTerms()
    ) throws -> Outcome {
        let tree = try FileTree(roots: [Array("\(bench.folder)/\(folder)".utf8)])
        var outcome = Outcome()
        func name(_ path: [UInt8]) -> String {
            String(decoding: path, as: UTF8.self).split(separator: "/").last.map { String($0) } ?? ""
        }
        outcome.report = try DeletionCheck(
            bench.repository, of: tree, roots: tree.roots, terms: terms,
            onVerdict: { verdict in
                if verdict.isSafe {
                    outcome.safe.append(name(verdict.path))
                } else {
                    outcome.reasons[name(verdict.path)] = verdict.reasons
                }
            }
        ).run()
        return outcome
    }

    @Test func whatIsBackedUpIsSafeWhereverItLies() throws {
        let bench = try Workbench(minimum: 64, maximum: 192)
        try bench.shell(Self.makeTree)
        try bench.backup()
        let before = try bench.storedBytes
        // The same content at another place, under other names and with other times.
        try bench.shell("mkdir ../phone && cp -r dcim ../phone && mv ../phone/dcim/a ../phone/dcim/renamed")
        let outcome = try check(bench, "phone")
        #expect(Set(outcome.safe) == ["renamed", "b", "c", "empty", "hole", "many-chunks"])
        #expect(outcome.reasons.isEmpty && outcome.report?.unsafeFiles == 0)
        #expect(outcome.report?.safeBytes == 943_005)
        #expect(outcome.report?.otherItems == 1)
        // The check reads every byte of the files, and every stored byte of their content.
        let readBytes = try #require(outcome.report).readBytes
        #expect(readBytes >= 1_286_000)
        #expect(try bench.storedBytes == before)
    }

    @Test func whatIsNotBackedUpMustBeKept() throws {
        let bench = try Workbench(minimum: 64, maximum: 192)
        try bench.shell(Self.makeTree)
        try bench.backup()
        try bench.shell("printf x >> dcim/many-chunks && printf Small > dcim/c && cp dcim/a dcim/copy")
        let outcome = try check(bench, "source")
        #expect(Set(outcome.reasons.keys) == ["many-chunks", "c"])
        #expect(outcome.reasons.values.allSatisfy { $0 == [.notStored] })
        #expect(outcome.report?.safeFiles == 5 && outcome.report?.unsafeFiles == 2)
    }

    /// Returns two different contents with the same XXH3. A person who knows the secret can make them. If the low half
    /// of a lane equals the key's, the lane's product is zero for every high half. What remains is a sum in which two
    /// changes cancel each other.
    private func twins(_ secret: [UInt8], domain: String) -> ([UInt8], [UInt8]) {
        let keys = KeyDerivation.expand(secret: secret, label: "bakstore id \(domain)", count: 192)
        var one = (0..<9000).map { UInt8(truncatingIfNeeded: $0 * 31) }
        // These bytes are lane 0 of the first two stripes of 64 bytes. For each stripe, the keys begin 8 bytes later.
        one.replaceSubrange(0..<4, with: keys[0..<4])
        one.replaceSubrange(64..<68, with: keys[8..<12])
        (one[4], one[68]) = (1, 9)
        var other = one
        (other[4], other[68]) = (2, 8)
        return (one, other)
    }

    @Test func contentThatPassesForAFilesIsNotTheFile() throws {
        let bench = try Workbench(minimum: 16384, maximum: 65536)
        let (one, other) = twins(bench.repository.config.secret, domain: "chunk")
        let hasher = bench.repository.hasher(for: .chunkPack)
        try #require(one != other && one.withUnsafeBytes(hasher.id) == other.withUnsafeBytes(hasher.id))
        try bench.write("dcim/theirs", one)
        try bench.backup()
        #expect(try Set(check(bench, "source").safe) == ["theirs"])
        try bench.write("dcim/mine", other)
        let snapshot = try bench.backup().snapshot
        let outcome = try check(bench, "source")
        #expect(outcome.safe == ["theirs"])
        #expect(outcome.reasons["mine"] == [.otherContent(snapshot: try #require(snapshot).id)])
    }

    @Test func withoutASnapshotNothingIsSafe() throws {
        let bench = try Workbench()
        try bench.shell(Self.makeTree)
        let outcome = try check(bench, "source")
        #expect(outcome.safe.isEmpty && outcome.report?.unsafeFiles == 6)
    }

    @Test func whatIsDamagedInTheStoreMustBeKept() throws {
        let bench = try Workbench()
        try bench.shell("noise 500000 > one && printf small > two")
        try bench.backup()
        try bench.shell(
            """
            cd ../ && pack=$(find . -path '*packs*' -type f -size +300k | head -n 1) && chmod +w "$pack" &&
            printf damage | dd of="$pack" bs=1 seek=200000 conv=notrunc 2>/dev/null
            """)
        let outcome = try check(bench, "source")
        #expect(outcome.safe == ["two"])
        guard case .damaged? = outcome.reasons["one"]?.first else {
            Issue.record("\(outcome.reasons)")
            return
        }
    }

    @Test func anInterruptedCheckCallsNothingElseSafe() throws {
        let bench = try Workbench()
        try bench.shell(Self.makeTree)
        try bench.backup()
        let tree = try FileTree(roots: [Array("\(bench.folder)/source".utf8)])
        var events = 0
        let report = try DeletionCheck(
            bench.repository, of: tree, roots: tree.roots, onVerdict: { _ in events += 1 },
            stop: StopSignal { true }
        ).run()
        #expect(report.wasInterrupted && events == 0 && report.safeFiles == 0)
    }

    @Test func onlyASnapshotThatStaysMakesAFileSafe() throws {
        let bench = try Workbench()
        try bench.shell("printf both > both && printf first > first")
        let first = try #require(try bench.backup().snapshot)
        try bench.shell("rm first && printf second > second")
        let second = try #require(try bench.backup().snapshot)
        try bench.shell("printf first > first")
        let end = Timestamp(seconds: 4_000_000_000)
        var terms = DeletionTerms()
        terms.staying = [first.id: .until(end, backups: nil), second.id: .forGood(.named)]
        let outcome = try check(bench, "source", terms)
        #expect(outcome.safe == ["both", "second"])
        #expect(outcome.reasons == ["first": [.notForGood(.until(end, backups: nil))]])
        #expect(outcome.report?.passingFiles == 1 && outcome.report?.passingBytes == 5)
        terms.staying[second.id] = .ruledOut
        #expect(try check(bench, "source", terms).safe.isEmpty)
    }

    @Test func aSnapshotInDoubtMakesNothingSafe() throws {
        let bench = try Workbench()
        /// Replaces a snapshot by a changed form of it.
        func replace(_ record: CommitRecord?, _ change: (inout CommitRecord) -> Void) throws -> ID128 {
            var other = try #require(record)
            (other.id, other.hasIndex) = (ID128(from: bench.repository.random), false)
            change(&other)
            _ = try other.encode(bench.repository.context).withUnsafeBytes {
                try bench.store.put(ObjectNames.snapshot(other.id), $0)
            }
            try bench.repository.forget([try #require(record).id], host: "test", program: "test")
            return other.id
        }
        try bench.shell("printf one > one && printf two > two")
        let doubtful = try replace(try bench.backup().snapshot) { $0.doubtfulPaths = [0] }
        let reason = DeletionReason.inDoubt(snapshot: doubtful)
        #expect(try check(bench, "source").reasons == ["one": [reason], "two": [reason]])
        // The next snapshot lacks a file, and confirms the doubt.
        try bench.shell("rm one")
        _ = try replace(try bench.backup().snapshot) { $0.confirmed = [doubtful] }
        try bench.shell("printf one > one")
        #expect(try check(bench, "source").safe == ["one", "two"])
    }

    @Test func aFileOnTheRepositorysDiskIsNotSafe() throws {
        let bench = try Workbench()
        try bench.shell("printf one > one && printf two > two")
        try bench.backup()
        var asked = 0
        var terms = DeletionTerms()
        terms.isOnRepositoryDisk = { _ in
            asked += 1
            return true
        }
        let outcome = try check(bench, "source", terms)
        #expect(outcome.reasons == ["one": [.sameDisk], "two": [.sameDisk]])
        #expect(asked == 1)
        terms.isOnRepositoryDisk = { _ in nil }
        let unknown = try check(bench, "source", terms)
        #expect(unknown.safe.count == 2 && unknown.report?.hasUnknownDisk == true)
    }

    @Test func nothingIsNotAllSafe() throws {
        let bench = try Workbench()
        try bench.shell("printf one > one")
        try bench.backup()
        for make in [
            "mkdir ../none", "mkdir ../links && ln -s ../source/one ../links/l && mkfifo ../links/f",
        ] {
            try bench.shell(make)
            let report = try check(bench, make.contains("none") ? "none" : "links").report
            #expect(report?.isAllSafe == false && report?.emptyRoots.count == 1 && report?.unsafeFiles == 0)
        }
        #expect(try check(bench, "source").report?.isAllSafe == true)
    }

    @Test func aFileThatChangesAfterItWasReadIsNotSafe() throws {
        let bench = try Workbench()
        try bench.shell("printf one > one && printf two > two")
        try bench.backup()
        let tree = try FileTree(roots: [Array("\(bench.folder)/source".utf8)])
        var verdicts: [DeletionVerdict] = []
        let change = Once { try? bench.shell("printf ONE > one; rm two") }
        var terms = DeletionTerms()
        // The check calls this after it has read everything.
        terms.isOnRepositoryDisk = { _ in
            change.run()
            return false
        }
        let report = try DeletionCheck(
            bench.repository, of: tree, roots: tree.roots, terms: terms, onVerdict: { verdicts.append($0) }
        ).run()
        #expect(report.safeFiles == 0 && report.unsafeFiles == 2)
        #expect(verdicts.first?.reasons == [.changed])
        guard case .unreadable? = verdicts.last?.reasons.first else {
            Issue.record("\(verdicts)")
            return
        }
    }
}

/// Runs a closure at most once.
private final class Once {
    private var body: (() -> Void)?

    init(_ body: @escaping () -> Void) { self.body = body }

    func run() {
        body?()
        body = nil
    }
}
