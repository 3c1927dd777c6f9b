// A small repository on simulated media, and a backup that is small enough to stop it at each of its calls.

import BakCodec
import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A repository in memory.
struct Fixture {
    var store = SimulatedStore()
    var cache = MemoryCache()
    var time = SimulatedTime()
    var random: SeededRandom
    /// The password that opens the repository; nil if the repository is not encrypted or if no password is given.
    var word: String?

    init(seed: UInt64 = 7) { random = SeededRandom(seed: seed) }

    static let classes = [ChunkClass(number: 1, minimum: 4096, average: 16384, maximum: 65536)]

    func create(_ change: (inout Repository.Options) -> Void = { _ in }) throws -> Repository {
        var options = Repository.Options(classes: Self.classes)
        options.packBytes = 1 << 20
        change(&options)
        return try Repository.create(in: store, options: options, cache: cache, time: time, random: random)
    }

    func open() throws -> Repository {
        guard let word else { return try Repository.open(store, cache: cache, time: time, random: random) }
        return try Repository.open(store, cache: cache, time: time, random: random) {
            SecretBytes(copying: Array(word.utf8))
        }
    }

    func session(_ repository: Repository) throws -> BackupSession {
        try BackupSession(repository, host: "host", program: "test")
    }
}

/// Returns a plain commit record.
func record(_ id: ID128, hasIndex: Bool, root: BlobReference, isComplete: Bool = true) -> CommitRecord {
    CommitRecord(
        id: id, time: Timestamp(seconds: 1), endTime: Timestamp(seconds: 2), host: "host", device: "",
        user: "",
        program: "test", paths: [], tags: [], parent: nil, isComplete: isComplete, hasIndex: hasIndex,
        root: root, counters: SnapshotCounters())
}

extension BlobWriter {
    func store(_ bytes: [UInt8]) throws -> BlobReference {
        try bytes.withUnsafeBytes { try store($0, isCompressed: false) }
    }
}

/// Returns a file with one chunk.
func file(_ path: [UInt8], _ chunk: BlobReference) -> ManifestEntry {
    var stat = FileStat(type: .regular)
    stat.size = UInt64(chunk.length)
    return ManifestEntry(
        path: path, stat: stat, attributes: FileAttributes(), content: .extents([.chunk(chunk)]))
}

/// The contents that the small backup stores: two files before its checkpoint, and two after it.
let smallContents: [[UInt8]] = (1...4).map { [UInt8](repeating: UInt8($0), count: 1000 * $0) }

/// Backs up two files, commits a checkpoint, backs up two more files and commits.
@discardableResult
func smallBackup(_ repository: Repository) throws -> [CommitRecord] {
    let session = try BackupSession(repository, host: "host", program: "test")
    let chunks = session.makeWriter(.chunkPack, compression: .off)
    let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
    var commits: [CommitRecord] = []
    for (number, content) in smallContents.enumerated() {
        try manifest.append(file(Array("file\(number)".utf8), try chunks.store(content)))
        guard number % 2 == 1 else { continue }
        let root = try manifest.storeRoot()
        let isLast = number == 3
        commits.append(
            try session.commit(continuing: !isLast) {
                record($0, hasIndex: $1, root: root, isComplete: isLast)
            })
    }
    return commits
}

/// Returns the contents of all files of a snapshot. Throws if one of them cannot be read.
func contents(_ snapshot: CommitRecord, _ repository: Repository) throws -> [[UInt8]] {
    let index = try BlobIndex(repository)
    let reader = try ManifestReader(snapshot, repository: repository, index: index)
    let blobs = BlobReader(repository)
    var contents: [[UInt8]] = []
    while case .entry(let entry)? = try reader.next() {
        guard case .extents(let extents) = entry.content else { continue }
        var content: [UInt8] = []
        for case .chunk(let reference) in extents {
            content += try blobs.read(reference, kind: .chunkPack, index: index)
        }
        contents.append(content)
    }
    return contents
}

/// A store that calls a closure before one of its mutations.
final class InterruptedStore: ForwardingStore, @unchecked Sendable {
    private var mutationsLeft: Int
    private let act: () throws -> Void
    private(set) var hasStruck = false

    init(_ base: SimulatedStore, beforeMutation mutation: Int, _ act: @escaping () throws -> Void) {
        (mutationsLeft, self.act) = (mutation, act)
        super.init(base)
    }

    private func count() {
        mutationsLeft -= 1
        guard mutationsLeft == 0 else { return }
        hasStruck = true
        do { try act() } catch { Issue.record("\(error)") }
    }

    override func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        count()
        return try base.put(key, bytes)
    }
    override func publish(_ batch: any StagedBatch) throws(StoreError) {
        count()
        try batch.publish()
    }
    override func delete(_ key: ObjectKey) throws(StoreError) {
        count()
        try base.delete(key)
    }
}

/// Returns an index segment of an own session, with one pack of `count` blobs.
func segment(_ random: SeededRandom, entries count: Int) -> IndexSegment {
    let blobs = (0..<count).map { number in
        BlobRecord(
            id: random.id(), offset: UInt32(64 + number * 60), rawLength: 12, storedLength: 12, codec: .raw,
            storedChecksum: 0)
    }
    let pack = IndexedPack(id: random.id(), size: UInt64(64 + count * 100 + 48), kind: .chunkPack)
    return IndexSegment(session: random.id(), contents: [(pack, blobs)])
}
