// Manifests in a repository. They are written, share segments and are read from any path. They are refused if anything
// is damaged.

import BakCodec
import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

@Suite struct ManifestTests {
    /// Writes a manifest and commits it.
    private func write(_ entries: [ManifestEntry], _ repository: Repository) throws -> (
        CommitRecord, added: Int
    ) {
        let session = try BackupSession(repository, host: "host", program: "test")
        let blobs = session.makeWriter(.manifestPack, compression: .auto)
        let manifest = ManifestWriter(blobs)
        for entry in entries { try manifest.append(entry) }
        let root = try manifest.storeRoot()
        let commit = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        return (commit, session.added.blobs)
    }

    /// Reads a manifest and joins the continuations to their entries.
    private func read(_ commit: CommitRecord, _ repository: Repository, from path: [UInt8] = []) throws
        -> [ManifestEntry]
    {
        let reader = try ManifestReader(
            commit, repository: repository, index: try BlobIndex(repository), from: path)
        var entries: [ManifestEntry] = []
        while let record = try reader.next() {
            switch record {
            case .entry(let entry): entries.append(entry)
            case .continuation(let more):
                guard case .extents(let first) = entries[entries.count - 1].content else { continue }
                entries[entries.count - 1].content = .extents(first + more)
            }
        }
        return entries
    }

    /// Returns ordinary entries that are quick to make.
    private func plainEntries(_ count: Int) -> [ManifestEntry] {
        (0..<count).map { number in
            let digits = String(number)
            let name = String(repeating: "0", count: 8 - digits.utf8.count) + digits
            return file(
                Array("folder/file\(name)".utf8),
                BlobReference(id: ID128(high: UInt64(number), low: 1), length: 9))
        }
    }

    @Test func manyEntriesComeBack() throws {
        let repository = try Fixture().create()
        let entries = plainEntries(50_000)
        let (commit, _) = try write(entries, repository)
        let decoded = try read(commit, repository)
        #expect(decoded == entries)
    }

    @Test func anyEntriesComeBackFromAnyPath() throws {
        let random = TestSeed.random("manifest from any path")
        let repository = try Fixture().create()
        var entries = random.entries(60)
        // A file whose extents fill several segments. The entry must have nothing beneath it.
        let lowest = entries.indices.filter { place in
            place + 1 == entries.count
                || !PathOrder.isAtOrBeneath(entries[place + 1].path, entries[place].path)
        }
        let place = try #require(lowest.first { $0 >= entries.count / 2 })
        entries[place].stat.type = .regular
        let extents = random.extents(60_000)
        entries[place].content = .extents(extents)
        entries[place].stat.size = extents.reduce(0) { $0 + $1.length }
        entries[place].attributes.linkTarget = []
        entries[place].stat.representedDevice = 0
        let (commit, _) = try write(entries, repository)
        #expect(try read(commit, repository) == entries)
        for (number, entry) in entries.enumerated() where number % 5 == 0 || abs(number - place) < 2 {
            for path in [entry.path, entry.path + [0x21]] {
                let found = try read(commit, repository, from: path)
                    .filter { !PathOrder.precedes($0.path, path) }
                #expect(found == entries.filter { !PathOrder.precedes($0.path, path) })
            }
        }
    }

    @Test func manifestsThatDifferByOneEntryShareTheirSegments() throws {
        let repository = try Fixture().create()
        var entries = plainEntries(20_000)
        let (first, _) = try write(entries, repository)
        let segments = try ManifestReader(first, repository: repository, index: try BlobIndex(repository))
            .segments
        #expect(segments.count > 10)
        entries[10_000].stat.mtime.seconds = 99
        let (_, added) = try write(entries, repository)
        // One segment and the root were added.
        #expect(added == 2)
        entries.remove(at: 5_000)
        let (_, addedByRemoval) = try write(entries, repository)
        #expect(addedByRemoval <= 3)
    }

    @Test func whatNoReaderTakesIsNotWritten() throws {
        let fixture = Fixture()
        let session = try fixture.session(try fixture.create())
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        var entry = plainEntries(1)[0]
        entry.attributes.userName = [UInt8](repeating: 97, count: 2000)
        #expect(throws: RepositoryError.self) { try manifest.append(entry) }
    }

    /// Commits a root that only a hostile writer would store.
    private func commit(
        _ segments: [ManifestSegmentReference], _ stored: [[UInt8]], _ repository: Repository
    ) throws -> CommitRecord {
        let session = try BackupSession(repository, host: "host", program: "test")
        let blobs = session.makeWriter(.manifestPack, compression: .off)
        for bytes in stored { _ = try blobs.store(bytes) }
        let root = try blobs.store(ManifestRoot(segments: segments).encode())
        return try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
    }

    @Test func aRootThatDoesNotFitItsSegmentsIsRefused() throws {
        let repository = try Fixture().create()
        let entries = plainEntries(2)
        let bytes = FormatSpecimen.segment(entries)
        let blob = BlobReference(
            id: bytes.withUnsafeBytes { repository.manifestHasher.id(of: $0) }, length: UInt32(bytes.count))
        func expectRefusal(_ segments: [ManifestSegmentReference], _ reason: String) throws {
            let commit = try commit(segments, [bytes], repository)
            do {
                _ = try read(commit, repository)
                Issue.record("read")
            } catch let error as CorruptionError { #expect(error.reason.contains(reason)) }
        }
        func segment(_ path: [UInt8], records: Int = 2) -> ManifestSegmentReference {
            ManifestSegmentReference(blob: blob, recordCount: records, firstPath: path)
        }
        try expectRefusal([segment(entries[0].path, records: 3)], "the root says 3")
        try expectRefusal([segment(Array("a".utf8))], "at the path that the root says")
        try expectRefusal([segment(entries[0].path), segment(entries[0].path)], "do not follow")
    }

    /// A file with too many extents is damaged. The other files of its segment are read.
    @Test func extentsLongerThanTheirFileCostNoOther() throws {
        let repository = try Fixture().create()
        var entries = plainEntries(3)
        entries[1].stat.size = 8
        let (commit, _) = try write(entries, repository)
        #expect(try read(commit, repository).map(\.path) == entries.map(\.path))
    }
}

@Suite struct DamageTests {
    @Test func damagedMissingAndSwappedPacksAreNamed() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let commit = try smallBackup(repository)[1]
        let image = fixture.store.durableImage
        let packs = image.keys.filter { $0.hasPrefix("packs/") }.sorted()
        #expect(packs.count == 4)
        for pack in packs {
            let bytes = try #require(image[pack])
            var damaged = bytes
            damaged[64 + 48 + 1] ^= 4
            let other = try #require(
                packs.first { $0 != pack && image[$0]!.count >= bytes.count } ?? packs.first)
            for change in [nil, damaged, Array(bytes.prefix(100)), image[other]] where change != bytes {
                fixture.store[pack] = change
                do {
                    // A later snapshot need not refer to a manifest pack of the first checkpoint, so all snapshots are
                    // read.
                    _ = try contents(commit, repository)
                    let older = try repository.snapshots().readable.filter { !$0.isComplete }
                    for snapshot in older { _ = try contents(snapshot, repository) }
                    Issue.record("damage of \(pack) was not found")
                } catch let error as CorruptionError { #expect(error.object == pack) }
                fixture.store[pack] = bytes
            }
        }
    }

    @Test func aBlobIsVerifiedOnRead() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let session = try fixture.session(repository)
        let writer = session.makeWriter(.chunkPack, compression: .off)
        let reference = try writer.store([1, 2, 3, 4])
        _ = try session.commit(continuing: false) { record($0, hasIndex: $1, root: reference) }
        let pack = try #require(fixture.store.keys.first { $0.hasPrefix("packs/") })
        let index = try BlobIndex(repository)
        let reader = BlobReader(repository)
        let content = Array(try reader.read(reference, kind: .chunkPack, index: index))
        #expect(content == [1, 2, 3, 4])
        // The right id with another length, and the right id in the other domain.
        #expect(throws: MissingBlobError.self) {
            try reader.read(BlobReference(id: reference.id, length: 5), kind: .chunkPack, index: index)
        }
        #expect(throws: CorruptionError.self) {
            try reader.read(reference, kind: .manifestPack, index: index)
        }
        // The right id with wrong bytes: every bit of header and content is changed once.
        let bytes = try #require(fixture.store[pack])
        for bit in 64 * 8..<(64 + 48 + 4) * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            fixture.store[pack] = damaged
            #expect(throws: CorruptionError.self) {
                try reader.read(reference, kind: .chunkPack, index: index)
            }
        }
        for count in 0..<(64 + 48 + 4) {
            fixture.store[pack] = Array(bytes.prefix(count))
            #expect(throws: CorruptionError.self) {
                try reader.read(reference, kind: .chunkPack, index: index)
            }
        }
    }
}
