// Contents: the files that the simulated backups store. A snapshot itself says which files it must have: its tag lists
// numbers. For each number the snapshot has a file with this number in its name and content made from the number.

import BakCore
import BakFormat
import BakRepository
import BakStorage
import TestSupport

/// Files named by number.
enum Contents {
    static let classes = [ChunkClass(number: 1, minimum: 4096, average: 16384, maximum: 65536)]

    /// Returns the bytes of file `number`. No other file has the same bytes.
    static func bytes(_ number: Int) -> [UInt8] {
        SeededRandom(seed: UInt64(number)).bytes(300 + number % 50)
    }

    static func path(_ number: Int) -> [UInt8] { Array("file\(1000 + number)".utf8) }

    static func tag(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: " ") }

    /// Returns the numbers that a snapshot's tag lists.
    static func numbers(_ snapshot: CommitRecord) -> [Int] {
        (snapshot.tags.first ?? "").split(separator: " ").compactMap { Int($0) }
    }

    /// Returns the entry of a file with one chunk.
    static func entry(_ number: Int, _ chunk: BlobReference) -> ManifestEntry {
        var stat = FileStat(type: .regular)
        stat.size = UInt64(chunk.length)
        return ManifestEntry(
            path: path(number), stat: stat, attributes: FileAttributes(), content: .extents([.chunk(chunk)]))
    }

    static func record(
        _ id: ID128, _ numbers: [Int], hasIndex: Bool, root: BlobReference, at time: Timestamp
    ) -> CommitRecord {
        CommitRecord(
            id: id, time: time, endTime: time, host: "host", device: "", user: "", program: "test", paths: [],
            tags: [tag(numbers)], parent: nil, isComplete: true, hasIndex: hasIndex, root: root,
            counters: SnapshotCounters())
    }

    /// Reads a whole snapshot and returns a description of the first fault in it; nil if there is none. Throws the
    /// errors of reading.
    static func fault(in snapshot: CommitRecord, _ repository: Repository, _ index: BlobIndex) throws
        -> String?
    {
        let reader = try ManifestReader(snapshot, repository: repository, index: index)
        let blobs = BlobReader(repository)
        var found: [Int] = []
        while case .entry(let entry)? = try reader.next() {
            guard let number = Int(String(decoding: entry.path.dropFirst(4), as: UTF8.self)),
                case .extents(let extents) = entry.content
            else { return "an entry that was never stored" }
            var content: [UInt8] = []
            for case .chunk(let reference) in extents {
                content += try blobs.read(reference, kind: .chunkPack, index: index)
            }
            guard content == bytes(number - 1000) else { return "file \(number - 1000) has other bytes" }
            found.append(number - 1000)
        }
        return found == numbers(snapshot) ? nil : "it has the files \(found), not \(numbers(snapshot))"
    }
}
