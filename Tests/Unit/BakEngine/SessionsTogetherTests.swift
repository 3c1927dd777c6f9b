// Two sessions of one process write to one folder. The staged files of one session are lost. The snapshot of the other
// is complete.

import BakCore
import BakFormat
import BakPosix
import BakRepository
import BakStorage
import Glibc
import TestSupport
import Testing

@Suite struct SessionsTogetherTests {
    @Test func lostFilesOfOneSessionHarmNoOther() throws {
        let bench = try Workbench()
        let repository = bench.repository
        let sessions = try (0..<2).map { _ in
            try BackupSession(repository, host: "h", program: "p")
        }
        var roots: [BlobReference] = []
        for (number, session) in sessions.enumerated() {
            let chunks = session.makeWriter(.chunkPack, compression: .off)
            let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
            let content = [UInt8](repeating: UInt8(number + 1), count: 10_000)
            let chunk = try content.withUnsafeBytes { try chunks.store($0, isCompressed: false) }
            var stat = FileStat(type: .regular)
            stat.size = UInt64(content.count)
            try manifest.append(
                ManifestEntry(
                    path: Array("s".utf8), stat: stat, attributes: FileAttributes(),
                    content: .extents([.chunk(chunk)])))
            roots.append(try manifest.storeRoot())
            // Fill the open pack, so that it is staged before the commit.
            let random = SeededRandom(seed: UInt64(number))
            for _ in 0..<12 {
                let noise = random.bytes(100_000)
                _ = try noise.withUnsafeBytes { try chunks.store($0, isCompressed: true) }
            }
        }
        func commit(_ place: Int) throws -> CommitRecord {
            try sessions[place].commit(continuing: false) { id, hasIndex in
                CommitRecord(
                    id: id, time: Timestamp(seconds: 1), endTime: Timestamp(seconds: 2), host: "h",
                    device: "", user: "", program: "p", paths: [], tags: [], parent: nil, isComplete: true,
                    hasIndex: hasIndex, root: roots[place], counters: SnapshotCounters())
            }
        }
        func temporaries(of place: Int) -> [String] {
            let start = ".bakstore-" + sessions[place].id.description.prefix(16)
            return names(in: bench.folder + "/repository/tmp").filter { $0.hasPrefix(start) }
        }
        #expect(!temporaries(of: 0).isEmpty && !temporaries(of: 1).isEmpty)
        for name in temporaries(of: 0) { unlink(bench.folder + "/repository/tmp/" + name) }
        #expect(throws: RepositoryError.self) { try commit(0) }
        #expect(!temporaries(of: 1).isEmpty)
        let committed = try commit(1)
        for session in sessions { session.close() }
        #expect(names(in: bench.folder + "/repository/tmp").isEmpty)
        #expect(try repository.snapshots().readable.map(\.id) == [committed.id])
        let report = try RepositoryCheck(
            repository, depth: .readData, workerCount: 1, onEvent: { _ in }
        ).run()
        #expect(report.isClean && report.snapshots == 1, "\(report)")
    }

    private func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
