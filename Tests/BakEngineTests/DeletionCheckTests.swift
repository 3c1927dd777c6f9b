import BakCore
import BakEngine
import BakPosix
import BakRepository
import Glibc
import Testing

@Suite struct DeletionCheckTests {
    private static let makeTree = """
        mkdir -p dcim/sub && head -c 40000 /dev/urandom > dcim/a && head -c 3000 /dev/urandom > dcim/sub/b
        printf small > dcim/c && printf '' > dcim/empty && ln -s a dcim/link && truncate -s 300000 dcim/hole
        head -c 600000 /dev/urandom > dcim/many-chunks
        """

    private struct Outcome {
        var report: DeletionReport?
        var safe: [String] = []
        var reasons: [String: String] = [:]
    }

    private func check(_ bench: Workbench, _ folder: String) throws -> Outcome {
        let tree = try FileTree(roots: [Array("\(bench.folder)/\(folder)".utf8)])
        var outcome = Outcome()
        func name(_ path: [UInt8]) -> String {
            String(decoding: path, as: UTF8.self).split(separator: "/").last.map { String($0) } ?? ""
        }
        outcome.report = try DeletionCheck(
            bench.repository, of: tree, roots: tree.roots,
            onEvent: { event in
                switch event {
                case .safe(let path, _): outcome.safe.append(name(path))
                case .unsafe(let path, let reason): outcome.reasons[name(path)] = reason
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
        // Another place, other names and times.
        try bench.shell("mkdir ../phone && cp -r dcim ../phone && mv ../phone/dcim/a ../phone/dcim/renamed")
        let outcome = try check(bench, "phone")
        #expect(Set(outcome.safe) == ["renamed", "b", "c", "empty", "hole", "many-chunks"])
        #expect(outcome.reasons.isEmpty && outcome.report?.unsafeFiles == 0)
        #expect(outcome.report?.safeBytes == 943_005)
        #expect(outcome.report?.otherItems == 1)
        // Every byte of the files, and every byte that is stored of them.
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
        #expect(outcome.reasons.values.allSatisfy { $0.contains("no complete snapshot") })
        #expect(outcome.report?.safeFiles == 5 && outcome.report?.unsafeFiles == 2)
    }

    @Test func withoutASnapshotNothingIsSafe() throws {
        let bench = try Workbench()
        try bench.shell(Self.makeTree)
        let outcome = try check(bench, "source")
        #expect(outcome.safe.isEmpty && outcome.report?.unsafeFiles == 6)
    }

    @Test func whatIsDamagedInTheStoreMustBeKept() throws {
        let bench = try Workbench()
        try bench.shell("head -c 500000 /dev/urandom > one && printf small > two")
        try bench.backup()
        try bench.shell(
            """
            cd ../ && pack=$(find . -path '*packs*' -type f -size +300k | head -n 1) && chmod +w "$pack" &&
            printf damage | dd of="$pack" bs=1 seek=200000 conv=notrunc 2>/dev/null
            """)
        let outcome = try check(bench, "source")
        #expect(outcome.safe == ["two"])
        #expect(outcome.reasons["one"]?.contains("damaged") == true)
    }

    @Test func anInterruptedCheckCallsNothingElseSafe() throws {
        let bench = try Workbench()
        try bench.shell(Self.makeTree)
        try bench.backup()
        let tree = try FileTree(roots: [Array("\(bench.folder)/source".utf8)])
        var events = 0
        let report = try DeletionCheck(
            bench.repository, of: tree, roots: tree.roots, onEvent: { _ in events += 1 },
            isCancelled: { true }
        ).run()
        #expect(report.wasInterrupted && events == 0 && report.safeFiles == 0)
    }
}
