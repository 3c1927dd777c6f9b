// SnapshotView, compared with the entries that were written: listings, single entries, and content from any offset.
// Also the number of manifest segments that a listing reads, and the effect of damage.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A snapshot, and the entries that were written to it.
private struct Written {
    let fixture = Fixture()
    let repository: Repository
    let index: BlobIndex
    let snapshot: CommitRecord
    let entries: [ManifestEntry]

    /// Writes entries. `prepare` may store chunks and change an entry before it is written.
    init(
        _ entries: [ManifestEntry], prepare: (inout ManifestEntry, BlobWriter) throws -> Void = { _, _ in }
    ) throws {
        let session = try fixture.session(try fixture.create())
        let chunks = session.makeWriter(.chunkPack, compression: .auto)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        var written = entries
        for place in written.indices {
            try prepare(&written[place], chunks)
            try manifest.append(written[place])
        }
        let root = try manifest.storeRoot()
        snapshot = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        repository = try fixture.open()
        index = try BlobIndex(repository)
        self.entries = written
    }

    func view(cacheBytes: Int? = nil) throws -> SnapshotView {
        try SnapshotView(
            snapshot, repository: repository, index: index,
            cache: cacheBytes.map { BlobCache(repository, index, mostBytes: $0) })
    }

    /// Returns the entries directly in a folder.
    func children(_ folder: [UInt8]) -> [ManifestEntry] {
        entries.filter { $0.path != folder && $0.path.folder == folder }
    }

    /// Damages the stored bytes of a segment.
    func damage(_ number: Int) throws {
        let reader = try ManifestReader(snapshot, repository: repository, index: index)
        let location = try #require(index.location(of: reader.segments[number].blob))
        let pack = ObjectNames.pack(location.pack).description
        var bytes = try #require(fixture.store[pack])
        bytes[location.endOffset - 1] ^= 1
        fixture.store[pack] = bytes
    }

    func segments() throws -> [ManifestSegmentReference] {
        try ManifestReader(snapshot, repository: repository, index: index).segments
    }
}

extension [UInt8] {
    /// The path of the folder in which a path lies.
    fileprivate var folder: [UInt8] { lastIndex(of: UInt8(ascii: "/")).map { Array(self[..<$0]) } ?? [] }
}

extension SnapshotView {
    fileprivate func listed(_ path: [UInt8], _ depth: Depth) throws -> [[UInt8]] {
        var paths: [[UInt8]] = []
        try list(path, depth) {
            paths.append($0.path)
            return true
        }
        return paths
    }

    fileprivate func children(_ folder: [UInt8]) throws -> [[UInt8]] {
        var paths: [[UInt8]] = []
        try children(of: folder) {
            paths.append($0.path)
            return true
        }
        return paths
    }
}

@Suite struct SnapshotViewTests {
    @Test func whatItShowsIsWhatWasWritten() throws {
        let random = TestSeed.random("a snapshot's view")
        let written = try Written(random.entries(2500))
        #expect(try written.segments().count > 5)
        let view = try written.view()
        #expect(try view.listed([], .everything) == written.entries.map(\.path))
        let folders = Set(written.entries.map { $0.path.folder })
        for folder in [[]] + folders.sorted(by: { PathOrder.precedes($0, $1) }) {
            #expect(try view.children(folder) == written.children(folder).map(\.path))
        }
        for entry in written.entries where random.oneIn(8) {
            let beneath = written.entries.filter { PathOrder.isAtOrBeneath($0.path, entry.path) }
            #expect(try view.listed(entry.path, .everything) == beneath.map(\.path))
            // The returned entry is equal, with neighbouring holes merged. If it has many extents, it only has the
            // extents in its first segment.
            let found = try #require(try view.entry(at: entry.path))
            var expected = entry
            if case .extents(let extents) = entry.content, case .extents(let first) = found.content {
                var merged: [Extent] = []
                for extent in extents { merged.append(mergingHoles: extent) }
                if merged.count > 1000, first.count < merged.count {
                    #expect(!first.isEmpty)
                    #expect(first.dropLast() == merged.prefix(first.count - 1))
                    merged = first
                }
                expected.content = .extents(merged)
            }
            #expect(found == expected)
            let other = entry.path + random.bytes(1).map { $0 == 0 || $0 == 47 ? 1 : $0 }
            #expect(
                try (view.entry(at: other) != nil) == written.entries.contains { $0.path == other })
        }
        #expect(try view.list(Array("\u{1}nothing".utf8), .children) { _ in true } == false)
    }

    @Test func contentComesFromAnyOffset() throws {
        let random = TestSeed.random("a snapshot's content")
        var contents: [[UInt8]: [UInt8]] = [:]
        let files = (0..<6).map { file([UInt8(97 + $0)], random.reference()) }
        let written = try Written(files) { entry, chunks in
            var (content, extents): ([UInt8], [Extent]) = ([], [])
            // One file has extents that fill several segments.
            let repeated = entry.path == [99] ? try chunks.store([1, 2, 3]) : nil
            for _ in 0..<(repeated == nil ? random.number(0...30) : 60_000) {
                if random.oneIn(4) {
                    let count = random.number(1...(repeated == nil ? 5000 : 9))
                    content += [UInt8](repeating: 0, count: count)
                    extents.append(.hole(UInt64(count)))
                } else {
                    let bytes = repeated == nil ? random.bytes(random.number(1...5000)) : [1, 2, 3]
                    content += bytes
                    extents.append(.chunk(try repeated ?? chunks.store(bytes)))
                }
            }
            (entry.content, entry.stat.size) = (.extents(extents), UInt64(content.count))
            contents[entry.path] = content
        }
        #expect(try written.segments().count > 2)
        let views = try [nil, 5000, 32 << 20].map { try written.view(cacheBytes: $0) }
        for (path, expected) in contents {
            let view = views[random.number(0...2)]
            let content = try #require(try view.content(of: path))
            var whole: [UInt8] = []
            while true {
                let bytes = try content.bytes(random.number(1...40_000), at: whole.count)
                if bytes.isEmpty { break }
                whole += bytes
            }
            #expect(whole == expected)
            for _ in 0..<40 {
                let offset = random.number(0...(expected.count + 10))
                let count = random.number(1...9000)
                let bytes = try content.bytes(count, at: offset)
                #expect(bytes == Array(expected.dropFirst(offset).prefix(count)))
            }
        }
        #expect(try views[0].content(of: [120]) == nil)
    }

    @Test func aReaderThatGoesForwardReadsChunksTogether() throws {
        let random = TestSeed.random("reading ahead")
        let content = random.bytes(400_000)
        let written = try Written([file([97], random.reference())]) { entry, chunks in
            let extents = try stride(from: 0, to: content.count, by: 4000).map {
                Extent.chunk(try chunks.store(Array(content[$0..<($0 + 4000)])))
            }
            (entry.content, entry.stat.size) = (.extents(extents), UInt64(content.count))
        }
        for cacheBytes in [nil, 32 << 20] {
            let view = try written.view(cacheBytes: cacheBytes)
            let file = try #require(try view.content(of: [97]))
            written.fixture.store.clearCalls()
            var whole: [UInt8] = []
            while whole.count < content.count { whole += try file.bytes(10_000, at: whole.count) }
            #expect(whole == content)
            // Few requests read a hundred chunks.
            #expect(written.fixture.store.calls.filter { $0.operation == .read }.count < 8)
            // After a jump, only the requested bytes are read.
            let other = try #require(try written.view(cacheBytes: cacheBytes).content(of: [97]))
            _ = try other.bytes(10, at: 200_000)
            let bytes = try other.bytes(10, at: 100_000)
            #expect(bytes == Array(content[100_000..<100_010]))
        }
    }

    /// A typical folder in a library: some pictures, and folders with many pictures.
    @Test func aListingReadsItsChildrensSegments() throws {
        func folder(_ path: String) -> ManifestEntry {
            ManifestEntry(
                path: Array(path.utf8), stat: FileStat(type: .directory), attributes: FileAttributes(),
                content: nil)
        }
        let chunk = BlobReference(id: ID128(high: 1, low: 1), length: 9)
        var entries = [folder("top")]
        for number in 0..<10 {
            entries.append(folder("top/d\(number)"))
            for inner in 0..<100 {
                let path = "top/d\(number)/i\(inner + 100)"
                entries.append(folder(path))
                entries += (0..<99).map { file(Array("\(path)/f\($0 + 100)".utf8), chunk) }
            }
        }
        entries += (0..<10).map { file(Array("top/f\($0)".utf8), chunk) }
        let written = try Written(entries)
        let segments = try written.segments().count
        #expect(entries.count > 100_000 && segments > 100)
        let view = try written.view(cacheBytes: 32 << 20)
        written.fixture.store.clearCalls()
        let children = try view.children(Array("top".utf8))
        #expect(children.count == 20)
        // The listing reads the first segment, and for each of ten folders the segment in which the folder ends and the
        // next entry begins.
        let reads = written.fixture.store.calls.filter { $0.operation == .read }.count
        #expect(reads <= 11, "\(reads) of \(segments) segments")
        // A second listing reads nothing.
        written.fixture.store.clearCalls()
        #expect(try view.children(Array("top".utf8)) == children)
        #expect(written.fixture.store.calls.isEmpty)
        // A folder with 99 files.
        let one = try view.children(Array("top/d4/i150".utf8))
        #expect(one.count == 99)
        let last = written.fixture.store.calls.filter { $0.operation == .read }.count
        #expect(last <= 2)
    }

    @Test func tenFilesBesideAHundredThousandDescendants() throws {
        let chunk = BlobReference(id: ID128(high: 1, low: 1), length: 9)
        var entries: [ManifestEntry] = ["a", "a/many"].map {
            ManifestEntry(
                path: Array($0.utf8), stat: FileStat(type: .directory), attributes: FileAttributes(),
                content: nil)
        }
        entries += (0..<100_000).map { file(Array("a/many/f\($0 + 100_000)".utf8), chunk) }
        entries += (0..<10).map { file(Array("a/z\($0)".utf8), chunk) }
        let written = try Written(entries)
        let view = try written.view()
        written.fixture.store.clearCalls()
        #expect(try view.children([97]).count == 11)
        #expect(written.fixture.store.calls.filter { $0.operation == .read }.count == 2)
    }

    // MARK: Damage

    @Test func damageCostsItsSegmentAndNoOther() throws {
        let random = TestSeed.random("a damaged list")
        let written = try Written(random.entries(2500))
        let segments = try written.segments()
        let number = random.number(1...(segments.count - 2))
        let (first, next) = (segments[number].firstPath, segments[number + 1].firstPath)
        try written.damage(number)
        let view = try written.view()
        func isLost(_ path: [UInt8]) -> Bool {
            !PathOrder.precedes(path, first) && PathOrder.precedes(path, next)
        }
        for entry in written.entries where random.oneIn(4) || entry.path == first || entry.path == next {
            if isLost(entry.path) {
                #expect(throws: CorruptionError.self) { try view.entry(at: entry.path) }
            } else {
                #expect(try view.entry(at: entry.path)?.path == entry.path)
            }
        }
        for depth in [SnapshotView.Depth.everything, .children] {
            var (starts, paths): ([[UInt8]], [[UInt8]]) = ([], [])
            try view.list(
                [], depth,
                onDamage: { start, error in
                    #expect(error is CorruptionError)
                    starts.append(start)
                }
            ) {
                paths.append($0.path)
                return true
            }
            let all = depth == .everything ? written.entries : written.children([])
            #expect(paths == all.map(\.path).filter { !isLost($0) })
            #expect(starts == [first] || depth == .children && starts.isEmpty)
        }
    }

    /// A segment's bytes are as they were written, but it ends too early.
    @Test func whatComesBeforeTheFaultIsThereUnlessItIsNotWanted() throws {
        let fixture = Fixture()
        let repository = try fixture.create()
        let session = try fixture.session(repository)
        let blobs = session.makeWriter(.manifestPack, compression: .off)
        let content = try session.makeWriter(.chunkPack, compression: .off).store([1, 2, 3])
        let entries = (0..<9).map { file([UInt8(97 + $0)], content) }
        var segment = ManifestSegmentEncoder()
        for entry in entries { segment.append(entry) }
        let blob = try blobs.store(segment.finish().dropLast())
        let root = try blobs.store(
            ManifestRoot(segments: [
                ManifestSegmentReference(blob: blob, recordCount: 9, firstPath: [97])
            ]).encode())
        let snapshot = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        let index = try BlobIndex(repository)
        let view = try SnapshotView(snapshot, repository: repository, index: index)
        let strict = try SnapshotView(
            snapshot, repository: repository, index: index, takesDamagedSegments: false)
        for entry in entries.dropLast() {
            #expect(try view.entry(at: entry.path) == entry)
            #expect(throws: CorruptionError.self) { try strict.entry(at: entry.path) }
        }
        #expect(throws: CorruptionError.self) { try view.entry(at: entries[8].path) }
        #expect(try view.content(of: [97])?.bytes(9, at: 0) == [1, 2, 3])
        // The next record may continue the file of the last complete record, so reading beyond its known extents is an
        // error.
        let last = try #require(try view.content(of: entries[7].path))
        #expect(try last.bytes(9, at: 0) == [1, 2, 3])
        #expect(throws: CorruptionError.self) { try last.bytes(9, at: 3) }
    }

    @Test func aListThatDoesNotAddUpIsAnErrorWhereItIsSeen() throws {
        for size in [5, 7] {
            let written = try Written([file([97], BlobReference(id: .zero, length: 1))]) { entry, chunks in
                let extents = try [[1, 2, 3], [4, 5, 6]].map { Extent.chunk(try chunks.store($0)) }
                (entry.content, entry.stat.size) = (.extents(extents), UInt64(size))
            }
            let content = try #require(try written.view().content(of: [97]))
            let whole = try content.bytes(100, at: 0)
            #expect(whole == Array([1, 2, 3, 4, 5, 6].prefix(size == 5 ? 3 : 6)))
            do {
                _ = try content.bytes(100, at: whole.count)
                Issue.record("read")
            } catch let error as CorruptionError {
                #expect(error.object == "snapshots/\(written.snapshot.id)")
                #expect(error.reason.contains("do not add up"))
            }
        }
    }

    @Test func aDamagedChunkCostsWhatComesAfterIt() throws {
        let written = try Written([file([97], BlobReference(id: .zero, length: 1))]) { entry, chunks in
            let extents = try (1...3).map {
                Extent.chunk(try chunks.store([UInt8](repeating: $0, count: 100)))
            }
            (entry.content, entry.stat.size) = (.extents(extents), 300)
        }
        guard case .extents(let extents) = written.entries[0].content, case .chunk(let second) = extents[1]
        else {
            Issue.record("no extents")
            return
        }
        let location = try #require(written.index.location(of: second))
        let pack = ObjectNames.pack(location.pack).description
        var bytes = try #require(written.fixture.store[pack])
        bytes[Int(location.offset) + 20] ^= 1
        written.fixture.store[pack] = bytes
        for cacheBytes in [nil, 1 << 20] {
            let content = try #require(try written.view(cacheBytes: cacheBytes).content(of: [97]))
            #expect(try content.bytes(300, at: 0) == [UInt8](repeating: 1, count: 100))
            do {
                _ = try content.bytes(300, at: 100)
                Issue.record("read")
            } catch let error as CorruptionError { #expect(error.object == pack) }
            #expect(try content.bytes(300, at: 200) == [UInt8](repeating: 3, count: 100))
        }
    }
}

extension SnapshotContent {
    fileprivate func bytes(_ count: Int, at offset: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = try read(into: UnsafeMutableRawBufferPointer(buffer), at: UInt64(offset))
        }
    }
}
