// Counts in place of times: calls on the store, bytes written, system calls. Times differ between machines, but these
// counts do not. A change that raises a count must change the number here.

import BakCore
import BakEngine
import BakPosix
import BakRepository
import BakStorage
import TestSupport
import Testing

@testable import bakstore_benchmark

/// The files of this machine. The folders above them get a fixed state, because other programs may change those folders
/// meanwhile.
private final class StillTree: ForwardingTree, @unchecked Sendable {
    let roots: [[UInt8]]

    init(_ files: FileTree) {
        roots = files.roots
        super.init(files)
    }

    override func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        try super.walk { event in
            guard case .entry(let path, let stat) = event else { return try visit(event) }
            let isAbove = !roots.contains { PathOrder.isAtOrBeneath(path, $0) }
            return try visit(.entry(path: path, stat: isAbove ? FileStat(type: .directory) : stat))
        }
    }
}

@Suite struct CountTests {
    /// Backs up a library twice to a store that counts its calls. Returns the calls of each run, and the store.
    private func calls(
        of library: LibraryDescription, compression: CompressionMode
    ) throws -> (first: [SimulatedStore.Call], second: [SimulatedStore.Call], SimulatedStore, bytes: Int) {
        let bench = try Bench()
        let path = try bench.library("library", library).path
        let store = SimulatedStore()
        let repository = try Repository.create(
            in: store, options: Repository.Options(classes: defaultChunkClasses), cache: MemoryCache(),
            time: LaterTime(than: SystemTime()), random: TestSeed.unique(#fileID, #line))
        let tree = StillTree(try FileTree(roots: [Array(path.utf8)]))
        var request = BackupRequest(
            paths: tree.roots, host: "h", device: "d", user: "u", program: "p")
        request.compression = compression
        request.workerCount = 1
        return try withExtendedLifetime(bench) {
            let runs = try (0..<2).map { _ in
                store.clearCalls()
                let report = try Backup(repository, of: tree).run(request)
                #expect(report.counters.failedItems == 0)
                return store.calls
            }
            return (runs[0], runs[1], store, Files.totalBytes(beneath: path))
        }
    }

    @Test func aBackupCallsTheStoreAFewTimes() throws {
        let library = LibraryDescription(kind: .small, fileCount: 400, byteCount: 4_000_000, seed: 1)
        let (first, second, _, _) = try calls(of: library, compression: .auto)
        func changes(_ calls: [SimulatedStore.Call]) -> [String] {
            calls.filter(\.isMutation).map { call in
                let folder = call.object.split(separator: "/").first ?? ""
                return "\(call.operation.rawValue) \(folder)"
            }
        }
        #expect(
            changes(first) == [
                "put sessions", "stage packs", "stage packs", "publish packs", "publish packs", "publish ",
                "put index", "put snapshots", "put records",
            ])
        #expect(changes(second) == ["put sessions", "publish ", "put snapshots", "put records"])
        // The listings are of collections, snapshots and forgotten snapshots (each twice), of the index, and of the
        // spares. The second run also reads the parent and its manifest.
        #expect(first.count <= 17, "\(first)")
        #expect(second.count <= 20, "\(second)")
    }

    /// The number of packs depends only on the number of bytes, and the number of calls only on the number of packs.
    @Test func storeCallsDoNotGrowWithTheFiles() throws {
        let counts = try [100, 800].map { files in
            let library = LibraryDescription(kind: .small, fileCount: files, byteCount: 800_000, seed: 1)
            return try calls(of: library, compression: .auto).first.count
        }
        #expect(counts[0] == counts[1])
    }

    @Test func littleIsWrittenBesidesTheContent() throws {
        let media = LibraryDescription(kind: .media, fileCount: 40, byteCount: 10_000_000, seed: 1)
        let (_, _, store, bytes) = try calls(of: media, compression: .off)
        let written = store.keys.reduce(0) { $0 + store[$1]!.count }
        #expect(written < bytes + bytes / 500, "\(written) bytes for \(bytes) of media")

        let small = LibraryDescription(kind: .small, fileCount: 400, byteCount: 4_000_000, seed: 1)
        let (_, _, smallStore, smallBytes) = try calls(of: small, compression: .off)
        let smallWritten = smallStore.keys.reduce(0) { $0 + smallStore[$1]!.count }
        // A blob needs a header, a row in the footer and a row in the index. A file needs an entry.
        #expect(smallWritten < smallBytes + 400 * 250, "\(smallWritten) bytes for \(smallBytes) in 400 files")
    }

    /// True if strace is installed and may trace.
    static let canTrace = (try? Command("strace", "-o", "/dev/null", "true").run(log: "/dev/null")) != nil

    @Test(.enabled(if: canTrace, "needs strace"))
    func anUnchangedFileCostsOneSystemCallAndANewOneSeven() throws {
        let bench = try Bench()
        // Both libraries have files in nearly all of their 108 folders, so that folders cost the same in both.
        let counts = try [500, 1500].map { files in
            let library = LibraryDescription(
                kind: .small, fileCount: files, byteCount: files * 2000, seed: 1)
            let path = try bench.library("library-\(files)", library).path
            let repository = bench.folder + "/repository-\(files)"
            var backup = Command(
                try Bench.program("bakstore"), "backup", path, "--repo", repository, "--quiet",
                variables: ["BAKSTORE_CACHE_DIR": bench.folder + "/cache"])
            let log = bench.folder + "/log"
            var make = backup
            make.words[1...2] = ["init"]
            _ = try make.run(log: log)
            let trace = bench.folder + "/trace"
            backup.words = ["strace", "-f", "-c", "-o", trace] + backup.words
            return try ["first", "unchanged"].map { _ in
                _ = try backup.run(log: log)
                return try systemCalls(String(decoding: Files.contents(trace) ?? [], as: UTF8.self))
            }
        }
        let (new, unchanged) = (
            Double(counts[1][0] - counts[0][0]) / 1000, Double(counts[1][1] - counts[0][1]) / 1000
        )
        // The calls are: stat, open, stat before and after reading, read, list attributes, close.
        #expect((6.9..<7.3).contains(new), "\(new) system calls a new file")
        #expect((0.9..<1.2).contains(unchanged), "\(unchanged) system calls an unchanged file")
    }

    /// Returns the sum of strace's summary without futex calls. Their number differs from run to run, because threads
    /// wait for each other.
    private func systemCalls(_ summary: String) throws -> Int {
        try summary.split(separator: "\n").reduce(0) { sum, line in
            let words = line.split(separator: " ")
            guard let name = words.last, words.count >= 5, words[0].first?.isNumber == true,
                name != "futex", name != "total"
            else { return sum }
            return sum + (try #require(Int(words[3])))
        }
    }
}
